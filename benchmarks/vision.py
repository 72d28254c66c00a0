"""Our image networks against torchvision's and timm's own, in one process, at equal settings.

    python -m benchmarks.vision [--cap 12] [--rounds 7] [--all] [--channels-last] [NAME ...]
    python -m benchmarks.vision --missing --cap 900 --rounds 5 [NAME ...]

The same weights on both sides, float32, one thread, native size; the two alternate and a ratio is
ours over theirs in images per CPU second. A training step is forward, loss, backward and a step of
SGD at rate 0. Both keep freed memory, as `engine/worker.py` has it: the page faults of fresh memory
are the greatest noise. The next is where in memory the weights lie, worth two hundredths; of what
takes under a second half of the rounds are a copy's, made in the other order, and there are as many
rounds as fill `ENOUGH` seconds.

Without names: of each card the cheapest variant that has a reference; what does not fit in `--cap`
seconds a network is left out and says how long it would take. With names the other networks'
figures are kept; with `--missing` only what was left out before is timed.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from assay.canon.catalog import catalog
from assay.engine.machine import keep_memory
from assay.testing.parity import pair, referenced
from benchmarks.common import interleave, machine, rate, ratio, save, two_places
from benchmarks.readme import read

SETTINGS = [("forward", 1), ("train", 1), ("forward", 32), ("train", 32)]
SECONDS = 0.1  # of one round of one side, at least
FEWEST = 3  # rounds that are worth reporting
ENOUGH = 5.0  # seconds of one side, for what takes under one


def cheapest() -> list[str]:
    """Return of each card the variant with a reference that costs least, cheapest first."""
    found = {}
    for card, variant in sorted(referenced(), key=lambda entry: entry[1].macs):
        found.setdefault(card.id, variant.name)
    return list(found.values())


def worker(kind: str, model: nn.Module, images: torch.Tensor) -> Callable[[], int]:
    """Return a function that does one forward pass or training step and returns its images."""
    labels = torch.arange(len(images)) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def train() -> int:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return len(images)

    @torch.inference_mode()
    def forward() -> int:
        model(images)
        return len(images)

    return train if kind == "train" else forward


def seconds_of(work: Callable[[], int]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def setting(
    kind: str, models: dict[str, nn.Module], images: torch.Tensor, rounds: int, left: float
) -> dict:
    """Alternate the two sides for as many rounds as fit in `left` CPU seconds, at most `rounds`."""
    for model in models.values():
        model.train(kind == "train")
    ways = {name: worker(kind, model, images) for name, model in models.items()}
    once = sum(map(seconds_of, ways.values())) / len(ways)  # and warm
    fit = int(left / (2 * max(SECONDS, once))) - 1
    if fit < FEWEST:
        return {"seconds": once}
    places = [models]
    if once < 1:
        rounds = max(rounds, int(ENOUGH / max(SECONDS, once)))
        places = two_places(models)
    rates: dict[str, list[float]] = {name: [] for name in models}
    for place in places:
        timed = {name: partial(rate, worker(kind, place[name], images), SECONDS) for name in models}
        for name, found in interleave(timed, -(-min(fit, rounds) // len(places))).items():
            rates[name] += found
    return {"ratio": asdict(ratio(rates["ours"], rates["theirs"])), "rates": rates}


def compare(
    name: str, cap: float, rounds: int, memory_format: torch.memory_format, before: dict
) -> dict:
    """Return the figures of one network; a setting that would outlast the cap is not begun.

    What `before` has is not timed again.
    """
    card, variant = catalog().entry(name)
    sides = dict(zip(("ours", "theirs"), pair(name), strict=True))
    models = {side: model.to(memory_format=memory_format) for side, model in sides.items()}
    row: dict = {"reference": variant.reference, "macs": variant.macs}
    began, single = time.process_time(), {}
    for kind, batch in SETTINGS:
        if "ratio" in before.get(f"{kind} {batch}", {}):
            row[f"{kind} {batch}"] = before[f"{kind} {batch}"]
            continue
        images = torch.randn(batch, *card.native(variant)).to(memory_format=memory_format)
        left = cap - (time.process_time() - began)
        guess = 0.6 * batch * single[kind] if kind in single else 0.0  # of one call, for 32 images
        if 2 * (FEWEST + 2) * guess > left:
            row[f"{kind} {batch}"] = {"seconds": guess}
            continue
        found = setting(kind, models, images, rounds, left)
        row[f"{kind} {batch}"] = found
        fastest = max(found["rates"]["ours"]) if "rates" in found else 1 / found["seconds"]
        single.setdefault(kind, 1 / fastest)
    return row


def told(found: dict) -> str:
    """Return one setting's figure in words."""
    if "ratio" not in found:
        return f"left out ({found['seconds']:.1f} s a call)"
    return (
        f"{found['ratio']['median']:.2f} [{found['ratio']['low']:.2f}-{found['ratio']['high']:.2f}]"
    )


def earlier(memory_format: str) -> dict:
    """Return the rows measured before on this machine, with this torch and memory format."""
    facts = read("vision") or {}
    here = machine().partition(" cores")[0]
    same = facts.get("machine", "").startswith(here) and torch.__version__ in facts["machine"]
    return facts["table"] if same and facts["memory_format"] == memory_format else {}


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cap", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(machine())
    every = [variant.name for _, variant in referenced()]
    names = args.names or (every if args.all else cheapest())
    memory_format = torch.channels_last if args.channels_last else torch.contiguous_format
    words = "channels last" if args.channels_last else "channels first"
    table = earlier(words) if args.names or args.missing else {}
    for name in names:
        before = table.get(name, {}) if args.missing else {}
        table[name] = compare(name, args.cap, args.rounds, memory_format, before)
        figures = (told(table[name][f"{kind} {batch}"]) for kind, batch in SETTINGS)
        print(f"{name:<22}", *(f"{text:<24}" for text in figures), flush=True)
        save("vision", {"machine": machine(), "memory_format": words, "table": table})


if __name__ == "__main__":
    main()
