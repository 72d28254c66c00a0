"""Networks from outside the canon: timm:NAME, torchvision:NAME, path/to/file.py:Class.

Torch is imported by the first build; digests and descriptions need none.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from assay.canon.card import Shape, kind_of
from assay.canon.catalog import PACKAGE, catalog, code_digest
from assay.canon.idea import EACH, check_removable, parted
from assay.canon.pretrained import untrained
from assay.canon.task import Task
from assay.errors import (
    AssayError,
    BadArgumentError,
    MissingExtraError,
    MissingPathError,
    UnknownNameError,
    nearest,
)
from assay.models.build import unchecked

if TYPE_CHECKING:
    from torch import nn

Origin = Literal["canon", "timm", "torchvision", "file"]

_SURGERY = ("ablation.py", "ablation_series.py", "surgery.py")  # what removes an idea

# Without these two options torchvision warns, and answers with a tuple while training.
_ONE_ANSWER: Mapping[str, Mapping[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def origin(name: str) -> tuple[Origin, str]:
    """Return where a candidate comes from, and its name there (a file's keeps its path)."""
    library, colon, rest = name.partition(":")
    if colon and library == "timm":
        return "timm", rest
    if colon and library == "torchvision":
        return "torchvision", rest
    if name.endswith(".py") or name.rpartition(":")[0].endswith(".py"):
        return "file", name
    return "canon", name


def build_any(name: str, inputs: Shape, outputs: int, task: Task | None = None) -> nn.Module:
    """Return a new network of any origin; a foreign one is checked by one forward pass.

    Args:
        name: A canon name (also NAME-without-IDEA, and NAME-pretrained for the form that
            published weights fit), `timm:NAME`, `torchvision:NAME` or `path/to/file.py:Class`.
        inputs: Shape of one example.
        outputs: Classes to score, values to predict, or words to choose from.
        task: Of the data; the one that the shape suggests if not given.

    Raises:
        UnknownNameError: Neither the canon nor the library has such a name.
        BadArgumentError: It cannot be built for these shapes, or answers wrongly.
        MissingExtraError: The library that has it is not installed.
        MissingPathError: The file is not there.
    """
    where, local = origin(name)
    if where == "canon":
        whole, starts = untrained(name)
        if starts:
            from assay.models.start import build_to_start

            return build_to_start(whole, inputs, outputs)
        return unchecked(name, inputs=inputs, outputs=outputs, task=task)
    makers: Mapping[str, Callable[..., nn.Module]] = {
        "timm": _from_timm,
        "torchvision": _from_torchvision,
        "file": partial(_from_file, task=task),
    }
    with _own_words(name, "could not be built", tuple(inputs), outputs):
        network = makers[where](local, tuple(inputs), outputs)
    _check_answer(name, network, tuple(inputs), outputs, task)
    return network


def foreign_digest(name: str) -> str:
    """Return the sha256 of what a candidate's code is, without importing torch.

    A canon entry's is that of its files, and of what removes an idea where one is removed; a
    library's that of its version, a file's that of its bytes; what the file imports is not looked
    at.
    """
    where, local = origin(name)
    if where == "canon":
        return _canon_digest(*parted(untrained(name)[0]))
    if where == "file":
        path, class_name = _file_and_class(local)
        return _sha256(class_name.encode(), path.read_bytes())
    return _sha256(f"{where}:{local} {_version(where)}".encode())


def _canon_digest(whole: str, idea: str | None) -> str:
    card, variant = catalog().entry(whole)
    if idea is None:
        return code_digest(card)
    if idea != EACH or not card.removable:
        check_removable(card, variant.name, idea)
    surgery = ((PACKAGE / "models" / name).read_bytes() for name in _SURGERY)
    return _sha256(code_digest(card).encode(), idea.encode(), *surgery)


def foreign_adaptation(name: str, inputs: Shape) -> dict[str, str]:
    """Return what is changed in a foreign network so that it reads `inputs`: {"en", "zh"}."""
    where, _ = origin(name)
    if where != "torchvision" or len(inputs) != 3 or inputs[0] == 3:
        return {}
    return {
        "en": f"Its first convolution is replaced by one that reads {inputs[0]} channels, not 3.",
        "zh": f"首个卷积层换成读取 {inputs[0]} 个通道的卷积，而不是 3 个。",
    }


def _from_timm(name: str, inputs: Shape, outputs: int) -> nn.Module:
    _require_images(f"timm:{name}", inputs)
    timm = _library("timm")
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    return timm.create_model(name, pretrained=False, num_classes=outputs, in_chans=inputs[0])


def _from_torchvision(name: str, inputs: Shape, outputs: int) -> nn.Module:
    _require_images(f"torchvision:{name}", inputs)
    models = _library("torchvision").models
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    options = _ONE_ANSWER.get(name, {})
    network = models.get_model(name, weights=None, num_classes=outputs, **options)
    if inputs[0] != 3:
        _swap_first_convolution(network, inputs[0])
    return network


def _swap_first_convolution(network: nn.Module, channels: int) -> None:
    """Replace the convolution that reads colour images by an equal one for `channels`."""
    from torch import nn

    for name, old in network.named_modules():
        if isinstance(old, nn.Conv2d) and old.in_channels == 3:
            new = nn.Conv2d(
                channels,
                old.out_channels,
                old.kernel_size,  # type: ignore[arg-type]
                old.stride,  # type: ignore[arg-type]
                old.padding,  # type: ignore[arg-type]
                old.dilation,  # type: ignore[arg-type]
                bias=old.bias is not None,
                padding_mode=old.padding_mode,
            )
            network.set_submodule(name, new)
            return
    raise BadArgumentError(
        f"This network has no convolution that reads 3 channels, so it cannot be made to read "
        f"{channels}; give colour images or choose another network."
    )


def _from_file(name: str, inputs: Shape, outputs: int, *, task: Task | None) -> nn.Module:
    path, class_name = _file_and_class(name)
    with _beside(path):
        module = _execute(path)
        maker = getattr(module, class_name, None)
        if not callable(maker):
            known = [key for key, value in vars(module).items() if inspect.isclass(value)]
            raise BadArgumentError(
                f"{path} has no class {class_name!r}.{nearest(class_name, known)} "
                "Name one as path/to/file.py:Class."
            )
        return maker(**_arguments(name, maker, inputs, outputs, task))


def _file_and_class(name: str) -> tuple[Path, str]:
    file, _, class_name = name.rpartition(":")
    if not file or not class_name:
        raise BadArgumentError(
            f"A file must be followed by its class, path/to/file.py:Class. Received {name!r}."
        )
    path = Path(file).expanduser()
    if not path.is_file():
        raise MissingPathError(f"There is no file {str(path)!r}; correct the path of {name!r}.")
    return path, class_name


def _execute(path: Path) -> ModuleType:
    """Return the file as a module; exactly the bytes on disk, no bytecode written beside it."""
    source = path.read_bytes()
    module = ModuleType(f"assay_file_{_sha256(str(path.resolve()).encode(), source)[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, str(path), "exec"), vars(module))
    return module


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let a file import its neighbours."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _arguments(
    name: str, maker: Callable[..., Any], inputs: Shape, outputs: int, task: Task | None
) -> dict[str, Shape | int | str | None]:
    """Return those of the names we can fill that the class takes."""
    ours: dict[str, Shape | int | str | None] = {
        "inputs": inputs,
        "outputs": outputs,
        "in_channels": inputs[0] if kind_of(inputs) == "image" else inputs[-1],
        "num_classes": outputs,
        "task": task,
    }
    takes = inspect.signature(maker).parameters.values()
    open_ones = [p for p in takes if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    strange = [p.name for p in open_ones if p.default is p.empty and p.name not in ours]
    if strange:
        raise BadArgumentError(
            f"{name} must be callable with no more than {', '.join(ours)}. It also requires "
            f"{', '.join(strange)}; give these a default."
        )
    return {p.name: ours[p.name] for p in open_ones if p.name in ours}


def _check_answer(
    name: str, network: object, inputs: Shape, outputs: int, task: Task | None
) -> None:
    """Refuse what does not turn two examples into scores of the task's shape."""
    import torch
    from torch import nn

    from assay.models.example import answer_shape, blank

    if not isinstance(network, nn.Module):
        raise BadArgumentError(
            f"{name} must make a torch.nn.Module. Received {type(network).__name__}."
        )
    network.eval()  # no random draws, no statistics changed
    with _own_words(name, "does not accept the shape", inputs, outputs), torch.no_grad():
        answer = network(*blank(2, inputs, task))
    network.train()
    got = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
    wanted = answer_shape(2, inputs, outputs, task)
    if got != wanted:
        raise BadArgumentError(
            f"{name} must answer two examples of shape {inputs} with scores of shape "
            f"{wanted}. Received {got}; change its last layer."
        )


@contextmanager
def _own_words(name: str, problem: str, inputs: Shape, outputs: int) -> Iterator[None]:
    """Turn whatever a stranger's code raises into one sentence; ours passes."""
    try:
        yield
    except (AssayError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no text"])[0].rstrip(". ")
        raise BadArgumentError(
            f"{name} {problem}. Received inputs={inputs}, outputs={outputs}; it says "
            f"{type(error).__name__}: {first}."
        ) from error


def _require_images(name: str, inputs: Shape) -> None:
    if kind_of(inputs) != "image":
        raise BadArgumentError(
            f"{name} reads images (C, H, W). Received inputs={inputs}; choose another network."
        )


def _library(extra: str) -> Any:
    _version(extra)
    try:
        return import_module(extra)
    except Exception as error:  # torchvision built for another torch raises RuntimeError
        raise MissingExtraError(
            f"{extra} is installed but cannot be imported ({type(error).__name__}); "
            f"install one that fits this torch: pip install --upgrade 'assay[{extra}]'."
        ) from error


def _version(extra: str) -> str:
    try:
        return metadata.version(extra)
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError(
            f"{extra}:NAME needs {extra}, which is not installed: pip install 'assay[{extra}]'."
        ) from error


def _unknown(library: str, name: str, known: list[str]) -> UnknownNameError:
    asked, whole = f"{library}:{name}", [f"{library}:{one}" for one in known]
    return UnknownNameError(
        f"Unknown name {asked!r}.{nearest(asked, whole)} "
        f"{library}'s `list_models()` shows all {len(known)}."
    )


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
