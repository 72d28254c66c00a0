"""From the name of a run to a model that predicts."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from assay.data.names import shown
from assay.errors import BadArgumentError, DataError
from assay.models.foreign import build_any, foreign_digest
from assay.ship.artifact import Artifact, check_weights, read_artifact
from assay.ship.find import find_artifact
from assay.ship.predictor import Predictor

if TYPE_CHECKING:
    from assay.store.store import Store

_LIBRARY = re.compile(r"(timm|torchvision):[A-Za-z0-9_.]+")  # no path and no address: nothing is
_CANON = re.compile(r"[A-Za-z0-9_-]+")  # imported from a place that a file names, or downloaded


def load(
    run: str | Path, *, store: Store | str | Path | None = None, code: str | None = None
) -> Predictor:
    """Return a trained model with `predict`; its preprocessing is part of it.

    Args:
        run: A folder with an artifact or with a run's results; or a study's id or the beginning
            of one; or ID/CANDIDATE for a candidate other than the winner.
        store: Where ids are looked up; `assay-runs` in the working folder when None.
        code: For a network of the user's own: its file and class, "my_net.py:Net". An artifact
            never names code to import.

    Raises:
        BadArgumentError: `code` is needed, or is given where none is used.
        DataError: The artifact is damaged, or its weights do not fit the network.
        MissingPathError: There is no artifact.
    """
    artifact = read_artifact(find_artifact(run, store))
    network = _network(artifact, code)
    check_weights(artifact)
    tensors = read_weights(artifact.weights)
    with torch.random.fork_rng(devices=[]):  # building draws numbers; the caller's stay as they are
        model = build_any(network, artifact.inputs, artifact.outputs, artifact.task)
    put_weights(model, tensors, artifact)
    _compare_code(artifact, network)
    return Predictor(artifact, model)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        DataError: It is no safetensors file.
    """
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise DataError(
            f"{shown(path)} has to be a safetensors file. It is damaged ({_first_line(error)}); "
            "copy the artifact again."
        ) from error


def put_weights(model: nn.Module, tensors: dict[str, Tensor], artifact: Artifact) -> None:
    """Give a network its trained weights and set it to evaluation.

    Raises:
        DataError: Names or shapes differ, or a weight is no finite number.
    """
    own = model.state_dict()
    faults = [
        _listed("missing", sorted(set(own) - set(tensors))),
        _listed("not the network's", sorted(set(tensors) - set(own))),
        _listed(
            "of another shape",
            [
                f"{key} {tuple(tensors[key].shape)} for {tuple(own[key].shape)}"
                for key in sorted(set(own) & set(tensors))
                if own[key].shape != tensors[key].shape
            ],
        ),
    ]
    if any(faults):
        raise DataError(
            f"{shown(artifact.weights)} has to hold the weights of {shown(artifact.name)}. They do "
            f"not fit: {'; '.join(filter(None, faults))}. Use the code and the version it was "
            f"trained with (assay {shown(artifact.assay)})."
        )
    broken = sorted(k for k, t in tensors.items() if t.is_floating_point() and not _finite(t))
    if broken:
        raise DataError(
            f"{shown(artifact.weights)} has to hold finite numbers. "
            f"{_listed('NaN or infinite', broken)}; train this candidate again."
        )
    model.load_state_dict(tensors)
    model.eval().requires_grad_(requires_grad=False)


def is_own_code(name: str) -> bool:
    """Return whether a network's name points at a user's file, by its form alone."""
    return not (_LIBRARY.fullmatch(name) or _CANON.fullmatch(name))


def _network(artifact: Artifact, code: str | None) -> str:
    """Return the name to build: an artifact's own only when it cannot point at a file."""
    if is_own_code(artifact.name):
        if code is None:
            raise BadArgumentError(
                f"{artifact.name!r} is code of yours, and an artifact never names code to run. "
                "Received no code; name the file and class again: --code FILE.py:Class, or "
                "code='FILE.py:Class' in Python."
            )
        if ".py:" not in code:
            raise BadArgumentError(
                f"Code is named as FILE.py:Class. Received code={code!r}; write for example "
                "my_net.py:Net."
            )
        return code
    if code is not None:
        raise BadArgumentError(
            f"Code is named only for a network from a file of yours. Received code={code!r} for "
            f"{artifact.name}; leave it out."
        )
    return artifact.name


def _compare_code(artifact: Artifact, network: str) -> None:
    if foreign_digest(network) != artifact.digest:
        warnings.warn(
            f"The code of {network} is not the code that {shown(artifact.folder)} was trained with "
            f"(assay {artifact.assay}): the weights fit, but check a few answers.",
            stacklevel=3,
        )


def _listed(what: str, names: list[str], most: int = 5) -> str:
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{what}: {', '.join(names[:most])}{more}"


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
