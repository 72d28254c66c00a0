"""What a network is made of: every layer with its output, its cost and its receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from assay.canon.catalog import catalog
from assay.canon.idea import parted
from assay.canon.pretrained import untrained
from assay.canon.task import Task
from assay.errors import AssayError, BadArgumentError
from assay.models.dry import arguments_of, compute_shape, unstarted
from assay.models.example import blank
from assay.models.foreign import build_any, origin
from assay.models.kind import kind_of_layer
from assay.models.layer import Layer
from assay.models.macs import MacCounter, countable
from assay.models.receptive import Field, follow, start


def anatomy(
    name: str, inputs: tuple[int, ...], outputs: int, task: Task | None = None
) -> list[Layer]:
    """Return the layers of a network of any origin, in the order in which they run.

    It is built without starting values and run without its matrix products, so that the largest
    take a second.

    Args:
        name: A canon name, `timm:NAME`, `torchvision:NAME` or `path/to/file.py:Class`.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        task: Of the network; the one that the shape suggests if not given.

    Raises:
        AssayError: As `build_any`.
    """
    task = task or _task_for(name, inputs)
    with unstarted():
        model = build_any(name, inputs, outputs, task)
    return layers_of(model, inputs, task)


def _task_for(name: str, inputs: tuple[int, ...]) -> Task | None:
    if origin(name)[0] != "canon":
        return None
    card, variant = catalog().entry(parted(untrained(name)[0])[0])
    return card.task_for(variant, inputs)


def layers_of(model: nn.Module, inputs: tuple[int, ...], task: Task | None = None) -> list[Layer]:
    """Return the layers of a network, in the order in which they run for one example.

    Args:
        model: Any network that reads a batch of examples; its values and its mode stay as they
            are.
        inputs: Shape of one example.
        task: Of the network; None stands for one that reads vectors.

    Raises:
        BadArgumentError: The network does not accept such an example.
    """
    example = blank(1, inputs, task)
    tracer = _Tracer(model, example, start(inputs))
    try:
        with countable(model), tracer.listening(), tracer:
            model(*example)
    except AssayError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no text"])[0].rstrip(". ")
        raise BadArgumentError(
            f"A network must read a batch of examples of its input's shape. Received "
            f"inputs={inputs}; it says {type(error).__name__}: {first}."
        ) from error
    return list(_rows(model, tracer))


@dataclass
class _Visit:
    """What a run shows of one module."""

    output: tuple[int, ...] = ()
    field: Field | None = None
    macs: int = 0
    calls: int = 0


class _Tracer(MacCounter):  # type: ignore[no-untyped-call]
    """Runs a network once and takes note, module by module.

    Args:
        model: The network.
        example: What it will read.
        field: What that depends on, which is itself.
    """

    def __init__(self, model: nn.Module, example: tuple[Tensor, ...], field: Field | None) -> None:
        super().__init__()
        self.visits: dict[str, _Visit] = {path: _Visit() for path, _ in model.named_modules()}
        self.order: list[str] = []  # paths as they are first called
        self._model = model
        self._running: list[str] = [""]
        self._fields: Any = WeakIdKeyDictionary()
        for part in example:
            self._remember(part, field)

    def knows(self, func: Any) -> bool:
        return "::upsample_" in func._schema.name  # else it becomes a choice of single values

    def compute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = compute_shape(func, args, kwargs)
        found = map(self._fields.get, _tensors([args, kwargs]))
        fields = [field for field in found if field is not None]
        if fields:
            call = arguments_of(func, args, kwargs)
            for tensor in _tensors(result):
                field = follow(func, call, fields, tuple(tensor.shape))
                self._remember(tensor, field)
                if func._schema.name.endswith("_") and tensor._base is not None:
                    self._remember(tensor._base, field)  # a part of it was written
        return result

    def count(self, macs: int) -> None:
        super().count(macs)
        self.visits[self._running[-1]].macs += macs

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of which module runs and of what it returns."""
        with ExitStack() as hooks:
            for path, module in self._model.named_modules():
                before = module.register_forward_pre_hook(self._enter(path))
                after = module.register_forward_hook(self._leave(path), always_call=True)
                hooks.callback(before.remove)
                hooks.callback(after.remove)
            yield

    def _remember(self, tensor: Tensor, field: Field | None) -> None:
        if field is not None:
            self._fields[tensor] = field

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, arguments: object) -> None:
            self._running.append(path)
            if not self.visits[path].calls:
                self.order.append(path)
            self.visits[path].calls += 1

        return enter

    def _leave(self, path: str) -> Callable[..., None]:
        def leave(module: nn.Module, arguments: object, output: object) -> None:
            self._running.pop()
            first = next(_tensors(output), None)
            if first is None:
                return
            read = next(_tensors(arguments), None)
            if isinstance(module, nn.Linear) and read is not None:
                field = self._fields.get(read)
                if field and read.dim() == 2 + len(field.sizes):
                    self._remember(first, field)  # at each position by itself
            visit = self.visits[path]
            visit.output, visit.field = tuple(first.shape[1:]), self._fields.get(first)

        return leave


def _rows(model: nn.Module, tracer: _Tracer) -> Iterator[Layer]:
    """Yield every module's row, each before those inside it, which come as they first run."""
    modules = dict(model.named_modules())
    own = _own_parameters(modules)
    inside = _inside(list(modules), tracer.order)

    def rows(path: str) -> list[Layer]:
        below = [rows(child) for child in inside[path]]
        visit = tracer.visits[path]
        layer = Layer(
            path=path,
            kind=kind_of_layer(modules[path]),
            output=visit.output,
            parameters=own[path] + sum(layers[0].parameters for layers in below),
            macs=visit.macs + sum(layers[0].macs for layers in below),
            own_parameters=own[path],
            own_macs=visit.macs,
            field=visit.field.told if visit.field else (),
            jump=visit.field.jumps if visit.field else (),
            calls=visit.calls,
        )
        return [layer, *(row for layers in below for row in layers)]

    yield from rows("")


def _own_parameters(modules: dict[str, nn.Module]) -> dict[str, int]:
    """Return each module's count without those inside; what two share is the first one's."""
    seen: set[int] = set()
    counts = {}
    for path, module in modules.items():
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in seen}
        seen |= own.keys()
        counts[path] = sum(own.values())
    return counts


def _inside(paths: list[str], order: list[str]) -> dict[str, list[str]]:
    """Return the paths right inside each path, in the order in which they, or theirs, first run."""
    first: dict[str, int] = {}
    for number, path in enumerate(order):
        while path:
            first.setdefault(path, number)
            path = path.rpartition(".")[0]
    inside: dict[str, list[str]] = {path: [] for path in paths}
    for path in sorted(filter(None, paths), key=lambda path: first.get(path, len(order))):
        inside[path.rpartition(".")[0]].append(path)
    return inside


def _tensors(value: object) -> Iterator[Tensor]:
    """Yield the tensors in an argument or a result, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
