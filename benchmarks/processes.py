"""One trial per core against one trial on all cores, quiet and beside a busy neighbour.

    python -m benchmarks.processes [--seconds 4]

LeNet-5 on Fashion-MNIST, batch 64. Examples per second of wall clock, all processes together.
"""

import argparse
import multiprocessing
import os
import time
from multiprocessing.synchronize import Event

from benchmarks.common import interleave, machine, ratio, save


def train(threads: int, seconds: float) -> float:
    """Train for `seconds` of wall clock; return examples per second."""
    import torch

    from assay.data.batches import Batches, Normalise
    from assay.engine.spec import Plan
    from assay.learners.supervised import Supervised
    from assay.models.build import build
    from benchmarks.overhead import FACTS, RECIPE, fashion

    torch.set_num_threads(threads)
    learner = Supervised(
        build("lenet5", inputs=(1, 28, 28), outputs=10), recipe=RECIPE, plan=Plan(), steps=10**9
    )
    batches = Batches(*fashion(), RECIPE.batch_size, 0, normalise=Normalise(FACTS))
    for step in range(20):
        learner.step(*batches(step))
    began, step = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        learner.step(*batches(step))
        step += 1
    return step * RECIPE.batch_size / (time.perf_counter() - began)


def spin(stop: Event) -> None:
    """Keep one core busy."""
    while not stop.is_set():
        sum(range(10_000))


def together(processes: int, threads: int, seconds: float) -> float:
    """Return the summed rate of several fresh processes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return sum(pool.starmap(train, [(threads, seconds)] * processes))


def main() -> None:
    """Print the ratios and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    print(machine())
    ways = {
        "one process, one thread": (1, 1),
        "one process, two threads": (1, 2),
        "two processes, one thread each": (2, 1),
    }
    facts = {"machine": machine()}
    calls = {name: (lambda w=way: together(*w, args.seconds)) for name, way in ways.items()}
    quiet = interleave(calls, args.rounds)
    base = quiet["one process, one thread"]
    for name in list(ways)[1:]:
        print(f"quiet: {name} over one of one: {ratio(quiet[name], base)}")
        facts[name] = str(ratio(quiet[name], base))
    stop = multiprocessing.Event()
    neighbour = multiprocessing.Process(target=spin, args=(stop,), daemon=True)
    neighbour.start()
    busy = interleave({n: calls[n] for n in list(ways)[:2]}, args.rounds)
    stop.set()
    for name in list(ways)[:2]:
        print(f"beside a busy process: {name} over quiet one of one: {ratio(busy[name], base)}")
        facts[f"busy: {name}"] = str(ratio(busy[name], base))
    save("processes", facts)


if __name__ == "__main__":
    main()
