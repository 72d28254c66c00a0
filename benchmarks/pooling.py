"""Max pooling of channels-first maps: ours over torch's, in one process.

    python -m benchmarks.pooling [--rounds 9] [--seconds 0.2]

Maps per CPU second, float32, one thread; the two alternate. Inference is without gradients; a
training step is there and back. Each shape is a pool of the network that it is named after.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor, nn

from assay.blocks.max_pool import MaxPool2d
from assay.engine.machine import keep_memory
from benchmarks.common import interleave, machine, rate, ratio, save

POOLS = {  # channels and side of the map, kernel, stride, padding
    "resnet, stem": ((64, 112), (3, 2, 1)),
    "squeezenet, second": ((128, 55), (3, 2, 0)),
    "googlenet, within a module": ((480, 14), (3, 1, 1)),
    "vgg, first": ((64, 224), (2, 2, 0)),
    "vgg, last": ((512, 14), (2, 2, 0)),
}
BATCHES = (1, 32)


def worker(pool: nn.Module, x: Tensor, *, trains: bool) -> Callable[[], int]:
    """Return a function that pools a batch and returns its maps."""
    x = x.clone().requires_grad_(trains)
    back = torch.ones_like(pool(x))

    def there() -> int:
        pool(x)
        return len(x)

    def there_and_back() -> int:
        x.grad = None
        pool(x).backward(back)
        return len(x)

    return there_and_back if trains else there


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2)
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(machine())
    table: dict[str, dict] = {}
    for name, ((channels, side), how) in POOLS.items():
        row = table[name] = {"pool": [channels, side, how[0]]}
        for trains in (False, True):
            for batch in BATCHES:
                x = torch.randn(batch, channels, side, side)
                pools = {"ours": MaxPool2d(*how), "theirs": nn.MaxPool2d(*how)}
                ways = {
                    whose: partial(rate, worker(pool, x, trains=trains), args.seconds)
                    for whose, pool in pools.items()
                }
                rates = interleave(ways, args.rounds)
                found = ratio(rates["ours"], rates["theirs"])
                row[f"{'train' if trains else 'forward'} {batch}"] = asdict(found)
                print(f"{name:<28}{'train' if trains else 'forward'} {batch:<4}{found}", flush=True)
    save("pooling", {"machine": machine(), "table": table})


if __name__ == "__main__":
    main()
