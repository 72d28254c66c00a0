"""Probes of memory: made-up tasks whose length is a parameter, by name: `adding:T=200,n=10000`.

Each has one skill to learn, so that what a network cannot remember, count or look up shows. Every
example is drawn by the probe's own seed (`seed=`, 0 if not given); the seed of a study divides
them. Symbols are single characters; their ids follow from the characters in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.canon.task import TASKS, Task
from assay.data.arrays import memory_limit, target_facts
from assay.data.encode import fit_sequences
from assay.data.names import shown
from assay.data.prepare import Options, Raw, Source
from assay.data.probe_brackets import brackets
from assay.data.probe_listops import LISTOPS, listops
from assay.data.probe_memory import BLANK, COPIED, GO, adding, copy, key_characters, parity, recall
from assay.data.split import groups_of
from assay.data.tokens import STRINGS
from assay.engine.spec import digest
from assay.errors import BadArgumentError, nearest

Drawn = tuple[np.ndarray, np.ndarray]  # examples and answers
MOST_EXAMPLES = 10_000_000
_FORMAT = 1  # of the drawing: a change makes other examples


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a parameter may be.

    Attributes:
        default: If it is not given.
        least: Smallest.
        most: Largest.
        divisor: T minus `rest` must be a multiple of it.
        rest: See `divisor`.
    """

    default: int
    least: int
    most: int
    divisor: int = 1
    rest: int = 0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One kind of task.

    Attributes:
        name: Before the colon.
        en: What must be done, in a sentence.
        zh: The same in Chinese.
        task: That it is an example of.
        paper: Where it comes from.
        url: Of the paper.
        limits: Of its parameters beside n and seed; T is the length.
        draw: Examples and answers, from the parameters, n and a generator. Answers are labels,
            values, or a label for each symbol.
        characters: Of the parameters: every symbol, in the order of their ids; "" for numbers.
        classes: Of the parameters: names of the labels.
    """

    name: str
    en: str
    zh: str
    task: Task
    paper: str
    url: str
    limits: Mapping[str, Limit]
    draw: Callable[[Mapping[str, int], np.random.Generator], Drawn]
    characters: Callable[[Mapping[str, int]], str]
    classes: Callable[[Mapping[str, int]], tuple[str, ...]]


def _length(
    default: int, least: int, most: int = 100_000, *, divisor: int = 1, rest: int = 0
) -> Mapping[str, Limit]:
    return {"T": Limit(default=default, least=least, most=most, divisor=divisor, rest=rest)}


_DIGITS = tuple("0123456789")
_ALL = (
    Probe(
        name="copy",
        en="Repeat ten symbols after T steps of waiting.",
        zh="等待 T 步之后，把十个符号原样重复出来。",
        task="token-classification",
        paper="Arjovsky, Shah and Bengio, Unitary Evolution Recurrent Neural Networks, 2016",
        url="https://arxiv.org/abs/1511.06464",
        limits=_length(50, 1),
        draw=lambda at, by: copy(at["T"], at["n"], by),
        characters=lambda _: COPIED + BLANK + GO,
        classes=lambda _: tuple(COPIED),
    ),
    Probe(
        name="adding",
        en="Add the two numbers that are marked among T.",
        zh="在 T 个数中，求两个被标记的数之和。",
        task="sequence-regression",
        paper="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997",
        url="https://doi.org/10.1162/neco.1997.9.8.1735",
        limits=_length(200, 2),
        draw=lambda at, by: adding(at["T"], at["n"], by),
        characters=lambda _: "",
        classes=lambda _: (),
    ),
    Probe(
        name="parity",
        en="Say whether the number of ones among T bits is even or odd.",
        zh="判断 T 个比特中 1 的个数是偶数还是奇数。",
        task="text-classification",
        paper="Bengio, Simard and Frasconi, Learning Long-Term Dependencies with Gradient Descent "
        "Is Difficult, 1994",
        url="https://doi.org/10.1109/72.279181",
        limits=_length(20, 1),
        draw=lambda at, by: parity(at["T"], at["n"], by),
        characters=lambda _: "01",
        classes=lambda _: ("even", "odd"),
    ),
    Probe(
        name="brackets",
        en="Say whether T brackets of two kinds, nested up to a depth, match.",
        zh="判断 T 个两类括号（嵌套不超过给定深度）是否配对。",
        task="text-classification",
        paper="Hahn, Theoretical Limitations of Self-Attention in Neural Sequence Models, 2020",
        url="https://arxiv.org/abs/1906.06755",
        limits={
            **_length(40, 2, divisor=2),
            "depth": Limit(default=8, least=1, most=1000),
        },
        draw=lambda at, by: brackets(at["T"], at["n"], by, depth=at["depth"]),
        characters=lambda _: "()[]",
        classes=lambda _: ("unbalanced", "balanced"),
    ),
    Probe(
        name="recall",
        en="Look up the digit that came after a key, among (T - 3) / 2 pairs.",
        zh="在 (T - 3) / 2 个键值对中，查出某个键后面的数字。",
        task="text-classification",
        paper="Ba, Hinton, Mnih, Leibo and Ionescu, Using Fast Weights to Attend to the Recent "
        "Past, 2016",
        url="https://arxiv.org/abs/1610.06258",
        limits=_length(19, 5, 20_003, divisor=2, rest=1),
        draw=lambda at, by: recall(at["T"], at["n"], by),
        characters=lambda at: "0123456789?" + key_characters(at["T"]),
        classes=lambda _: _DIGITS,
    ),
    Probe(
        name="listops",
        en="Evaluate nested MIN, MAX, MEDIAN and SUM MODULO 10 of digits, at most T symbols.",
        zh="计算由 MIN、MAX、中位数与模 10 求和嵌套而成的式子，长度不超过 T 个符号。",
        task="text-classification",
        paper="Tay et al., Long Range Arena, 2021, after Nangia and Bowman, ListOps, 2018",
        url="https://arxiv.org/abs/2011.04006",
        limits=_length(200, 8, 10_000),
        draw=lambda at, by: listops(at["T"], at["n"], by),
        characters=lambda _: LISTOPS,
        classes=lambda _: _DIGITS,
    ),
)
PROBES: Mapping[str, Probe] = {probe.name: probe for probe in _ALL}
_EVERY = {  # parameters that each has
    "n": Limit(default=10_000, least=40, most=MOST_EXAMPLES),
    "seed": Limit(default=0, least=0, most=2**32 - 1),
}


def is_probe(name: str) -> bool:
    """Return whether a name is meant as a probe: adding, adding:T=200."""
    return name.partition(":")[0] in PROBES


def probe(name: str, options: Options) -> Source:
    """Return a probe as a source.

    Args:
        name: As `adding`, `adding:T=200` or `brackets:T=100,depth=4,n=20000,seed=1`.
        options: No column can be named, and the task is the probe's own.

    Raises:
        BadArgumentError: A parameter is unknown or out of range, or an option does not fit.
    """
    found, values = read_name(name)
    _check_options(found, options)
    whole = f"{found.name}:{','.join(f'{key}={value}' for key, value in values.items())}"
    return Source(
        name=whole, where="built in", files=(), read=lambda _: _drawn(found, values, whole)
    )


def read_name(name: str) -> tuple[Probe, dict[str, int]]:
    """Return the probe of a name, and all its parameters.

    Raises:
        BadArgumentError: There is no such probe, or a parameter is unknown or out of range.
    """
    kind, _, rest = name.partition(":")
    if kind not in PROBES:
        raise BadArgumentError(
            f"A probe must be one of {', '.join(PROBES)}. Received {shown(kind, most=40)!r}."
            f"{nearest(kind, PROBES)}"
        )
    found = PROBES[kind]
    limits = {**found.limits, **_EVERY}
    values = {key: limit.default for key, limit in limits.items()}
    for part in rest.split(",") if rest else ():
        key, _, text = part.partition("=")
        if key not in limits or not text.isdecimal() or len(text) > 12:
            raise BadArgumentError(
                f"{kind} takes whole numbers for {', '.join(limits)}, written as "
                f"{kind}:T={limits['T'].default},n={limits['n'].default}. Received "
                f"{shown(part, most=40)!r}; correct it."
            )
        values[key] = _within(kind, key, int(text), limits[key])
    _check_size(found, values)
    return found, values


def _within(kind: str, key: str, value: int, limit: Limit) -> int:
    fits = value % limit.divisor == limit.rest
    if limit.least <= value <= limit.most and fits:
        return value
    sort = {1: "a whole number", 2: ("an even number", "an odd number")[limit.rest]}[limit.divisor]
    raise BadArgumentError(
        f"`{key}` of {kind} must be {sort} in [{limit.least}, {limit.most}]. Received {value}; "
        "choose another."
    )


def _check_size(found: Probe, values: Mapping[str, int]) -> None:
    size = values["n"] * (values["T"] + 20) * (4 if found.task != "sequence-regression" else 8)
    if size > memory_limit():
        raise BadArgumentError(
            f"The examples of a probe must fit a quarter of this machine's memory, "
            f"{memory_limit():,} bytes. {values['n']:,} of length {values['T']:,} take {size:,}; "
            "use a smaller n or T."
        )


def _check_options(found: Probe, options: Options) -> None:
    if options.task not in (None, found.task):
        raise BadArgumentError(
            f"{found.name} is {found.task}. Received task={options.task!r}; leave it out."
        )
    columns = ("target", "group", "time", "text", "series", "window", "horizon", "length")
    unset = Options()
    named = (*columns, "tokenizer", "vocabulary")
    given = [name for name in named if getattr(options, name) != getattr(unset, name)]
    if given:
        raise BadArgumentError(
            f"`{given[0]}` does not apply to a probe, which has no columns and sets its length by "
            f"T. Received {shown(getattr(options, given[0]), most=40)!r} for {found.name}; leave "
            "it out."
        )


def _drawn(found: Probe, values: Mapping[str, int], whole: str) -> Raw:
    """Return a probe's examples as raw data."""
    x, y = found.draw(values, np.random.default_rng(values["seed"]))
    facts = _facts(found, values, x)

    def fit(train: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        if facts is not None:
            return x, facts
        stored, scaled = fit_sequences(x, train)
        return stored, scaled | {"target": target_facts("sum", y, train)}

    return Raw(
        name=whole,
        source="built in",
        task=found.task,
        y=y,
        classes=found.classes(values),
        content=digest(["probe", _FORMAT, whole]),
        groups=groups_of(x),
        fit=fit,
        ids=tuple(f"example {at}" for at in range(len(x))),
        notes=(
            {
                "en": f"{found.en} Drawn by seed {values['seed']}. Source: {found.paper}, "
                f"{found.url}.",
                "zh": f"{found.zh}由种子 {values['seed']} 生成。出处：{found.paper}，{found.url}。",
            },
        ),
    )


def _facts(found: Probe, values: Mapping[str, int], x: np.ndarray) -> dict[str, Any] | None:
    """Return the preprocessing of tokens; None for sequences, which training scales."""
    if TASKS[found.task].reads != "tokens":
        return None
    characters = found.characters(values)
    return {
        "kind": "tokens",
        "task": found.task,
        "tokenizer": {"kind": "char", "characters": characters},
        "length": x.shape[1],
        "vocabulary": len(STRINGS) + len(characters),
        "language": "other",
        "begin": False,
        "end": False,
        "whole": True,  # no example is cut to the length
    }
