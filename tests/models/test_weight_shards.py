"""Weights in several files, as transformers writes large ones: their index, and what it may say."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import assay
from assay.errors import AssayError, DataError, MissingPathError
from assay.models.weight_files import sha256
from assay.models.weight_index import INDEX, names_by_shard

transformers = pytest.importorskip("transformers")
V, T = 61, 16
IDS = torch.tensor([[2, 9, 30, 44, 3], [2, 8, 31, 12, 50]])
LLAMA = "stories260k (inputs=(16, 61), outputs=61)"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small LLaMA, as transformers saves it in shards."""
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
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="200KB")
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(written, tmp_path / "llama"))


def build(weights: Path | str) -> torch.nn.Module:
    asked = {"inputs": (T, V), "outputs": V, "task": "language-modeling"}
    return assay.build("stories260k", **asked, weights=weights).eval()


def refusal(weights: Path) -> tuple[type, str]:
    with pytest.raises(AssayError) as caught:
        build(weights)
    return type(caught.value), str(caught.value)


@torch.inference_mode()
def test_a_folder_and_its_index_give_transformers_answers(written: Path):
    assert len(names_by_shard(written / INDEX)) > 2
    theirs = transformers.LlamaForCausalLM.from_pretrained(written).eval()
    for weights in (written, str(written / INDEX)):
        ours = build(weights)
        torch.testing.assert_close(ours(IDS), theirs(IDS).logits, rtol=1e-4, atol=1e-5)
        assert ours.pretrained.file == written / INDEX
        assert (ours.pretrained.fresh, ours.pretrained.unused) == ((), ())


@torch.inference_mode()
def test_a_folder_with_one_file_is_read_too(written: Path, tmp_path: Path):
    whole = {k: v for shard in written.glob("*.safetensors") for k, v in load_file(shard).items()}
    save_file(whole, tmp_path / "model.safetensors")
    torch.testing.assert_close(build(tmp_path)(IDS), build(written)(IDS))


@torch.inference_mode()
def test_a_repository_of_the_hub_may_hold_shards(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    home = tmp_path / "models--someone--llama"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text("one")
    shutil.copytree(written, home / "snapshots/one")
    torch.testing.assert_close(build("hf:someone/llama")(IDS), build(written)(IDS))
    first = min((home / "snapshots/one").glob("*.safetensors"))
    first.unlink()
    kind, text = refusal("hf:someone/llama")
    assert kind is MissingPathError
    assert text.startswith(f"{first.name} of hf:someone/llama is not on this machine")


def test_the_hash_is_of_all_shards(folder: Path):
    before = sha256(folder / INDEX)
    shard = max(folder.glob("*.safetensors"))
    save_file({name: value + 1 for name, value in load_file(shard).items()}, shard)
    assert sha256(folder / INDEX) != before
    assert build(folder).pretrained.sha256 == sha256(folder / INDEX)


def test_a_missing_shard_is_named(folder: Path):
    shard = max(folder.glob("*.safetensors"))
    shard.unlink()
    assert refusal(folder) == (
        MissingPathError,
        f"All shards of weights must be beside their index. {str(folder / INDEX)!r} names "
        f"{shard.name!r}, and there is no such file; download it too.",
    )


def test_a_tensor_that_is_in_no_shard_is_named(folder: Path):
    shard = max(folder.glob("*.safetensors"))
    tensors = load_file(shard)
    name = min(tensors)
    del tensors[name]
    save_file(tensors, shard)
    kind, text = refusal(folder)
    assert kind is DataError
    assert text == (
        f"{LLAMA}: A shard of weights holds every tensor that its index names. {str(shard)!r} "
        f"lacks 1: {name}; download it again."
    )


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "model.bin", 3]
)
def test_an_index_that_leads_out_of_its_folder_or_to_a_pickle_is_refused(
    folder: Path, shard: object
):
    facts = json.loads((folder / INDEX).read_text())
    facts["weight_map"]["model.norm.weight"] = shard
    (folder / INDEX).write_text(json.dumps(facts))
    kind, text = refusal(folder)
    assert kind is DataError
    assert text == (
        f"{LLAMA}: The shards of weights are safetensors files beside their index. "
        f"{str(folder / INDEX)!r} has 'model.norm.weight' in {shard!r}; get the index again, from "
        "where you trust it."
    )


@pytest.mark.parametrize("content", ["", "<html>", "[]", "{}", '{"weight_map": {}}'])
def test_an_index_that_is_none_is_refused(folder: Path, content: str):
    (folder / INDEX).write_text(content)
    kind, text = refusal(folder)
    assert kind is DataError
    assert text == (
        f"{LLAMA}: An index of weights is JSON whose `weight_map` names the shard of each tensor. "
        f"{str(folder / INDEX)!r} is none; download it again."
    )


def test_a_folder_without_weights_says_so(tmp_path: Path):
    assert refusal(tmp_path) == (
        MissingPathError,
        "`weights` must be 'torchvision', 'timm', a file, a folder, an address or hf:REPO. "
        f"Received {str(tmp_path)!r}, and it holds neither model.safetensors nor {INDEX}; correct "
        "the path.",
    )
