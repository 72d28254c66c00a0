"""GPT-2, LLaMA, GLM and ChatGLM3: caches, padding, places, bounds and names of weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from assay.blocks.decoder_only import DecoderOnly
from assay.blocks.generation import Generative, no_source, reorder
from assay.decoding.greedy import greedy
from assay.decoding.loop import decode
from assay.errors import BadArgumentError
from assay.models.language import chatglm3, glm, gpt2, llama

Builder = Callable[..., DecoderOnly]

SMALLEST: list[Builder] = [
    gpt2.gpt2_nano,
    llama.stories260k,
    glm.glm_tiny,
    chatglm3.chatglm3_tiny,
]
every_family = pytest.mark.parametrize("builder", SMALLEST, ids=lambda b: b.__name__)
PORTIONS = [(0, 3), (3, 4), (4, 7), (7, 9)]


def awake(builder: Builder, task: str, outputs: int = 30) -> DecoderOnly:
    """Return a network in float64 whose weights are large enough for places to matter."""
    torch.manual_seed(0)
    model = builder((16, 30), outputs, task=task)
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(0 if value.dim() > 1 else 1, 0.2)
    return model.eval().double()


@pytest.fixture
def text() -> Tensor:
    torch.manual_seed(1)
    return torch.randint(5, 29, (3, 9))


@pytest.fixture
def sources() -> Tensor:
    """Three of them, of 3, 5 and 6 tokens."""
    torch.manual_seed(2)
    source = torch.randint(5, 29, (3, 6))
    source[0, 3:] = 0
    source[1, 5:] = 0
    return source


def in_portions(model: Generative, tokens: Tensor, source: Tensor) -> Tensor:
    state, pieces = model.begin(source, most=tokens.shape[1]), []
    for first, end in PORTIONS:
        logits, state = model.advance(tokens[:, first:end], state)
        pieces.append(logits)
    return torch.cat(pieces, dim=1)


@every_family
@torch.no_grad()
def test_a_text_in_portions_is_scored_like_the_whole(builder: Builder, text: Tensor):
    model = awake(builder, "language-modeling")
    assert isinstance(model, Generative)
    whole = model(text)
    assert whole.std() > 0.1
    torch.testing.assert_close(in_portions(model, text, no_source(text)), whole)


@every_family
@torch.no_grad()
def test_an_answer_in_portions_is_scored_like_the_whole(
    builder: Builder, text: Tensor, sources: Tensor
):
    model = awake(builder, "text-to-text")
    torch.testing.assert_close(in_portions(model, text, sources), model(sources, text))


@every_family
@torch.no_grad()
def test_rows_of_a_state_may_be_exchanged(builder: Builder, text: Tensor, sources: Tensor):
    model = awake(builder, "text-to-text")
    _, state = model.advance(text[:, :4], model.begin(sources, most=9))
    rows = torch.tensor([2, 0, 0, 1])
    logits, _ = model.advance(text[rows, 4:], reorder(state, rows))
    torch.testing.assert_close(logits, model(sources, text)[rows, 4:])


@every_family
@torch.no_grad()
def test_a_token_sees_no_later_one(builder: Builder, text: Tensor):
    model = awake(builder, "language-modeling")
    other = text.clone()
    other[:, 5] = 7
    before, after = model(text), model(other)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after - before)[:, 5:].abs().amax(-1).min() > 1e-4


@every_family
@torch.no_grad()
def test_padding_changes_no_score(builder: Builder, text: Tensor, sources: Tensor):
    pad = nn.functional.pad
    model = awake(builder, "language-modeling")
    torch.testing.assert_close(model(pad(text, (0, 5)))[:, :9], model(text))
    model = awake(builder, "text-to-text")
    whole = model(sources, text)
    torch.testing.assert_close(model(pad(sources, (0, 5)), text), whole)
    torch.testing.assert_close(model(sources[:1, :3], text[:1]), whole[:1])
    assert model(sources * 0, text).isfinite().all()
    assert model(no_source(text), text).isfinite().all()


@every_family
@torch.no_grad()
def test_every_token_of_a_source_counts(builder: Builder, text: Tensor, sources: Tensor):
    model = awake(builder, "text-to-text")
    whole = model(sources, text)
    for place in range(3):
        other = sources.clone()
        other[:, place] = 29
        assert (model(other, text) - whole).abs().amax((1, 2)).min() > 1e-4


@torch.no_grad()
def test_only_glm_reads_its_source_both_ways(text: Tensor, sources: Tensor):
    """The keys of a source's first token depend on the later ones, or do not."""
    other = sources.clone()
    other[:, 2] = 29
    for builder in SMALLEST:
        model = awake(builder, "text-to-text")
        keys, changed = (model.begin(s, most=1)["rooms"][-1][0][:, :, 0] for s in (sources, other))
        assert torch.allclose(keys, changed) == (builder is not glm.glm_tiny)


@pytest.mark.parametrize("builder", [gpt2.gpt2_nano, llama.stories260k])
@torch.no_grad()
def test_a_text_is_classified_by_its_last_token(builder: Builder, sources: Tensor):
    model = awake(builder, "text-classification", outputs=4)
    scores = model(sources)
    assert scores.shape == (3, 4)
    torch.testing.assert_close(model(sources[:1, :3]), scores[:1])
    for place in range(3):
        other = sources.clone()
        other[:, place] = 29
        assert (model(other) - scores).abs().amax(1).min() > 1e-5


@torch.no_grad()
def test_gpt2_classifies_as_transformers_does(sources: Tensor):
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=30, n_positions=16, n_embd=32, n_layer=2, n_head=4, num_labels=4,
        pad_token_id=0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    theirs = GPT2ForSequenceClassification(config).eval()
    ours = gpt2.sized(
        (16, 30), 4, task="text-classification", embed_dim=32, num_layers=2, num_heads=4
    )
    ours.load_state_dict(gpt2.from_transformers(theirs.state_dict()))
    expected = theirs(sources, attention_mask=(sources != 0).long()).logits
    torch.testing.assert_close(ours.eval()(sources), expected, rtol=1e-4, atol=1e-6)


@every_family
def test_what_does_not_fit_the_context_is_named(builder: Builder, text: Tensor):
    model = awake(builder, "language-modeling")
    long = torch.ones(1, 17, dtype=torch.int64)
    told = (
        "A text must fit the context (n_positions) of 16 tokens that the network was built for. "
        "Received 17 tokens; shorten the text, ask for fewer new tokens, or build the network "
        "with inputs=(17, 30) and train it so."
    )
    state = model.begin(long[:, :0], most=40)
    _, state = model.advance(long[:, :16], state)
    for ask in (lambda: model(long), lambda: model.advance(long[:, :1], state)):
        with pytest.raises(BadArgumentError) as caught:
            ask()
        assert str(caught.value) == told
    answering = awake(builder, "text-to-text")
    for source, answer in ((long, text[:1]), (text[:1], long)):
        with pytest.raises(BadArgumentError) as caught:
            answering(source, answer)
        assert str(caught.value) == told
    assert answering(long[:, 1:], long[:, 1:]).shape == (1, 16, 30)


def test_gpt2_starts_small_where_layers_add():
    torch.manual_seed(0)
    model = gpt2.gpt2_nano((64, 65), 65, task="language-modeling")
    for block in model.blocks:
        assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
        for added in (block.attention.out, block.feedforward.narrow):
            assert added.weight.std().item() == pytest.approx(0.02 / 8**0.5, rel=0.05)
    loss = nn.functional.cross_entropy(
        model(torch.randint(65, (4, 64))).flatten(0, 1), torch.randint(65, (256,))
    )
    assert loss.item() == pytest.approx(torch.tensor(65.0).log().item(), abs=0.1)


def authors_names(layer: str, query: str) -> dict[str, str]:
    return {
        f"{layer}.input_layernorm": "norm_1",
        f"{layer}.post_attention_layernorm": "norm_2",
        f"{layer}.{query}.query_key_value": "attention.qkv",
        f"{layer}.{query}.dense": "attention.out",
        f"{layer}.mlp.dense_h_to_4h": "feedforward.wide",
        f"{layer}.mlp.dense_4h_to_h": "feedforward.narrow",
    }


def test_the_authors_names_of_glm_find_their_places():
    model = glm.glm_tiny((16, 30), 30, task="text-to-text")
    own = model.state_dict()
    outer = {
        "glm.word_embeddings.weight": "tokens.weight",
        "glm.transformer.position_embeddings.weight": "position.table.weight",
        "glm.transformer.block_position_embeddings.weight": "step.table.weight",
        "glm.transformer.final_layernorm.weight": "norm.weight",
        "glm.transformer.final_layernorm.bias": "norm.bias",
    }
    theirs = {name: own[ours] for name, ours in outer.items()}
    for number in range(4):
        names = authors_names(f"glm.transformer.layers.{number}", "attention")
        for kind in ("weight", "bias"):
            theirs |= {f"{n}.{kind}": own[f"blocks.{number}.{o}.{kind}"] for n, o in names.items()}
    assert len(theirs) == len(own)
    translated = glm.from_transformers(theirs)
    assert all(translated[name] is theirs_value for name, theirs_value in own_values(own, theirs))
    model.load_state_dict(translated)


def own_values(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    by_place = {value.data_ptr(): value for value in theirs.values()}
    return [(name, by_place[value.data_ptr()]) for name, value in own.items()]


def test_the_authors_names_of_chatglm3_find_their_places():
    model = chatglm3.chatglm3_tiny((16, 30), 30, task="language-modeling")
    own = model.state_dict()
    outer = {
        "transformer.embedding.word_embeddings.weight": "tokens.weight",
        "transformer.encoder.final_layernorm.weight": "norm.weight",
        "transformer.output_layer.weight": "head.weight",
    }
    theirs = {name: own[ours] for name, ours in outer.items()}
    theirs["transformer.rotary_pos_emb.inv_freq"] = torch.ones(2)
    for number in range(5):
        names = authors_names(f"transformer.encoder.layers.{number}", "self_attention")
        for kind in ("weight", "bias"):
            pairs = ((f"{n}.{kind}", f"blocks.{number}.{o}.{kind}") for n, o in names.items())
            theirs |= {n: own[o] for n, o in pairs if o in own}
    assert len(theirs) == len(own) + 1
    translated = chatglm3.from_transformers(theirs)
    assert all(translated[name] is value for name, value in own_values(own, theirs))
    model.load_state_dict(translated)


@pytest.mark.parametrize("task", ["language-modeling", "text-to-text"])
@every_family
def test_a_decoder_learns_to_count_and_goes_on_counting(builder: Builder, task: str):
    """From a few steps on tokens that follow each other in a circle of ten."""
    torch.manual_seed(0)
    model = builder((12, 15), 15, task=task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        text = 5 + (torch.randint(10, (16, 1)) + torch.arange(13)) % 10
        read = (text[:, :-1],) if task == "language-modeling" else (text[:, :6], text[:, 6:-1])
        answers = text[:, 1:] if task == "language-modeling" else text[:, 7:]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(*read).flatten(0, 1), answers.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.5  # guessing gives 2.3
    source = no_source(text[:2]) if task == "language-modeling" else text[:2, :6]
    start = text[:2, :3] if task == "language-modeling" else text[:2, 6:9]
    found = decode(model.eval(), start, most=4, choose=greedy, source=source)
    assert torch.equal(found, 5 + (start[:, -1:] - 5 + torch.arange(1, 5)) % 10)
