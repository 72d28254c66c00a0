"""What one canon entry says of itself: a TOML file beside its code, read into plain values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import prod
from pathlib import Path
from typing import Literal, cast, get_args

from assay.canon.table import Table
from assay.engine.spec import Recipe
from assay.errors import BadArgumentError, DataError

Shape = tuple[int, ...]  # of one example: (C, H, W), (T, F) or (F,)
Lang = Literal["en", "zh"]
InputKind = Literal["image", "sequence", "table", "any"]
How = Literal["stem", "upsample"]
Given = Literal["table", "sequence", "image"]

_CODE = re.compile(r"assay(\.[a-z_][a-z0-9_]*)+:[A-Za-z_][A-Za-z0-9_]*")
_READS = {"image": "images (C, H, W)", "sequence": "sequences (T, F)", "table": "rows (F,)"}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where an idea was published."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Prose:
    """What a card says in one language."""

    name: str
    idea: str  # one sentence
    choose: str  # when to take it
    avoid: str  # when not to


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What an entry reads.

    Attributes:
        kind: Of one example; "any" is flattened by the network itself.
        native: The published shape, whose parameter and MAC counts the variants state.
        least: The smallest shape that runs. A small form may go below it: see `Small.least`.
    """

    kind: InputKind
    native: Shape
    least: Shape


@dataclass(frozen=True, kw_only=True)
class Small:
    """How small images reach a network made for large ones.

    Attributes:
        upto: Pixels of the longer side of the largest image that gets this treatment.
        how: "stem" builds the published small form, "upsample" enlarges to the least shape.
        least: The smallest shape that the small form runs on.
        en: What the small form is and who published it.
        zh: The same in Chinese.
    """

    upto: int
    how: How
    least: Shape
    en: str
    zh: str


@dataclass(frozen=True, kw_only=True)
class Range:
    """What fair tuning may vary, around the default."""

    default: float
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One buildable member of an entry."""

    name: str
    code: str  # "assay.models.vision.resnet:resnet18"
    parameters: int  # trainable, at the native shape and outputs
    macs: int  # multiply-accumulates of one example at the native shape
    outputs: int  # native
    native: Shape | None = None  # where it differs from the card's
    reference: str = ""  # "torchvision:resnet18"
    default: bool = False  # a candidate of every study whose task fits


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What is done so that an example of the user's shape fits an entry.

    Attributes:
        kind: "stem" is the entry's published small form, "upsample" enlarges the image, "rows"
            reads an image as a sequence of its rows, "flatten" takes the values as one row.
        inputs: What the network itself gets.
        small: Whether the network is built in its small form.
        en: What was adapted, one sentence.
        zh: The same in Chinese.
    """

    kind: Literal["stem", "upsample", "rows", "flatten"]
    inputs: Shape
    small: bool = False
    en: str
    zh: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts about one entry that lists, studies, reports and contract tests all read."""

    id: str
    kind: str  # "architecture"
    family: str  # "cnn", "cnn-mobile", "mlp", "rnn", "transformer", "linear"
    tasks: tuple[str, ...]
    parents: tuple[str, ...]  # ids of the cards whose ideas this one builds on
    paper: Paper
    input: Inputs
    en: Prose
    zh: Prose
    variants: tuple[Variant, ...]
    departures: tuple[str, ...] = ()  # where the code differs from the paper, and why
    removable: tuple[str, ...] = ()  # ideas that can be taken out
    small: Small | None = None
    recipe: Recipe = field(default_factory=Recipe)
    search: Mapping[str, Range] = field(default_factory=dict)
    path: Path  # of the TOML file

    def prose(self, lang: Lang) -> Prose:
        """Return the text in one language."""
        return self.zh if lang == "zh" else self.en

    def native(self, variant: Variant) -> Shape:
        """Return the shape whose counts `variant` states."""
        return variant.native or self.input.native

    def default(self) -> Variant:
        """Return the variant that the card's own id stands for: its default one, else the first."""
        return next((v for v in self.variants if v.default), self.variants[0])

    def adapt(self, variant: Variant, inputs: Shape) -> Adaptation | None:
        """Return what must be done so that `inputs` fits; None when it fits as it is.

        Raises:
            BadArgumentError: `inputs` is no shape, or cannot be made to fit.
        """
        given = kind_of(inputs)
        if inputs == self.native(variant):
            return None
        if self.input.kind == "any":
            return _flattened(inputs) if given != "table" else None
        if given == "image" and self.input.kind == "sequence":
            return _as_rows(inputs)
        if given != self.input.kind:
            raise BadArgumentError(
                f"{variant.name} reads {_READS[self.input.kind]}. "
                f"Received inputs={inputs}; choose another entry: `assay list` shows all."
            )
        if given == "image":
            return self._adapt_image(variant, inputs)
        self._refuse_smaller(variant, inputs)
        return None

    def _adapt_image(self, variant: Variant, inputs: Shape) -> Adaptation | None:
        small = self.small
        if small is None:
            self._refuse_smaller(variant, inputs)
            return None
        stem = small.how == "stem" and max(inputs[1:]) <= small.upto
        size = _enlarged(inputs, small.least if stem else self.input.least)
        if size != inputs:
            return _upsampled(inputs, size, small if stem else None)
        if stem:
            return Adaptation(kind="stem", inputs=inputs, small=True, en=small.en, zh=small.zh)
        return None

    def _refuse_smaller(self, variant: Variant, inputs: Shape) -> None:
        if _enlarged(inputs, self.input.least) != inputs:
            raise BadArgumentError(
                f"{variant.name} reads shapes of at least {self.input.least}. "
                f"Received inputs={inputs}; give larger examples or choose another entry."
            )


def kind_of(inputs: Shape) -> Given:
    """Return what one example of this shape is.

    Raises:
        BadArgumentError: It is not one to three whole numbers of at least 1.
    """
    whole = all(type(side) is int and side > 0 for side in inputs)
    if not whole or not 1 <= len(inputs) <= 3:
        raise BadArgumentError(
            "`inputs` must be the shape of one example: (F,), (T, F) or (C, H, W), each at least "
            f"1. Received inputs={inputs}; leave out the batch."
        )
    names: tuple[Given, ...] = ("table", "sequence", "image")
    return names[len(inputs) - 1]


def _enlarged(inputs: Shape, least: Shape) -> Shape:
    """Return `inputs` with every side but the channels or features at least that of `least`."""
    if len(inputs) == 3:
        return (inputs[0], *(max(a, b) for a, b in zip(inputs[1:], least[1:], strict=True)))
    return tuple(max(a, b) for a, b in zip(inputs, least, strict=True))


def _upsampled(inputs: Shape, size: Shape, stem: Small | None) -> Adaptation:
    old, new = (f"{h}×{w}" for _, h, w in (inputs, size))
    en = f"Images are enlarged from {old} to {new}, the least size this network reads."
    zh = f"图像由 {old} 放大到 {new}，即该网络可读的最小尺寸。"
    if stem:
        en, zh = f"{stem.en} {en}", f"{stem.zh}{zh}"
    return Adaptation(kind="upsample", inputs=size, small=stem is not None, en=en, zh=zh)


def _as_rows(inputs: Shape) -> Adaptation:
    channels, height, width = inputs
    return Adaptation(
        kind="rows",
        inputs=(height, channels * width),
        en=f"The image is read as a sequence of its {height} rows, {channels * width} values each.",
        zh=f"图像按行读作序列：共 {height} 行，每行 {channels * width} 个值。",
    )


def _flattened(inputs: Shape) -> Adaptation:
    count = prod(inputs)
    return Adaptation(
        kind="flatten",
        inputs=(count,),
        en=f"The {count} values of an example are read as one row; their places are not used.",
        zh=f"样本的 {count} 个值展平成一行，不利用它们的位置。",
    )


def read_card(path: Path) -> Card:
    """Return the card that a TOML file holds.

    Raises:
        DataError: It is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"Card {path} is not valid TOML: {error}; correct it.") from error
    return _read(Table(path, facts))


def _read(top: Table) -> Card:
    inputs = _inputs(top.table("input"))
    card = Card(
        id=top.text("id"),
        kind=top.text("kind"),
        family=top.text("family"),
        tasks=top.texts("tasks"),
        parents=top.texts("parents"),
        paper=_paper(top.table("paper")),
        input=inputs,
        en=_prose(top.table("en")),
        zh=_prose(top.table("zh")),
        variants=_variants(top.table("variants")),
        departures=top.texts("departures", ()),
        removable=top.texts("removable", ()),
        small=_small(top.table("small"), inputs) if "small" in top else None,
        recipe=_recipe(top.table("recipe")) if "recipe" in top else Recipe(),
        search=_search(top.table("search")) if "search" in top else {},
        path=top.path,
    )
    top.close()
    return card


def _paper(t: Table) -> Paper:
    return t.closed(
        Paper(
            title=t.text("title"),
            authors=t.text("authors"),
            year=t.whole("year"),
            url=t.text("url"),
        )
    )


def _prose(t: Table) -> Prose:
    return t.closed(
        Prose(
            name=t.text("name"), idea=t.text("idea"), choose=t.text("choose"), avoid=t.text("avoid")
        )
    )


def _inputs(t: Table) -> Inputs:
    kind = cast(InputKind, t.one_of("kind", get_args(InputKind)))
    native = t.shape("native")
    least = t.shape("least", (1,) * len(native))
    _require_alike(t, least, native)
    return t.closed(Inputs(kind=kind, native=native, least=least))


def _small(t: Table, inputs: Inputs) -> Small:
    how = cast(How, t.one_of("how", get_args(How)))
    least = t.shape("least", inputs.least)
    _require_alike(t, least, inputs.native)
    return t.closed(
        Small(upto=t.whole("upto"), how=how, least=least, en=t.text("en"), zh=t.text("zh"))
    )


def _require_alike(t: Table, least: Shape, native: Shape) -> None:
    if len(least) != len(native):
        t.refuse("least", f"a shape like native, {list(native)}", list(least))


def _recipe(t: Table) -> Recipe:
    known = [f.name for f in fields(Recipe)]
    given = {key: t.take(key) for key in known if key in t}
    t.close(known)
    return Recipe(**given)


def _search(t: Table) -> dict[str, Range]:
    return {key: _range(t.table(key)) for key in t}


def _range(t: Table) -> Range:
    return t.closed(
        Range(
            default=t.number("default"),
            low=t.number("low"),
            high=t.number("high"),
            log=t.truth("log"),
        )
    )


def _variants(t: Table) -> tuple[Variant, ...]:
    if not list(t):
        t.refuse("", "at least one variant, [variants.NAME]", {})
    return tuple(_variant(name, t.table(name)) for name in t)


def _variant(name: str, t: Table) -> Variant:
    code = t.text("code")
    if not _CODE.fullmatch(code):
        t.refuse("code", "a path in this package, assay.module:builder", code)
    return t.closed(
        Variant(
            name=name,
            code=code,
            parameters=t.whole("parameters"),
            macs=t.whole("macs"),
            outputs=t.whole("outputs"),
            native=t.shape("native", ()) or None,
            reference=t.text("reference", ""),
            default=t.truth("default"),
        )
    )
