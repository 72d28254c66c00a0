"""The charts as PNG files, for slides and papers. Light only; no display is needed."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from assay.compare.result import CandidateResult, StudyResult
from assay.report import charts, figures
from assay.report.codec import cleaned
from assay.report.figures import (
    Scores,
    metric_label,
    name_of,
    scores_of,
    validation_of,
    validation_word,
    words_of,
)
from assay.report.text import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, GREY, LINE, ACCENT = "#1d2125", "#5c646c", "#c9cbc8", "#e3e1da", "#0b7a75"
DASHES = ("-", "--", ":", "-.")
DPI = 160
NAME = 28  # letters of a name that are shown
_CHINESE = (
    "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "SimHei",
    "WenQuanYi Micro Hei", "Noto Sans CJK JP",
)  # fmt: skip
_STYLE: dict[Any, Any] = {
    "text.usetex": False, "text.parse_math": False, "text.color": INK, "font.size": 10,
    "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": LINE,
    "axes.unicode_minus": False, "axes.titlelocation": "left", "axes.titlesize": 12,
    "xtick.color": SOFT, "ytick.color": SOFT, "xtick.major.size": 0, "ytick.major.size": 0,
    "xtick.minor.size": 0, "figure.facecolor": "white", "axes.facecolor": "white",
    "legend.frameon": False, "legend.fontsize": 9, "svg.fonttype": "path",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """What every plot is drawn from."""

    result: StudyResult
    words: Words
    score: Scores

    @property
    def test(self) -> str:
        """The headline metric's name."""
        name = metric_label(self.result, self.words.lang)
        return self.words("test_metric", metric=name)

    @property
    def axis(self) -> str:
        """The same, and which end is the good one where that may surprise."""
        lower = "" if self.result.higher_is_better else f" ({self.words('lower_is_better')})"
        return f"{self.test}{lower}"


def draw(result: StudyResult, lang: str = "en") -> Iterator[tuple[str, bytes]]:
    """Yield name and PNG of each plot there is something to show in.

    Args:
        result: What the study found.
        lang: en or zh; English where no font has Chinese letters.
    """
    import matplotlib

    shown = cleaned(result)
    fonts = [name for name in _CHINESE if name in _fonts()]
    sheet = Sheet(shown, words_of(shown, lang if fonts else "en"), scores_of(shown))
    family = (
        ["DejaVu Sans", *fonts[:1]] if sheet.words.lang == "en" else [*fonts[:1], "DejaVu Sans"]
    )
    for name, plot in PLOTS.items():
        with matplotlib.rc_context({**_STYLE, "font.family": family}):
            figure = plot(sheet)
            if figure is not None:
                yield name, _png(figure)


@cache
def _fonts() -> frozenset[str]:
    from matplotlib.font_manager import fontManager

    return frozenset(fontManager.get_font_names())


def _png(figure: Figure) -> bytes:
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that no font has is drawn as a box
        figure.savefig(held, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15)
    return held.getvalue()


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _short(name: str, most: int = NAME) -> str:
    if _width(name) <= most:
        return name
    kept = next(k for k in range(len(name), 0, -1) if k == 1 or _width(name[:k]) < most)
    return f"{name[:kept]}…"


def _width(text: str) -> int:
    """Return how many columns `text` takes; a Chinese letter takes two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _color(index: int) -> str:
    return charts.COLORS[index % len(charts.COLORS)][0]


def _percent(axis: Any, *, share: bool) -> None:
    """Write a share in percent along `axis`, with the decimals its steps need."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    if share:
        axis.set_major_formatter(lambda value, _: f"{round(100 * value, 6):g}%")


# Ranking


def _ranking(sheet: Sheet) -> Figure | None:
    found = charts.ranked(sheet.result)
    if not found:
        return None
    figure, axes = _canvas(8.2, 1.1 + 0.34 * len(found))
    chosen = next((c for c in found if c.recommended), None)
    if chosen and chosen.score:
        axes.axvline(chosen.score.mean, color=ACCENT, linewidth=1, linestyle=(0, (4, 3)))
    opponent = charts.best_baseline(sheet.result)
    if opponent and opponent.score:
        axes.axvline(
            opponent.score.mean, color=SOFT, linewidth=1, linestyle=(0, (1, 2)),
            label=f"{sheet.words('best_baseline')}: {_short(name_of(opponent, sheet.words))}",
        )  # fmt: skip
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderpad=0)
    for place, candidate in enumerate(found):
        _interval(axes, sheet, place, candidate)
    axes.set_yticks(range(len(found)), [_short(c.name) for c in found], color=INK)
    for label, candidate in zip(axes.get_yticklabels(), found, strict=True):
        label.set_fontweight("bold" if candidate.recommended else "normal")
    axes.set_ylim(len(found) - 0.4, -0.7)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{sheet.axis}, {sheet.words('interval')}")
    _percent(axes.xaxis, share=sheet.score.share)
    return figure


def _interval(axes: Axes, sheet: Sheet, place: int, candidate: CandidateResult) -> None:
    estimate = candidate.score
    if estimate is None:
        return
    color = ACCENT if candidate.recommended else INK
    axes.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=1.8)
    axes.plot([estimate.mean], [place], "o", color=color, markersize=6)
    seeds = [s.score for s in candidate.seeds if math.isfinite(s.score)]
    axes.plot(seeds, [place + 0.27] * len(seeds), "o", color=SOFT, markersize=2.2, alpha=0.8)
    axes.text(
        1.02, place, sheet.score(estimate.mean), color=color, va="center", fontsize=10,
        transform=axes.get_yaxis_transform(),
        fontweight="bold" if candidate.recommended else "normal",
    )  # fmt: skip


# Quality against cost


def _latency(sheet: Sheet) -> Figure | None:
    return _cost(sheet, "latency_p50_ms", sheet.words("latency_axis"))


def _parameters(sheet: Sheet) -> Figure | None:
    return _cost(sheet, "parameters", sheet.words("parameters_axis"))


def _cost(sheet: Sheet, cost: str, label: str) -> Figure | None:
    found = charts.cost_points(sheet.result, cost)
    points, best = found["points"], found["front"]
    if not points:
        return None
    figure, axes = _canvas(7.6, 5.0)
    front = [points[k] for k in best]
    axes.set_xscale("log")
    axes.step(
        [p["x"] for p in front], [p["y"] for p in front], where="post", color=SOFT, linewidth=1.1,
        linestyle=(0, (2, 2)), label=sheet.words("pareto"),
    )  # fmt: skip
    for k, point in enumerate(points):
        _point(axes, point, faint=k not in best)
    _limits(axes, sheet, points)
    axes.set_xlabel(label)
    axes.set_ylabel(sheet.axis)
    axes.xaxis.set_major_formatter(lambda value, _: _power(value))
    axes.legend(loc="lower right" if sheet.result.higher_is_better else "upper right")
    _name_points(figure, axes, points, best)
    return figure


def _power(value: float) -> str:
    """Return a power of ten as people write it: 0.1, 10, 100 k, 1 M."""
    number, space, unit = figures.count(value).partition(" ") if value >= 1000 else (value, "", "")
    return f"{float(number):g}{space}{unit}"


def _point(axes: Axes, p: Mapping[str, Any], *, faint: bool) -> None:
    axes.plot([p["x"], p["x"]], [p["low"], p["high"]], color=GREY, linewidth=1.1, zorder=1)
    axes.plot(
        [p["x"]], [p["y"]], "o", color=_color(p["color"]), alpha=0.5 if faint else 1, zorder=3,
        markersize=11 if p["recommended"] else 7.5,
        markeredgecolor=INK if p["recommended"] else "none", markeredgewidth=1.8,
    )  # fmt: skip


def _limits(axes: Axes, sheet: Sheet, points: Sequence[Mapping[str, Any]]) -> None:
    """Leave room for names, and show the means rather than the whole of a wide interval."""
    x_low, x_high = figures.span([math.log10(p["x"]) for p in points], 0.1)
    low, high = figures.span([p["y"] for p in points], 0.16)
    low = max(low, min(p["low"] for p in points))
    high = max(high, max(p["high"] for p in points))
    axes.set_xlim(10**x_low, 10**x_high)
    axes.set_ylim(low, min(high, 1.004) if sheet.score.share else high)
    _percent(axes.yaxis, share=sheet.score.share)


def _name_points(
    figure: Figure, axes: Axes, points: Sequence[Mapping[str, Any]], best: Sequence[int]
) -> None:
    """Put each name where it covers no other name and no point; leave out what has no room."""
    from matplotlib.patheffects import withStroke

    at = [tuple(axes.transData.transform((p["x"], p["y"]))) for p in points]
    unit = figure.dpi / 72
    taken = [(x - 6 * unit, y - 6 * unit, x + 6 * unit, y + 6 * unit) for x, y in at]
    frame = axes.bbox.extents
    first = sorted(range(len(points)), key=lambda k: (not points[k]["recommended"], k not in best))
    for k in first:
        text = _short(points[k]["name"])
        box = _free_box(at[k], 5.8 * _width(text) * unit, unit, taken, frame)
        if box:
            taken.append(box)
            axes.annotate(
                text, tuple(axes.transData.inverted().transform((box[0], box[1]))), fontsize=9,
                va="bottom", color=INK if k in best or points[k]["recommended"] else SOFT,
                fontweight="bold" if points[k]["recommended"] else "normal", zorder=4,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip


Box = tuple[float, float, float, float]


def _free_box(
    at: Sequence[float], width: float, unit: float, taken: Sequence[Box], frame: Sequence[float]
) -> Box | None:
    x, y, height = at[0], at[1], 11 * unit
    gap, above, below = 8 * unit, y + 7 * unit, y - 7 * unit - height
    corners = [
        (x - gap / 2 - width, above), (x - width / 2, above), (x + gap / 2, above),
        (x - gap - width, y - height / 2), (x + gap, y - height / 2), (x + gap / 2, below),
        (x - gap / 2 - width, below), (x - width / 2, below),
    ]  # fmt: skip
    boxes = [(left, low, left + width, low + height) for left, low in corners]
    return next(
        (b for b in boxes if _inside(b, frame) and not any(_meet(b, t) for t in taken)), None
    )


def _inside(box: Box, frame: Sequence[float]) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]


# Learning curves


def _curves(sheet: Sheet) -> Figure | None:
    found = charts.curves(sheet.result)
    if not found:
        return None
    figure, axes = _canvas(7.6, 4.6)
    for curve in found:
        if not curve["on"]:
            axes.plot(curve["seconds"], curve["mean"], color=GREY, linewidth=0.9)
    for curve in found:
        if curve["on"]:
            _curve(axes, curve)
    low, high = _curve_limits(found)
    share = validation_of(sheet.result).share
    axes.set_ylim(low, min(high, 1.006) if share else high)
    axes.set_xlim(0, 1.01 * max(curve["seconds"][-1] for curve in found) or 1)
    validation = sheet.words(validation_word(sheet.result))
    axes.set_xlabel(sheet.words("training_seconds"))
    axes.set_ylabel(sheet.words("val_metric", metric=validation))
    _percent(axes.yaxis, share=share)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return figure


def _curve(axes: Axes, curve: Mapping[str, Any]) -> None:
    color = _color(curve["color"])
    dash = DASHES[curve["color"] // len(charts.COLORS) % len(DASHES)]
    axes.fill_between(
        curve["seconds"], curve["low"], curve["high"], color=color, alpha=0.16, linewidth=0
    )
    # A label that begins with _ would be left out of the legend.
    name = _short(curve["name"]).replace("_", "\u200b_", 1) if curve["name"][:1] == "_" else None
    axes.plot(
        curve["seconds"], curve["mean"], dash, color=color, linewidth=2,
        label=name or _short(curve["name"]),
    )  # fmt: skip


def _curve_limits(found: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Show where the curves end; where they begin is far below and tells nothing."""
    ends = min(curve["mean"][-1] for curve in found)
    top = max(max(curve["high"]) for curve in found)
    floor = min(min(curve["low"]) for curve in found)
    low = max(floor, ends - 0.35 * max(top - ends, 0.3 * (top - floor)))
    room = 0.04 * (top - low) or 0.01
    return low - room, top + room


# Confusion


def _confusion(sheet: Sheet) -> Figure | None:
    from matplotlib.colors import LinearSegmentedColormap

    found = charts.confusion(sheet.result)
    if not found["matrices"]:
        return None
    part = found["matrices"][found["start"]]
    size = len(part["classes"])
    side = min(9.0, 2.4 + 0.42 * size)
    figure, axes = _canvas(side, side)
    washed = "#f2f0ea"
    hits = LinearSegmentedColormap.from_list("hits", [washed, "#4a9c98"])
    misses = LinearSegmentedColormap.from_list("misses", [washed, "#d95f30"])
    share = [
        [n / max(of, 1) for n in row] for row, of in zip(part["counts"], part["of"], strict=True)
    ]
    worst = max([0.02, *(v for t, row in enumerate(share) for p, v in enumerate(row) if t != p)])
    cells = [
        [hits(v) if t == p else misses(v / worst) for p, v in enumerate(row)]
        for t, row in enumerate(share)
    ]
    axes.imshow(cells, aspect="equal")
    _count_cells(axes, part["counts"])
    _name_classes(axes, [_short(c, 14) for c in part["classes"]])
    axes.set_xlabel(sheet.words("predicted"))
    axes.set_ylabel(sheet.words("truth"))
    axes.set_title(_short(part["name"], 40), pad=10)
    return figure


def _count_cells(axes: Axes, counts: Sequence[Sequence[int]]) -> None:
    for truth, row in enumerate(counts):
        for predicted, n in enumerate(row):
            if n:
                color = "white" if truth == predicted else INK
                size = 9 if len(counts) <= 14 else 7
                axes.text(
                    predicted, truth, str(n), ha="center", va="center", fontsize=size, color=color
                )


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    places = range(len(names))
    slanted = max(map(_width, names)) > 3
    axes.set_xticks(
        places, names, rotation=60 if slanted else 0, ha="right" if slanted else "center"
    )
    axes.set_yticks(places, names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_rotation_mode("anchor")
    axes.set_xticks([k - 0.5 for k in range(len(names) + 1)], minor=True)
    axes.set_yticks([k - 0.5 for k in range(len(names) + 1)], minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(visible=False)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.set_axisbelow(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


PLOTS: dict[str, Callable[[Sheet], Figure | None]] = {
    "ranking": _ranking,
    "quality-latency": _latency,
    "quality-parameters": _parameters,
    "learning-curves": _curves,
    "confusion": _confusion,
}
