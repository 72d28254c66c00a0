"""What one canon entry says of itself, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal

from assay.canon.task import TASKS, Reads, Task
from assay.engine.spec import Recipe
from assay.errors import BadArgumentError

Shape = tuple[int, ...]  # of one example: (C, H, W), (T, F), (F,), or T tokens out of V: (T, V)
Lang = Literal["en", "zh"]
InputKind = Literal["image", "sequence", "tokens", "either", "table", "any"]
How = Literal["stem", "upsample"]

KINDS = {  # of cards, in the order in which they are listed, and what Chinese calls them
    "architecture": "架构",  # the others are those of a `Part`
    "block": "模块",
    "activation": "激活函数",
    "pooling": "池化",
    "normalization": "归一化",
    "regularization": "正则化",
    "embedding": "嵌入",
    "tokenization": "分词",
    "decoding": "解码",
}
SERIES = ("sequence", "tokens", "either")  # what reads one thing after another
_SIDES = {"image": 3, "sequence": 2, "tokens": 2, "table": 1}
_READS = {
    "image": "images (C, H, W)",
    "sequence": "sequences (T, F)",
    "tokens": "tokens (T, V)",
    "either": "sequences (T, F) or tokens (T, V)",
    "table": "rows (F,)",
}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where an idea was published."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """A few words in both languages; a formula that needs none is the same in both."""

    en: str
    zh: str

    def told(self, lang: Lang) -> str:
        """Return it in one language."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, kw_only=True)
class Prose:
    """What a card says in one language."""

    name: str
    idea: str  # one sentence
    choose: str  # when to take it
    avoid: str  # when not to
    changed: str = ""  # what it does otherwise than its parents


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What an entry reads.

    Attributes:
        kind: Of one example; "any" is flattened by the network itself, "either" are sequences of
            vectors or of tokens.
        native: The published shape, whose parameter and MAC counts the variants state.
        least: The smallest shape that runs. A small form may go below it: see `Small.least`.
        fixed: Whether weights depend on the size of the image, so that a network, once built,
            reads that size alone.
    """

    kind: InputKind
    native: Shape
    least: Shape
    fixed: bool = False


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
    """What fair tuning may vary, around the default.

    Attributes:
        default: The recipe's own value.
        low: The smallest value, included.
        high: The largest value, included.
        log: Whether equal ratios are equally likely at first, rather than equal differences.
    """

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
    task: Task | None = None  # of these counts, where it is not the card's first
    reference: str = ""  # "torchvision:resnet18"
    default: bool = False  # a candidate of every study whose task fits
    recipe: Recipe | None = None  # where it is not its card's


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
    """The facts about one entry, of whatever kind."""

    id: str
    kind: str  # one of `KINDS`
    parents: tuple[str, ...]  # ids of the cards whose ideas this one builds on
    paper: Paper
    en: Prose
    zh: Prose
    aliases: tuple[str, ...] = ()  # other ids that it is found by
    departures: tuple[Text, ...] = ()  # where the code differs from the paper, and why
    path: Path  # of the TOML file

    def prose(self, lang: Lang) -> Prose:
        """Return the text in one language."""
        return self.zh if lang == "zh" else self.en

    def departs(self, lang: Lang) -> str:
        """Return the departures in one language, a line each; empty if there are none."""
        return "\n".join(departure.told(lang) for departure in self.departures)


@dataclass(frozen=True, kw_only=True)
class Part(Card):
    """What networks are made of: one class or function, to be used as it stands."""

    code: str  # "torch.nn:ReLU" or "assay.blocks.maxout:Maxout"
    formula: Text
    shape: Text  # "(B, C, H, W) -> (B, C, 1, 1)"


@dataclass(frozen=True, kw_only=True)
class Architecture(Card):
    """A network that can be built, trained and compared."""

    family: str  # "cnn", "cnn-mobile", "mlp", "rnn", "transformer", "linear"
    tasks: tuple[Task, ...]
    input: Inputs
    variants: tuple[Variant, ...]
    removable: tuple[str, ...] = ()  # ideas that can be taken out
    small: Small | None = None
    recipe: Recipe = field(default_factory=Recipe)
    recipes: Mapping[Task, Recipe] = field(default_factory=dict)  # where a task needs its own
    search: Mapping[str, Range] = field(default_factory=dict)  # on top of the generic space

    def native(self, variant: Variant) -> Shape:
        """Return the shape whose counts `variant` states."""
        return variant.native or self.input.native

    def made_small(self, variant: Variant) -> bool:
        """Return whether `variant` was published for small images, which it reads as they are."""
        own = variant.native
        return bool(self.small and own and max(own[1:]) <= self.small.upto)

    def default(self) -> Variant:
        """Return the variant that the card's own id stands for: its default one, else the first."""
        return next((v for v in self.variants if v.default), self.variants[0])

    def recipe_for(self, variant: Variant, task: Task) -> Recipe:
        """Return how a variant learns a task."""
        return variant.recipe or self.recipes.get(task, self.recipe)

    def native_task(self, variant: Variant) -> Task:
        """Return the task whose counts `variant` states."""
        return variant.task or self.tasks[0]

    def task_for(self, variant: Variant, inputs: Shape) -> Task:
        """Return what the entry is built for when nobody says: its native task if that fits."""
        native = self.native_task(variant)
        fitting = [t for t in (native, *self.tasks) if len(inputs) == _SIDES[TASKS[t].reads]]
        return fitting[0] if fitting else native

    def adapt(self, variant: Variant, inputs: Shape, task: Task | None = None) -> Adaptation | None:
        """Return what must be done so that `inputs` fits; None when it fits as it is.

        Args:
            variant: Which member.
            inputs: Shape of one example.
            task: Of the data; the one that the shape suggests if not given.

        Raises:
            BadArgumentError: `inputs` is no shape, or cannot be made to fit.
        """
        given = kind_of(inputs)
        if given == "sequence":
            asked = self.task_for(variant, inputs) if task is None else task
            given = "tokens" if TASKS[asked].reads == "tokens" else given
        if inputs == self.native(variant):
            return None
        if self.input.kind == "any":
            return _flattened(inputs) if given != "table" else None
        if given == "image" and self.input.kind in ("sequence", "either"):
            return _as_rows(inputs)
        if given != self.input.kind and not (self.input.kind == "either" and len(inputs) == 2):
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
        if self.made_small(variant):
            size = _enlarged(inputs, small.least)
            return _upsampled(inputs, size, None) if size != inputs else None
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


AnyCard = Architecture | Part


def kind_of(inputs: Shape) -> Reads:
    """Return what one example of this shape is; tokens look like a sequence.

    Raises:
        BadArgumentError: It is not one to three whole numbers of at least 1.
    """
    whole = all(type(side) is int and side > 0 for side in inputs)
    if not whole or not 1 <= len(inputs) <= 3:
        raise BadArgumentError(
            "`inputs` must be the shape of one example: (F,), (T, F) or (C, H, W), each at least "
            f"1. Received inputs={inputs}; leave out the batch."
        )
    names: tuple[Reads, ...] = ("table", "sequence", "image")
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
