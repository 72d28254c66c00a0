"""Transformer, T5, BERT and ALBERT: what their heads answer, what padding and the future change."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from assay.blocks.segment_embedding import segments
from assay.data.tokens import BEGIN, END, PAD
from assay.errors import BadArgumentError
from assay.models.language import albert, bert, t5, transformer
from assay.testing.pairs_encoders import two_sentences

V, T = 61, 12
MASKED, TEXT, EACH = "masked-language-modeling", "text-classification", "token-classification"
BUILDERS = {"bert": bert.bert_tiny, "albert": albert.albert_tiny}
WRITERS = {
    "transformer": transformer.transformer_tiny,
    "t5": t5.t5_efficient_tiny_nl2,
    "t5-1.1": lambda inputs, outputs, task: t5.T5(V, GATED),
}
GATED = t5.Size(
    embed_dim=32,
    num_layers=2,
    num_heads=4,
    hidden=48,
    head_dim=8,
    feedforward=t5.GatedGeluFeedForward,
    tied=False,
)

each_encoder = pytest.mark.parametrize("name", BUILDERS)
each_task = pytest.mark.parametrize("task", [MASKED, TEXT, EACH])
each_writer = pytest.mark.parametrize("name", WRITERS)


def encoder(name: str, task: str, outputs: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return lively(BUILDERS[name]((T, V), V if task == MASKED else outputs, task=task))


def writer(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively(WRITERS[name]((T, V), V, task="text-to-text"))


def lively(model: nn.Module) -> nn.Module:
    """Return a model in evaluation whose attention prefers some places to others."""
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.normal_(std=0.7 * value.shape[-1] ** -0.5)
    return model.eval()


def texts(rows: int = 3, length: int = 8) -> Tensor:
    ids = torch.randint(5, V, (rows, length))
    ids[:, 0], ids[:, 3], ids[:, -1] = BEGIN, END, END
    return ids


def padded(ids: Tensor, by: int = 4) -> Tensor:
    return torch.cat([ids, torch.full((len(ids), by), PAD)], dim=1)


@each_encoder
@each_task
@torch.inference_mode()
def test_padding_changes_no_answer_of_an_encoder(name: str, task: str):
    model, ids = encoder(name, task), texts()
    short, long = model(ids), model(padded(ids))
    torch.testing.assert_close(long if task == TEXT else long[:, :8], short)


@each_encoder
@torch.inference_mode()
def test_an_encoder_sees_both_sides_and_both_sentences(name: str):
    model, ids = encoder(name, MASKED), texts(1)
    other = ids.clone()
    other[0, 6] = (ids[0, 6] - 4) % (V - 5) + 5
    apart = (model(other) - model(ids)).abs().amax((0, 2))
    assert (apart > 1e-3).all()
    one_sentence = ids.clone()
    one_sentence[0, -1] = 5
    assert not torch.equal(segments(one_sentence), segments(ids))


@each_encoder
@torch.inference_mode()
def test_a_row_of_padding_alone_has_finite_answers(name: str):
    ids = torch.full((2, 4), PAD)
    assert encoder(name, TEXT)(ids).isfinite().all()


@each_writer
@torch.inference_mode()
def test_padding_of_the_source_changes_no_answer(name: str):
    model, source, target = writer(name), texts(), texts(length=6)
    torch.testing.assert_close(model(padded(source), target), model(source, target))
    torch.testing.assert_close(model(source, padded(target))[:, :6], model(source, target))


@each_writer
@torch.inference_mode()
def test_a_place_of_the_target_sees_those_before_it_and_all_of_the_source(name: str):
    model, source, target = writer(name), texts(), texts(length=6)
    other, read = target.clone(), source.clone()
    other[:, 4] = (target[:, 4] - 4) % (V - 5) + 5
    read[:, -2] = (source[:, -2] - 4) % (V - 5) + 5
    answer = model(source, target)
    apart = (model(source, other) - answer).abs().amax((0, 2))
    assert apart[:4].max() == 0
    assert apart[4:].min() > 1e-3
    assert (model(read, target) - answer).abs().amax((0, 2)).min() > 1e-3


@each_writer
@pytest.mark.parametrize("portions", [(1,) * 7, (3, 1, 2, 1), (7,)], ids=str)
@torch.inference_mode()
def test_writing_with_a_cache_gives_the_logits_of_the_whole_pass(name: str, portions):
    model, source, target = writer(name), padded(texts()), texts(length=7)
    source[1, 5:] = PAD
    state, logits = model.begin(source, most=9), []
    for part in target.split(portions, dim=1):
        answer, state = model.advance(part, state)
        logits.append(answer)
    torch.testing.assert_close(torch.cat(logits, dim=1), model(source, target))


@each_writer
def test_every_parameter_of_a_writer_learns(name: str):
    model = writer(name).train()
    model(texts(), texts(length=6)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@each_encoder
@each_task
def test_every_parameter_of_an_encoder_learns(name: str, task: str):
    model = encoder(name, task).train()
    answers = model.forward_pair(texts()) if task == MASKED else (model(texts()),)
    sum(answer.square().mean() for answer in answers).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    places = "encoder.embed.places.weight"  # of which 8 of 12 are read
    assert silent == []
    assert dict(model.named_parameters())[places].grad[8:].abs().sum() == 0


@pytest.mark.parametrize("name", ["transformer", "t5"])
def test_a_writer_of_another_vocabulary_is_refused(name: str):
    with pytest.raises(BadArgumentError) as error:
        WRITERS[name]((T, V), 5, task="text-to-text")
    assert str(error.value) == (
        "A network that writes tokens reads and writes one vocabulary: `outputs` must be the "
        "second number of `inputs`. Received inputs=(12, 61), outputs=5; give outputs=61."
    )


class Case:
    """A head and transformers' network with the same."""

    def __init__(self, family: str, task: str, theirs: str, field: str) -> None:
        self.family, self.task, self.theirs, self.field = family, task, theirs, field


HEADS = [
    Case("bert", TEXT, "BertForSequenceClassification", "logits"),
    Case("bert", EACH, "BertForTokenClassification", "logits"),
    Case("bert", MASKED, "BertForPreTraining", "seq_relationship_logits"),
    Case("albert", TEXT, "AlbertForSequenceClassification", "logits"),
    Case("albert", EACH, "AlbertForTokenClassification", "logits"),
    Case("albert", MASKED, "AlbertForPreTraining", "sop_logits"),
]


@pytest.mark.parametrize("case", HEADS, ids=lambda case: case.theirs)
@torch.inference_mode()
def test_a_head_gives_the_answers_of_transformers_own(case: Case):
    theirs, ours = beside(case)
    (ids,) = two_sentences()
    seen = (ids != PAD).long()
    answer = theirs(input_ids=ids, attention_mask=seen, token_type_ids=segments(ids))
    mine = ours.forward_pair(ids)[1] if case.task == MASKED else ours(ids)
    other = getattr(answer, case.field)
    if case.task == EACH:
        mine, other = mine[ids != PAD], other[ids != PAD]
    assert other.std() > 1e-2
    torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def beside(case: Case) -> tuple[nn.Module, nn.Module]:
    transformers = pytest.importorskip("transformers")
    labels = 2 if case.task == MASKED else 5
    sizes = {"vocab_size": V, "max_position_embeddings": T, "num_labels": labels}
    if case.family == "bert":
        config = transformers.BertConfig(
            hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512,
            **sizes,
        )  # fmt: skip
    else:
        config = transformers.AlbertConfig(
            hidden_size=312, num_hidden_layers=4, num_attention_heads=12, intermediate_size=1248,
            hidden_act="gelu_new", **sizes,
        )  # fmt: skip
    torch.manual_seed(0)
    theirs = lively(getattr(transformers, case.theirs)(config))
    translate: Callable = {"bert": bert, "albert": albert}[case.family].from_transformers
    ours = encoder(case.family, case.task)
    ours.load_state_dict(translate(theirs.state_dict()))
    return theirs, ours.eval()


def test_the_first_release_of_bert_named_normalisations_otherwise():
    given = {"bert.encoder.layer.3.output.LayerNorm.gamma": torch.ones(2)}
    assert list(bert.from_transformers(given)) == ["encoder.blocks.3.norm_2.weight"]


@pytest.mark.parametrize("family", ["Bert", "Albert"])
def test_the_bare_encoder_of_transformers_has_the_same_names_without_its_prefix(family: str):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    config = getattr(transformers, f"{family}Config")(**sizes, vocab_size=V, num_hidden_layers=2)
    module = {"Bert": bert, "Albert": albert}[family]
    bare, whole = (
        set(module.from_transformers(getattr(transformers, f"{family}{end}")(config).state_dict()))
        for end in ("Model", "ForPreTraining")
    )
    heads = {"bias", "dense.weight", "dense.bias", "norm.weight", "norm.bias"}
    assert whole - bare == heads | {"pair.weight", "pair.bias"}
    assert bare < whole
