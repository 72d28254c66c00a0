"""Write benchmarks/README.md from the figures that the benchmarks kept.

python -m benchmarks.readme
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEAD = """# Benchmarks

Each figure was written by the command above it, on the machine named with it; ratios are medians
over alternating rounds in one run, with the lowest and highest round in brackets.
`python -m benchmarks.readme` writes this page.
"""


def read(name: str) -> dict[str, Any] | None:
    """Return what a benchmark kept, or None before its first run."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def span(ratio: Mapping[str, float]) -> str:
    """Return a ratio with its rounds."""
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}-{ratio['high']:.2f}]"


def training(facts: Mapping[str, Any]) -> list[str]:
    """The loop people write against the engine's, per network."""
    rows = [
        f"| {name} | {span(row['ratio'])} | {row['goal']} | "
        f"{'yes' if row['ratio']['median'] >= row['goal'] else '**no**'} | {row['plan']} |"
        for name, row in facts["table"].items()
    ]
    return [
        "torchvision data set, transforms, DataLoader, fp32, eager, batch 64 (LSTM: 32) against "
        "the engine's step with the card's recipe; examples per CPU second, one thread.",
        "",
        "| network | ratio | goal | reached | chosen by measurement |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]


def overhead(facts: Mapping[str, Any]) -> list[str]:
    """The engine against a bare loop."""
    return [
        f"- engine over a bare loop with the same settings, LeNet-5: {span(facts['ratio'])} "
        "(goal 0.97)",
        f"- gathering and normalising a batch: {facts['input_share']:.2%} of a LeNet-5 step "
        "(goal under 2 %)",
    ]


def lines(facts: Mapping[str, Any]) -> list[str]:
    """Figures that are a line each."""
    return [
        f"- {key}: {value}" if key[:1].isalpha() else f"- {value}"
        for key, value in facts.items()
        if key != "machine"
    ]


def fashion(facts: Mapping[str, Any]) -> list[str]:
    """Time to accuracy, and what the choice of its length had seen."""
    seen = "The epochs were settled on seeds 100 to 104; these, 200 to 204, were run once."
    return [seen, "", *lines(facts)]


def grid(facts: Mapping[str, Any]) -> list[str]:
    """A whole comparison against one baseline."""
    rows = [
        f"| {name} | {100 * mean:.2f} | {100 * low:.2f}-{100 * high:.2f} |"
        for name, (mean, low, high) in facts["ranking"].items()
    ]
    return [
        f"- plain loop, LeNet-5 × 5 seeds × 10 epochs: {facts['plain_seconds']:.0f} s (one epoch "
        "timed)",
        f"- `assay compare fashion-mnist`, {facts['candidates']} candidates × 5 seeds "
        f"({facts['trials']} trials, {facts['budget']}), planning, measuring and report included: "
        f"{facts['study_seconds']:.0f} s",
        f"- ratio {facts['plain_seconds'] / facts['study_seconds']:.2f}; {facts['why']}",
        "",
        "| candidate | test accuracy | 95 % interval |",
        "| --- | --- | --- |",
        *rows,
    ]


def setting(found: Mapping[str, Any]) -> str:
    """Return one figure of a network against its reference; bold where every round was slower."""
    if "ratio" not in found:
        return f"left out, {found['seconds']:.1f} s a call"
    text = span(found["ratio"])
    return f"**{text}**" if found["ratio"]["high"] < 1 else text


def vision(facts: Mapping[str, Any]) -> list[str]:
    """Our image networks against the libraries' own."""
    settings = ("forward 1", "train 1", "forward 32", "train 32")
    rows = [
        f"| {name} | {row['reference']} | {' | '.join(setting(row[key]) for key in settings)} |"
        for name, row in facts["table"].items()
    ]
    return [
        f"The same weights on both sides, float32, {facts['memory_format']}, one thread, native "
        "size; ours over theirs in images per CPU second, bold where every round was slower; the "
        "number is the batch. A training step is forward, loss, backward and SGD.",
        "",
        "| network | reference | forward 1 | train 1 | forward 32 | train 32 |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


PARTS = {
    "training": ("Training speed", "python -m benchmarks.training", training),
    "vision": ("Networks against torchvision's and timm's", "python -m benchmarks.vision", vision),
    "overhead": ("The engine's own cost", "python -m benchmarks.overhead", overhead),
    "fashion": ("Time to accuracy on Fashion-MNIST", "python -m benchmarks.fashion", fashion),
    "processes": ("One trial per core", "python -m benchmarks.processes", lines),
    "grid": ("A comparison in the time of a baseline", "python -m benchmarks.grid", grid),
    "start": ("Start-up", "python -m benchmarks.start", lines),
}  # fmt: skip


def main() -> None:
    """Write the page."""
    page = [HEAD]
    for name, (title, command, render) in PARTS.items():
        facts = read(name)
        if facts:
            page += [f"## {title}", "", f"`{command}`", "", f"{facts['machine']}", ""]
            page += [*render(facts), ""]
    (HERE / "README.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
