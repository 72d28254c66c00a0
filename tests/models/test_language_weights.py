"""Weights of networks that read tokens: transformers' own checkpoints, heads, vocabularies."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import assay
from assay.errors import DataError

transformers = pytest.importorskip("transformers")
V, T = 61, 16
MASKED, TEXT = "masked-language-modeling", "text-classification"
IDS = torch.tensor([[2, 9, 30, 44, 3, 0, 0], [2, 8, 31, 12, 50, 60, 3]])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a BERT of the tiny size, as transformers saves it."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=V,
        max_position_embeddings=T,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
    )
    folder = tmp_path_factory.mktemp("bert")
    transformers.BertForPreTraining(config).save_pretrained(folder)
    return folder / "model.safetensors"


def build(file: Path, *, inputs=(T, V), outputs=V, task=MASKED, name="bert_tiny"):
    return assay.build(name, inputs=inputs, outputs=outputs, task=task, weights=file).eval()


@torch.inference_mode()
def test_a_checkpoint_of_transformers_gives_its_answers(bert: Path):
    theirs = transformers.BertForPreTraining.from_pretrained(bert.parent).eval()
    ours = build(bert)
    answer = theirs(input_ids=IDS, attention_mask=(IDS != 0).long()).prediction_logits
    torch.testing.assert_close(ours(IDS)[IDS != 0], answer[IDS != 0], rtol=1e-4, atol=1e-6)
    assert (ours.pretrained.fresh, ours.pretrained.unused) == ((), ())
    assert ours.pretrained.source == str(bert)


@torch.inference_mode()
def test_a_head_that_the_file_has_not_stays_random_and_the_encoder_is_the_files(bert: Path):
    whole, labels = build(bert), build(bert, outputs=3, task=TEXT)
    assert labels(IDS).shape == (2, 3)
    torch.testing.assert_close(labels.encoder(IDS), whole.encoder(IDS))
    assert labels.pretrained.fresh == ("head.weight", "head.bias")
    assert set(labels.pretrained.unused) == {
        "bias", "dense.weight", "dense.bias", "norm.weight", "norm.bias", "pair.weight",
        "pair.bias",
    }  # fmt: skip


@torch.inference_mode()
def test_shorter_texts_use_the_first_places(bert: Path):
    whole, short = build(bert), build(bert, inputs=(7, V))
    torch.testing.assert_close(short(IDS), whole(IDS))


@torch.inference_mode()
def test_our_own_names_are_read_too(bert: Path, tmp_path: Path):
    whole = build(bert)
    save_file(whole.state_dict(), tmp_path / "own.safetensors")
    torch.testing.assert_close(build(tmp_path / "own.safetensors")(IDS), whole(IDS))


def test_another_vocabulary_is_refused(bert: Path):
    with pytest.raises(DataError) as error:
        build(bert, inputs=(T, 70), outputs=70)
    assert str(error.value) == (
        "bert_tiny (inputs=(16, 70), outputs=70, task=masked-language-modeling) reads a vocabulary "
        f"of 70 tokens. {str(bert)!r} was learned with 61; build with inputs=(16, 61), outputs=61, "
        "and give it tokens of that vocabulary."
    )


def test_longer_texts_than_the_file_knows_are_refused(bert: Path):
    with pytest.raises(DataError) as error:
        build(bert, inputs=(20, V))
    assert str(error.value) == (
        "bert_tiny (inputs=(20, 61), outputs=61, task=masked-language-modeling) reads texts of up "
        f"to 20 tokens. {str(bert)!r} has places for 16; build with inputs=(16, 61), and cut texts "
        "to that length."
    )


@pytest.mark.parametrize(
    ("noted", "told", "ours"),
    [
        ('"num_attention_heads": 2', '"num_attention_heads": 4', "num_heads 2"),
        ('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-05', "eps 1e-12"),
        ('"hidden_act": "gelu"', '"hidden_act": "gelu_new"', "approximate none"),
        ('"hidden_act": "gelu"', '"hidden_act": "relu"', "approximate none"),
    ],
)
def test_what_no_shape_tells_is_read_from_the_config(
    bert: Path, tmp_path: Path, noted: str, told: str, ours: str
):
    (tmp_path / "model.safetensors").write_bytes(bert.read_bytes())
    config = (bert.parent / "config.json").read_text()
    assert noted in config
    (tmp_path / "config.json").write_text(config.replace(noted, told))
    with pytest.raises(DataError) as error:
        build(tmp_path / "model.safetensors")
    theirs = told.replace('"', "").replace(":", "")
    assert str(error.value) == (
        f"bert_tiny (inputs=(16, 61), outputs=61, task=masked-language-modeling) has {ours}. "
        f"{str(tmp_path / 'config.json')!r} says that the weights beside it have {theirs}, which "
        "no shape shows; give a file of this network."
    )


def test_another_width_is_not_taken_for_another_vocabulary(bert: Path, tmp_path: Path):
    tensors = load_file(bert)
    narrow = {name: t[:, :64] if t.shape[:1] in ((V,), (T,)) and t.dim() == 2 else t
              for name, t in tensors.items()}  # fmt: skip
    save_file({k: v.contiguous() for k, v in narrow.items()}, tmp_path / "narrow.safetensors")
    with pytest.raises(DataError, match=r"of another shape [^;]*\(61, 64\) for \(61, 128\)"):
        build(tmp_path / "narrow.safetensors")


def test_what_does_not_fit_is_named(bert: Path, tmp_path: Path):
    tensors = load_file(bert)
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    tensors["bert.encoder.layer.0.output.dense.bias"] = torch.zeros(5)
    tensors["vision.weight"] = torch.zeros(1)
    file = tmp_path / "spoilt.safetensors"
    save_file(tensors, file)
    with pytest.raises(DataError) as error:
        build(file)
    assert str(error.value) == (
        "bert_tiny (inputs=(16, 61), outputs=61, task=masked-language-modeling) reads weights of "
        f"its own names and shapes, or transformers'. {str(file)!r} does not fit: missing 1: "
        "encoder.blocks.1.feedforward.narrow.bias; not its own 1: vision.weight; of another shape "
        "1: encoder.blocks.0.feedforward.narrow.bias (5,) for (128,); give a file of this network."
    )


@torch.inference_mode()
def test_t5_reads_a_checkpoint_with_and_without_an_output_of_its_own(tmp_path: Path):
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=V, d_model=256, d_kv=64, d_ff=1024, num_layers=2, num_heads=4
    )
    theirs = transformers.T5ForConditionalGeneration(config).eval()
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    ours = build(file, task="text-to-text", name="t5_efficient_tiny_nl2")
    answer = theirs(input_ids=IDS, attention_mask=(IDS != 0).long(), decoder_input_ids=IDS[:, :4])
    torch.testing.assert_close(ours(IDS, IDS[:, :4]), answer.logits, rtol=1e-4, atol=1e-5)
    copied = {**load_file(file), "lm_head.weight": theirs.shared.weight.detach().clone()}
    save_file(copied, tmp_path / "copied.safetensors")
    again = build(
        tmp_path / "copied.safetensors", task="text-to-text", name="t5_efficient_tiny_nl2"
    )
    torch.testing.assert_close(again(IDS, IDS[:, :4]), answer.logits, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_decoder_reads_a_checkpoint_and_keeps_it_behind_a_head_of_labels(tmp_path: Path):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=V,
        hidden_size=64,
        num_hidden_layers=5,
        num_attention_heads=8,
        num_key_value_heads=4,
        intermediate_size=172,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    ours = build(file, task="language-modeling", name="stories260k")
    torch.testing.assert_close(ours(IDS[1:]), theirs(IDS[1:]).logits, rtol=1e-4, atol=1e-5)
    labels = build(file, outputs=3, task=TEXT, name="stories260k")
    assert labels(IDS).shape == (2, 3)
    assert all("head" in name for name in labels.pretrained.fresh)
    with pytest.raises(DataError, match="was learned with 61"):
        build(file, inputs=(T, 70), outputs=70, task="language-modeling", name="stories260k")


def test_a_file_without_weights_lacks_them_all(tmp_path: Path):
    save_file({"step": torch.tensor(3)}, tmp_path / "step.safetensors")
    with pytest.raises(DataError, match=r"does not fit: missing \d+: "):
        build(tmp_path / "step.safetensors")
