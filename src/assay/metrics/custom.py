"""Metrics from outside: path/to/file.py:function, and torchmetrics:NAME."""

from __future__ import annotations

import inspect
import math
import runpy
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from assay.errors import BadArgumentError, MissingExtraError, MissingPathError, nearest
from assay.metrics.jackknife import grouped
from assay.metrics.metric import Array, Metric

Function = Callable[[Array, Array], Any]


def file_metric(name: str, task: str) -> Metric:
    """Return the metric that a function of a user's file computes; the file is executed.

    The function gets predictions (float32 probabilities (N, K), or values (N,)) and truth (N,), of
    forecasts both (N, H), and returns a number; larger is better unless it has the attribute
    `higher_is_better = False`.

    Args:
        name: path/to/file.py:function.
        task: Of the study.

    Raises:
        MissingPathError: The file is not there.
        BadArgumentError: It cannot be executed, or has no such function. The metric itself raises
            this too, where the function fails or does not return a finite number.
    """
    file, _, wanted = name.rpartition(":")
    if not file or not wanted:
        raise BadArgumentError(
            f"A file must be followed by its function, path/to/file.py:function. Received {name!r}."
        )
    path = Path(file).expanduser()
    if not path.is_file():
        raise MissingPathError(f"There is no file {str(path)!r}; correct the path of {name!r}.")
    found = _executed(path)
    function = found.get(wanted)
    if not callable(function):
        known = [key for key, value in found.items() if inspect.isfunction(value)]
        raise BadArgumentError(
            f"{path} has no function {wanted!r}.{nearest(wanted, known)} "
            "Name one as path/to/file.py:function."
        )
    higher = bool(getattr(function, "higher_is_better", True))
    return _metric(name, wanted, task, function, higher_is_better=higher)


def torchmetrics_metric(name: str, task: str) -> Metric:
    """Return a metric of the library torchmetrics, which imports torch.

    Args:
        name: torchmetrics:NAME, such as torchmetrics:CohenKappa.
        task: Of the study.

    Raises:
        MissingExtraError: torchmetrics is not installed.
        BadArgumentError: It has no such metric, or cannot compute it from predictions and truth.
    """
    try:
        import torchmetrics
    except ImportError as error:
        raise MissingExtraError(
            "torchmetrics:NAME needs torchmetrics, which is not installed: "
            "pip install 'assay[torchmetrics]'."
        ) from error
    wanted = name.partition(":")[2]
    maker = getattr(torchmetrics, wanted, None)
    if not (inspect.isclass(maker) and issubclass(maker, torchmetrics.Metric)):
        close = nearest(name, [f"torchmetrics:{known}" for known in torchmetrics.__all__])
        raise BadArgumentError(
            f"`metric` must name a metric of torchmetrics. Received {name!r}.{close}"
        )
    higher = getattr(_made(maker, task, 2), "higher_is_better", None)
    if higher is None:
        raise BadArgumentError(
            f"`metric` must say whether larger is better, and {name} does not for {task}; compute "
            "it in a file.py:function."
        )

    def function(predicted: Array, truth: Array) -> Any:
        import torch

        classes = predicted.shape[1] if predicted.ndim > 1 else 0
        metric = _made(maker, task, classes)
        return metric(torch.from_numpy(predicted), torch.from_numpy(truth)).item()

    return _metric(name, wanted, task, function, higher_is_better=higher)


def _made(maker: type, task: str, classes: int) -> Any:
    """Return a metric object, or None where it wants to know more than the classes."""
    takes = inspect.signature(maker).parameters
    ours = {"task": "multiclass", "num_classes": classes}
    given = {k: v for k, v in ours.items() if k in takes and task.endswith("classification")}
    try:
        return maker(**given)
    except (TypeError, ValueError):
        return None


def _metric(
    name: str, label: str, task: str, function: Function, *, higher_is_better: bool
) -> Metric:
    return Metric(
        name=name,
        en=label.replace("_", " "),
        zh=label.replace("_", " "),
        tasks=(task,),
        score=partial(grouped, partial(_number, name, _of_task(function, task))),
        source=name,
        higher_is_better=higher_is_better,
    )


def _of_task(function: Function, task: str) -> Function:
    """Return a function that gets the truth of forecasts as (N, H), without the naive error."""
    if task != "forecasting":
        return function
    return lambda predicted, truth: function(predicted, truth[:, :-1].copy())


def _number(name: str, function: Function, predicted: Array, truth: Array) -> float:
    """Return what a stranger's function says, if it is a finite number."""
    try:
        answer = function(predicted, truth)
    except MemoryError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no text"])[0].rstrip(". ")
        raise _refusal(name, predicted, f"raised {type(error).__name__}: {first}") from error
    try:
        value = float(answer)
    except (TypeError, ValueError) as error:
        raise _refusal(name, predicted, f"returned {type(answer).__name__}") from error
    if not math.isfinite(value):
        raise _refusal(name, predicted, f"returned {value}")
    return value


def _refusal(name: str, predicted: Array, what: str) -> BadArgumentError:
    return BadArgumentError(
        f"A metric must return one finite number. {name} {what}, given predictions of shape "
        f"{predicted.shape} and their truth; correct it or choose another with --metric."
    )


def _executed(path: Path) -> dict[str, Any]:
    """Return what a file defines; it may import its neighbours."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        return runpy.run_path(str(path))
    except MemoryError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no text"])[0].rstrip(". ")
        raise BadArgumentError(
            f"{path} cannot be executed. It raised {type(error).__name__}: {first}; correct it."
        ) from error
    finally:
        sys.path.remove(folder)
