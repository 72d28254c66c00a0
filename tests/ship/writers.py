"""Saved networks that write, with the tokenizer that they read by; nothing was trained."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.data.tokenizer import Tokenizer, train_tokenizer
from assay.models.build import build
from assay.models.foreign import foreign_digest
from assay.ship.artifact import Artifact, write_artifact

TEXT = "The cat sat on the mat, and the dog ran. \u732b\u5750\u5728\u57ab\u5b50\u4e0a\u3002 " * 20
CONTEXT = 32


def tokenizer(kind: str = "bpe") -> Tokenizer:
    return train_tokenizer(kind, [TEXT], vocabulary=300)


def facts(task: str, *, kind: str = "bpe", name: str = "gpt2_nano", **changes) -> Artifact:
    """Return what an artifact of a network that writes says."""
    read_by = tokenizer(kind)
    size = read_by.vocabulary
    preprocessing = {
        "kind": "tokens",
        "tokenizer": read_by.facts(),
        "length": CONTEXT,
        "vocabulary": size,
        "language": "zh",
        "begin": False,
        "end": task == "text-to-text",
    }
    if task == "text-to-text":
        preprocessing["answer_length"] = 7
    told = {
        "folder": Path("nowhere"),
        "name": name,
        "digest": foreign_digest(name),
        "family": "transformer",
        "adaptation": {},
        "task": task,
        "inputs": (CONTEXT, size),
        "outputs": size,
        "classes": (),
        "preprocessing": preprocessing,
        "target": {},
        "data": {},
        "card": {},
    }
    return Artifact(**{**told, **changes})


def saved(folder: Path, task: str, name: str, **changes) -> Path:
    """Return a folder with an artifact of a network as it is before training."""
    told = facts(task, name=name, folder=folder / "model", **changes)
    torch.manual_seed(0)
    network = build(name, inputs=told.inputs, outputs=told.outputs, task=told.task)
    tensors = {key: value.clone() for key, value in network.state_dict().items()}
    for value in tensors.values():
        value.mul_(4)  # as sure of itself as a trained one
    save_file(tensors, folder / "weights.safetensors")
    return write_artifact(told, folder / "weights.safetensors")


class Spelling(nn.Module):
    """A language model that writes a given text, whatever it has read, and then ends.

    It is told how many tokens have been read and needs no context.
    """

    def __init__(self, tokens: list[int], vocabulary: int, *, prompt: int) -> None:
        super().__init__()
        self.tokens, self.vocabulary, self.prompt = tokens, vocabulary, prompt

    def begin(self, source: Tensor, *, most: int) -> int:
        return 0

    def advance(self, tokens: Tensor, at: int) -> tuple[Tensor, int]:
        logits = torch.full((*tokens.shape, self.vocabulary), -30.0)
        for step in range(tokens.shape[1]):
            place = at + step + 1 - self.prompt
            token = self.tokens[place] if 0 <= place < len(self.tokens) else 3
            logits[:, step, token] = 30.0
        return logits, at + tokens.shape[1]
