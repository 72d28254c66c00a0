"""The layer table under `assay show VARIANT`, and where tables are kept once they are made."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from assay.canon.card import Architecture, Lang, Shape, Variant
from assay.canon.catalog import PACKAGE, catalog
from assay.canon.idea import IDEAS, parted
from assay.canon.task import TASKS
from assay.cli.columns import print_folded, print_table
from assay.cli.setting import NATIVE, OUTPUTS, Setting, setting_of, task_named
from assay.engine.cache import cache_dir
from assay.engine.spec import digest
from assay.errors import AssayError, BadArgumentError
from assay.models.foreign import foreign_digest, origin
from assay.models.layer import Layer, Node, tree

DEPTH = 3  # of the table unless another is asked for: blocks of a stage, in most networks
_WORDS = {
    "layer": "层",
    "kind": "类型",
    "output": "输出",
    "parameters": "参数量",
    "MACs": "乘加次数",
    "field": "感受野",
    "all": "全部",
    "(itself)": "（自身）",
    "total": "合计",
}
_TOTAL = {
    "en": "{parameters:,} parameters, {macs:,} MACs for {given}",
    "zh": "{given} 时，参数量 {parameters:,}，乘加次数 {macs:,}",
}
_LEGEND: Mapping[Lang, str] = {
    "en": "field: input positions that one value of the output sees / between two such values",
    "zh": "感受野：一个输出值所依赖的输入范围 / 相邻输出值在输入上的间距",
}
_ALL: Mapping[Lang, str] = {
    "en": "all: after a global pool, that of squeeze-and-excitation included",
    "zh": "全部：经过全局池化之后，包括压缩-激励（SE）中的全局池化",
}
_HUGE = 2 * 10**8, 5 * 10**10  # parameters or MACs from which no memory is set aside
_UNKNOWN: Mapping[Lang, str] = {
    "en": "–: after attention and whatever else is neither convolution nor pool",
    "zh": "–：经过注意力等既非卷积也非池化的操作之后，不作计算",
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a layer, or a run of equal ones side by side."""

    path: str
    count: int
    node: Node
    own: bool = False  # only what is the layer's own, the rest having lines below

    @property
    def layer(self) -> Layer:
        """The layer, the last of a run."""
        return self.node.layer

    @property
    def parameters(self) -> int:
        """Of all of them."""
        return self.count * (self.layer.own_parameters if self.own else self.layer.parameters)

    @property
    def macs(self) -> int:
        """Of all of them."""
        return self.count * (self.layer.own_macs if self.own else self.layer.macs)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the table."""
    parser.add_argument(
        "--input",
        metavar="SHAPE",
        help="the layer table for this input, such as 3x224x224, or 64x8000 for 64 tokens out of "
        "8000 (default: the native one)",
    )
    parser.add_argument("--task", help="the layer table for this task (default: the native one)")
    parser.add_argument(
        "--depth",
        type=int,
        metavar="N",
        help=f"every layer down to this depth (default: the blocks, at most {DEPTH} deep, "
        "equal ones on one line)",
    )


def is_foreign(name: str) -> bool:
    """Return whether a name is not the canon's, so that it has layers but no card."""
    return origin(name)[0] != "canon"


def has_card(name: str) -> bool:
    """Return whether a card tells of the network as it is, with no idea taken out."""
    return not is_foreign(name) and parted(name)[1] is None


def entry(name: str) -> tuple[str, Architecture, Variant]:
    """Return a canon network's name, card and variant; a card's id is its default variant's.

    Raises:
        UnknownNameError: The canon has no such name.
    """
    whole, idea = parted(name)
    card, variant = catalog().entry(whole)
    return name if idea else variant.name, card, variant


def run(args: argparse.Namespace) -> None:
    """Print the layers alone."""
    if args.json:
        print(json.dumps(facts(args, None), indent=2, ensure_ascii=False))
    else:
        _print_with_remarks(args)


def facts(args: argparse.Namespace, named: Variant | None) -> dict[str, object]:
    """Return the layers for programs; nothing where `print_asked` prints nothing."""
    if not _is_asked(args, named):
        return {}
    setting, layers = _asked(args)
    told = {"input": setting.inputs, "task": setting.task, "outputs": setting.outputs}
    return {"layers": {**told, "rows": [asdict(layer) for layer in layers]}}


def check_asked(args: argparse.Namespace, named: Variant | None) -> None:
    """Refuse a table that cannot be, before anything is printed."""
    if _is_asked(args, named):
        _setting(args)


def print_asked(args: argparse.Namespace, named: Variant | None) -> None:
    """Print the layers below a card: of the variant that is named, or if an option asks for it."""
    if _is_asked(args, named):
        print()
        _print_with_remarks(args)


def _print_with_remarks(args: argparse.Namespace) -> None:
    setting, layers = _asked(args)
    for remark in _remarks(args.name, setting, args.lang):
        print_folded(remark)
        print()
    given = setting.told(args.lang, task=args.task is not None or does_several(args.name))
    tokens = setting.task is not None and TASKS[setting.task].reads == "tokens"
    _print(given, layers, depth=args.depth, lang=args.lang, fields=not tokens)


def does_several(name: str) -> bool:
    """Return whether a card tells of several tasks, so that the one that is meant must be named."""
    return not is_foreign(name) and len(entry(name)[1].tasks) > 1


def _remarks(name: str, setting: Setting, lang: Lang) -> Iterator[str]:
    """Yield which idea was taken out of a canon network, and what fits it to the input."""
    if is_foreign(name):
        return
    _, card, variant = entry(name)
    idea = parted(name)[1]
    if idea is not None:
        yield IDEAS[idea].told(lang)
    adaptation = card.adapt(variant, setting.inputs, setting.task)
    if adaptation is not None:
        yield adaptation.zh if lang == "zh" else adaptation.en


def _is_asked(args: argparse.Namespace, named: Variant | None) -> bool:
    options = (args.input, args.depth, args.task) != (None, None, None)
    return options or named is not None or not has_card(args.name)


def _asked(args: argparse.Namespace) -> tuple[Setting, list[Layer]]:
    """Return for what the arguments ask the layers, and the layers."""
    setting = _setting(args)
    name = args.name if is_foreign(args.name) else entry(args.name)[0]
    return setting, find_layers(name, setting)


def _setting(args: argparse.Namespace) -> Setting:
    """Return for what the arguments ask the layers."""
    check_depth(args.depth)
    given = None if args.input is None else parse_input(args.input)
    if is_foreign(args.name):
        return foreign_setting(given, args.task)
    _, card, variant = entry(args.name)
    return setting_of(card, variant, task=args.task, inputs=given)


def foreign_setting(inputs: Shape | None, task: str | None) -> Setting:
    """Return for what a network without a card is built."""
    asked = None if task is None else task_named(task)
    words = asked is not None and inputs is not None and TASKS[asked].answers == "tokens"
    return Setting(inputs or NATIVE, inputs[1] if words and inputs else OUTPUTS, asked)


def parse_input(text: str) -> Shape:
    """Return a shape written as 3x224x224.

    Raises:
        BadArgumentError: It is not one to three whole numbers of at least 1.
    """
    sides = text.lower().replace("×", "x").replace(",", "x").split("x")
    if not 1 <= len(sides) <= 3 or not all(side.isdecimal() and int(side) for side in sides):
        raise BadArgumentError(
            "`--input` must be the shape of one example: CxHxW, TxF or F, each at least 1. "
            f"Received {text!r}; write for example 3x224x224."
        )
    return tuple(int(side) for side in sides)


def check_depth(depth: int | None) -> None:
    """Refuse a table without lines."""
    if depth is not None and depth < 1:
        raise BadArgumentError(
            f"`--depth` must be at least 1. Received {depth}; leave it out for the blocks."
        )


def find_layers(name: str, setting: Setting) -> list[Layer]:
    """Return the layers of a network, kept from an earlier call or found by building it.

    Args:
        name: Of any origin. What a file holds is looked at anew each time.
        setting: For what it is built.

    Raises:
        AssayError: It cannot be built.
    """
    path = _kept_at(name, setting)
    known = _read(path)
    if known is not None:
        return known
    from assay.models.anatomy import anatomy

    with _place(name):
        layers = anatomy(name, setting.inputs, setting.outputs, setting.task)
    if path is not None:
        _write(path, layers)
    return layers


def _place(name: str) -> AbstractContextManager[object]:
    """Return where a network is built: where it takes no memory if there may be too little."""
    if not is_foreign(name):
        _, _, variant = entry(name)
        if variant.parameters >= _HUGE[0] or variant.macs >= _HUGE[1]:
            import torch

            return torch.device("meta")
    return nullcontext()


def _print(
    given: str, layers: Sequence[Layer], *, depth: int | None, lang: Lang, fields: bool
) -> None:
    """Print the table and its totals; fields only where convolutions may be followed."""
    top = tree(layers)
    seen = fields and any(layer.field and -1 not in layer.field for layer in layers)
    words = ("layer", "kind", "output", "parameters", "MACs", *(["field"] if seen else []))
    rows = [_cells(row, lang)[: len(words)] for row in opened(top, depth)]
    print_table([tuple(_word(w, lang) for w in words), *rows], right={3, 4}, shortened=1)
    told = {"parameters": layers[0].parameters, "macs": layers[0].macs, "given": given}
    print()
    print_folded(f"{_word('total', lang)}  {_TOTAL[lang].format(**told)}")
    for line in _legend(layers) if seen else ():
        print_folded(line[lang])


def _legend(layers: Sequence[Layer]) -> Iterator[Mapping[Lang, str]]:
    """Yield what explains the fields, as far as it is needed."""
    yield _LEGEND
    if any(None in layer.field and max(layer.output[1:], default=1) > 1 for layer in layers):
        yield _ALL
    if any(-1 in layer.field for layer in layers):
        yield _UNKNOWN


def opened(top: Node, depth: int | None) -> list[Row]:
    """Return the lines below a network: every layer down to `depth`, or the blocks.

    The figures of the lines that have none below them add up to the network's.
    """
    if not top.below:
        return [Row(top.layer.path or "(itself)", 1, top)]
    return list(_below(top, 1, depth))


def _below(node: Node, level: int, depth: int | None) -> Iterator[Row]:
    """Yield the lines for what is inside a layer."""
    for run in _runs(node.below, fold=depth is None):
        last = run[-1]
        yield Row(_path(run), len(run), last)
        if len(run) == 1 and last.below and _opens(last, level, depth):
            yield from _below(last, level + 1, depth)
    if node.layer.own_macs or node.layer.own_parameters:
        yield Row(f"{node.layer.path} (itself)".strip(), 1, node, own=True)


def _opens(node: Node, level: int, depth: int | None) -> bool:
    """Whether a layer's inside is shown; unasked not where a single layer does the work."""
    if depth is not None:
        return level < depth
    busy = sum(1 for inner in node.nodes if inner.layer.own_macs)
    return level < DEPTH and (busy > 1 or node.class_name == "Sequential")


def _runs(nodes: Sequence[Node], *, fold: bool) -> Iterator[list[Node]]:
    """Yield neighbours together that are alike, if asked to."""
    run: list[Node] = []
    for node in nodes:
        if run and not (fold and node.likeness == run[-1].likeness):
            yield run
            run = []
        run.append(node)
    if run:
        yield run


def _path(run: Sequence[Node]) -> str:
    """Return "stages.0.1–2" for a run."""
    first, last = run[0].layer.path, run[-1].layer.path
    return first if len(run) == 1 else f"{first}–{last.rpartition('.')[2]}"


def _cells(row: Row, lang: Lang) -> tuple[str, ...]:
    layer = row.layer
    kind = f"{row.count} × {layer.kind}" if row.count > 1 else layer.kind
    path = row.path.replace("(itself)", _word("(itself)", lang))
    return (
        path,
        "" if row.own else kind,
        "" if row.own else shown(layer.output),
        f"{row.parameters:,}" if row.parameters else "",
        short(row.macs) if row.macs else "",
        "" if row.own else _field(layer, lang),
    )


def short(count: float) -> str:
    """Return a number with four digits that count: 118.0 M."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= size:
            return f"{count / size:#.4g}".rstrip(".") + f" {unit}"
    return f"{count:g}"


def shown(shape: Sequence[object]) -> str:
    """Return "3×224×224"."""
    return "×".join(map(str, shape))


def _field(layer: Layer, lang: Lang) -> str:
    """Return "11/4", or "11×9/4×2" where the axes differ; "–" if it is not known."""
    if not layer.field:
        return ""
    if -1 in layer.field:
        return "–"
    if set(layer.field) == {None}:
        return _word("all", lang)
    sizes = [_word("all", lang) if size is None else str(size) for size in layer.field]
    return f"{_alike(sizes)}/{_alike([f'{jump:g}' for jump in layer.jump])}"


def _alike(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else "×".join(values)


def _word(label: str, lang: Lang) -> str:
    return _WORDS[label] if lang == "zh" else label


def _kept_at(name: str, setting: Setting) -> Path | None:
    """Return the file of a table, named after all that it is made from; None for a user's file."""
    where, _ = origin(name)
    if where == "file":
        return None
    code = _package_digest() if where == "canon" else foreign_digest(name)
    question = {"name": name, **asdict(setting), "code": code}
    return cache_dir() / "layers" / f"{digest(question)[:32]}.json"


def _package_digest() -> str:
    """Return the sha256 of all that a canon network, and its table, is made from."""
    folders = (PACKAGE / "models", PACKAGE / "blocks", PACKAGE / "canon")
    kinds = ("*.py", "*.toml")
    files = sorted(p for folder in folders for kind in kinds for p in folder.rglob(kind))
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def _read(path: Path | None) -> list[Layer] | None:
    if path is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(path.read_text(encoding="utf-8"))["layers"]
            return [_layer(fact) for fact in facts]
    return None


def _layer(facts: dict[str, object]) -> Layer:
    lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
    return Layer(**{**facts, **lists})  # type: ignore[arg-type]


def _write(path: Path, layers: Sequence[Layer]) -> None:
    from assay.engine import files  # torch is here already

    with suppress(AssayError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"layers": [asdict(layer) for layer in layers]})
