"""Write benchmarks/README.md from the figures that the benchmarks kept.

python -m benchmarks.readme
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from benchmarks.common import ratio

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
    table = facts["table"]
    rows = [
        f"| {name} | {row['reference']} | {' | '.join(setting(row[key]) for key in settings)} |"
        for name, row in table.items()
    ]
    means = (
        geometric_mean(row[key]["ratio"]["median"] for row in table.values() if "ratio" in row[key])
        for key in settings
    )
    return [
        f"The same weights on both sides, float32, {facts['memory_format']}, one thread, native "
        "size; ours over theirs in images per CPU second, bold where every round was slower; the "
        "number is the batch. A training step is forward, loss, backward and SGD. Both sides keep "
        "freed memory; of what takes under a second, half of the rounds are those of copies "
        "elsewhere in it.",
        "",
        "| network | reference | forward 1 | train 1 | forward 32 | train 32 |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        f"| geometric mean | | {' | '.join(f'{mean:.3f}' for mean in means)} |",
    ]


def layers(facts: Mapping[str, Any]) -> list[str]:
    """Our layers against torch's."""
    settings = ("forward 1", "forward 32", "train 1", "train 32")
    rows = [
        f"| {name} | {' × '.join(map(str, row['map']))}² | "
        f"{' | '.join(span(row[key]) for key in settings)} |"
        for name, row in facts["table"].items()
    ]
    return [
        "Maps per CPU second, float32, channels first, one thread, ours over torch's; the number "
        "is the batch. Values and gradients are the same to the bit, but for those of depthwise "
        "kernels, which are right to 1e-6.",
        "",
        "| layer | map | forward 1 | forward 32 | train 1 | train 32 |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def recurrent(facts: Mapping[str, Any]) -> list[str]:
    """Our recurrent networks against torch's own layers."""
    rows = [
        f"| {name} | {span(row['ratio'])} | {median(row['rates']['ours']):,.0f} |"
        for name, row in facts["table"].items()
    ]
    return [
        "Training tokens per CPU second, float32, one thread, ours over plain torch.nn: an "
        "embedding, the layer, a linear layer. Networks of both directions read padded texts, "
        "which torch needs packed. `NAME : REFERENCE` names what torch has not and what stands "
        "beside it.",
        "",
        "| network | ratio | tokens a second |",
        "| --- | --- | ---: |",
        *rows,
    ]


def language(facts: Mapping[str, Any]) -> list[str]:
    """GPT-2 against nanoGPT's form, writing with and without a cache, attention's kernels."""
    return [
        line
        for name, render in (("training", trained), ("writing", written), ("attention", kernels))
        if name in facts
        for line in (f"{facts[name]['machine']}", "", *render(facts[name]), "")
    ][:-1]


def trained(facts: Mapping[str, Any]) -> list[str]:
    """Tokens learned, ours over a plain network."""
    sides = {n: row["tokens_per_second"] for n, row in facts.items() if n != "machine"}
    return [
        f"- training, {name}: {ratio(row['assay'], row['plain'])} of a plain nanoGPT-style "
        f"network's tokens per CPU second, {median(row['assay']):,.0f} tokens a second"
        for name, row in sides.items()
    ]


def written(facts: Mapping[str, Any]) -> list[str]:
    """Seconds of new tokens."""
    cached, plain = facts["with_cache"], facts["without_cache"]
    return [
        *(
            f"- writing {n} tokens with the cache: {min(seconds):.2f} CPU s, the least of "
            f"{len(seconds)} runs"
            + (f", {plain[n] / min(seconds):.1f} times as fast as without" if n in plain else "")
            for n, seconds in cached.items()
        ),
        *(
            f"- writing 256 tokens each, texts at once: {n}: {256 * int(n) / min(seconds):,.0f} "
            "tokens a CPU second"
            for n, seconds in facts["at_once"].items()
        ),
    ]


def kernels(facts: Mapping[str, Any]) -> list[str]:
    """Torch's fused attention against its written-out form."""
    rates = facts["passes_per_second"]
    return [
        "- causal attention over 1,024 tokens, there and back, fused over written out: "
        f"{ratio(rates['fused'], rates['written out'])}"
    ]


def embeddings(facts: Mapping[str, Any]) -> list[str]:
    """Word and document vectors beside gensim's."""
    rows = [
        f"| {name} | {span(row['ratio'])} | {row['ours with gensim']:.3f} | "
        f"{row['gensim with gensim']:.3f} |"
        for name, row in facts["forms"].items()
    ]
    return [
        f"An epoch over {facts['words']:,} words with {facts['workers']} workers, trees built on "
        "both sides, gensim's seconds over ours; and how the similarities of the 1,000 most "
        "frequent words correlate with gensim's, beside those of gensim with another seed.",
        "",
        "| form | ratio | ours with gensim | gensim with gensim |",
        "| --- | --- | ---: | ---: |",
        *rows,
    ]


PARTS = {
    "training": ("Training speed", "python -m benchmarks.training", training),
    "vision": ("Networks against torchvision's and timm's", "python -m benchmarks.vision", vision),
    "layers": ("Layers of images against torch's", "python -m benchmarks.layers", layers),
    "recurrent": (
        "Recurrent networks against torch's layers", "python -m benchmarks.recurrent", recurrent
    ),
    "language": ("Language models", "python -m benchmarks.language", language),
    "embeddings": (
        "Word vectors beside gensim", "python -m benchmarks.embeddings", embeddings
    ),
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
            page += [f"## {title}", "", f"`{command}`", ""]
            page += [*([facts["machine"], ""] if "machine" in facts else []), *render(facts), ""]
    (HERE / "README.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
