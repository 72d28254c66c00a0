"""A network of sequences or tokens with learned weights, under transformers' names or ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.canon.card import Architecture, Shape, Variant
from assay.canon.task import TASKS, Task
from assay.errors import DataError
from assay.models.build import series
from assay.models.dry import unstarted
from assay.models.weight_fit import Shapes, changed, listed, unwrapped

_UNSEEN = {  # what no shape tells: an attribute of modules, and its names in transformers' families
    "num_heads": ("num_attention_heads", "n_head", "num_heads"),
    "eps": ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "layernorm_epsilon"),
    "approximate": ("hidden_act", "activation_function"),  # of a GELU
    "base": ("rope_theta",),
}
_APPROXIMATE = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
_OF_WORDS = ("language-modeling", "masked-language-modeling", "text-to-text")


@dataclass
class LanguageFit:
    """How the tensors of a file go into a network, and what stands against it.

    Attributes:
        tensors: What to load, under our names.
        fresh: Entries that keep their random values: a head that the file has not.
        unused: The file's entries of heads for other tasks.
        missing: What the file lacks, under our names.
        unexpected: What it has and the network has not, under its own names where they are unknown.
        misshapen: What has another shape, with both.
        vocabulary: Tokens that the file knows, where these are others than asked for.
        places: Length that the file knows, where that is less than asked for.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    vocabulary: int | None = None
    places: int | None = None

    @property
    def faults(self) -> int:
        """How many entries do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


@dataclass(frozen=True)
class Asked:
    """The network that was asked for."""

    card: Architecture
    variant: Variant
    inputs: Shape
    outputs: int
    task: Task

    def shapes(self, *, longer: int = 0, more: int = 0, labels: int = 0) -> Shapes:
        """Return the shapes of what it learns, by name, for other inputs and outputs."""
        length, vocabulary = self.inputs
        outputs = self.outputs + labels + (more if self.task in _OF_WORDS else 0)
        return _shapes(self.variant, (length + longer, vocabulary + more), outputs, self.task)

    def __str__(self) -> str:
        return (
            f"{self.variant.name} (inputs={self.inputs}, outputs={self.outputs}, task={self.task})"
        )


def load_language(
    network: nn.Module, asked: Asked, tensors: Mapping[str, Tensor], file: Path
) -> LanguageFit:
    """Give a network the weights of a file; return how they fitted.

    Args:
        network: As it was asked for.
        asked: What was asked for.
        tensors: Of the file.
        file: Named in errors.

    Raises:
        DataError: They are of another network, vocabulary or length, or their config.json says
            that another setting was used.
    """
    found = _fit(asked, _ours(asked, tensors))
    if found.vocabulary is not None:
        raise _other_vocabulary(asked, file, found.vocabulary)
    if found.places is not None:
        raise _too_short(asked, file, found.places)
    if found.faults:
        raise _misfit(asked, file, found)
    _check_config(network, asked, file.parent / "config.json")
    network.load_state_dict({**network.state_dict(), **found.tensors})
    return found


def _check_config(network: nn.Module, asked: Asked, config: Path) -> None:
    """Refuse weights of a network that differs in what no shape tells; transformers notes it."""
    facts: object = {}
    with suppress(OSError, ValueError):
        facts = json.loads(config.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        return
    for attribute, names in _UNSEEN.items():
        found = (vars(module).get(attribute) for module in network.modules())
        ours = {value for value in found if value is not None}
        name = next((name for name in names if isinstance(facts.get(name), int | float | str)), "")
        if ours and name and _APPROXIMATE.get(facts[name], facts[name]) not in ours:
            raise DataError(
                f"{asked} has {attribute} {min(ours)}. {str(config)!r} says that the weights "
                f"beside it have {name} {facts[name]}, which no shape shows; give a file of this "
                "network."
            )


def _ours(asked: Asked, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under our names, from whichever names leave most of them known."""
    known = _known(asked)
    translate = getattr(_module(asked.variant), "from_transformers", dict)
    plain = list(unwrapped(tensors))
    candidates = [*plain, *(translate(named) for named in plain)]
    return max(candidates, key=lambda named: len(named.keys() & known), default={})


def _fit(asked: Asked, tensors: Mapping[str, Tensor]) -> LanguageFit:
    slots, known = asked.shapes(), _known(asked)
    tokens = TASKS[asked.task].reads == "tokens"
    by_place = changed(slots, asked.shapes(longer=1)) if tokens else {}
    by_word = changed(slots, asked.shapes(more=1)) if tokens else {}
    of_words = asked.task in _OF_WORDS
    by_label = {} if of_words else changed(slots, asked.shapes(labels=1))
    heads = known - _shared_by_tasks(asked)
    found = LanguageFit()
    for name, wanted in slots.items():
        value = tensors.get(name)
        if value is None and name in heads:
            found.fresh += (name,)
        elif value is None:
            found.missing.append(name)
        elif value.shape == wanted:
            found.tensors[name] = value
        elif name in by_place and value.shape[0] > wanted[0]:
            found.tensors[name] = value[: wanted[0]]
        elif name in by_label:
            found.fresh += (name,)
        else:
            other = len(value) != wanted[0]
            found.vocabulary = len(value) if other and name in by_word else found.vocabulary
            found.places = len(value) if other and name in by_place else found.places
            found.misshapen.append(f"{name} {tuple(value.shape)} for {wanted}")
    others = [name for name in tensors if name not in slots]
    found.unused = tuple(name for name in others if name in heads)
    found.unexpected = [name for name in others if name not in heads]
    return found


def _known(asked: Asked) -> set[str]:
    """Return the entries of the network for any task of its card."""
    return set().union(*_by_task(asked))


def _shared_by_tasks(asked: Asked) -> set[str]:
    """Return the entries that the network has for every task of its card: all but the heads."""
    return set.intersection(*_by_task(asked))


def _by_task(asked: Asked) -> list[set[str]]:
    vocabulary = asked.inputs[1]
    return [
        set(_shapes(asked.variant, asked.inputs, vocabulary, task)) for task in asked.card.tasks
    ]


def _shapes(variant: Variant, inputs: Shape, outputs: int, task: Task) -> Shapes:
    with torch.random.fork_rng(devices=[]), unstarted():
        state = series(variant, inputs, outputs, None, task).state_dict()
    return {name: tuple(v.shape) for name, v in state.items() if v.is_floating_point()}


def _module(variant: Variant) -> object:
    return import_module(variant.code.partition(":")[0])


def _other_vocabulary(asked: Asked, file: Path, count: int) -> DataError:
    length, vocabulary = asked.inputs
    outputs = f", outputs={count}" if asked.task in _OF_WORDS else ""
    return DataError(
        f"{asked} reads a vocabulary of {vocabulary:,} tokens. {str(file)!r} was learned with "
        f"{count:,}; build with inputs=({length}, {count}){outputs}, and give it tokens of that "
        "vocabulary."
    )


def _too_short(asked: Asked, file: Path, count: int) -> DataError:
    length, vocabulary = asked.inputs
    return DataError(
        f"{asked} reads texts of up to {length:,} tokens. {str(file)!r} has places for {count:,}; "
        f"build with inputs=({count}, {vocabulary}), and cut texts to that length."
    )


def _misfit(asked: Asked, file: Path, found: LanguageFit) -> DataError:
    faults = (
        listed("missing", found.missing),
        listed("not its own", found.unexpected),
        listed("of another shape", found.misshapen),
    )
    return DataError(
        f"{asked} reads weights of its own names and shapes, or transformers'. {str(file)!r} does "
        f"not fit: {'; '.join(filter(None, faults))}; give a file of this network."
    )
