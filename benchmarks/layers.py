"""Our layers of channels-first maps over torch's, in one process.

    python -m benchmarks.layers [--rounds 9] [--seconds 0.2]

Batches of maps per CPU second, float32, one thread; the two alternate. Inference is without
gradients; a training step is there and back. Each shape is one of the network it is named after.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.depthwise import DepthwiseConv2d
from assay.blocks.max_pool import MaxPool2d
from assay.engine.machine import keep_memory
from benchmarks.common import interleave, machine, rate, ratio, save

POOLS = MaxPool2d, nn.MaxPool2d
NORMS = partial(BatchNorm2d, inplace=True), nn.BatchNorm2d
FILTERS = DepthwiseConv2d, nn.Conv2d
LAYERS = {  # ours and torch's, their arguments, channels and side of the map
    "max pool, resnet's first": (POOLS, (3, 2, 1), 64, 112),
    "max pool, squeezenet's second": (POOLS, (3, 2, 0), 128, 55),
    "max pool, within googlenet": (POOLS, (3, 1, 1), 480, 14),
    "max pool, vgg's first": (POOLS, (2, 2, 0), 64, 224),
    "max pool, vgg's last": (POOLS, (2, 2, 0), 512, 14),
    "batch norm, resnet's first": (NORMS, (64,), 64, 112),
    "batch norm, mobilenet_v2's widest": (NORMS, (96,), 96, 112),
    "batch norm, within resnet": (NORMS, (256,), 256, 14),
    "batch norm, resnet's last": (NORMS, (512,), 512, 7),
    "depthwise 5x5, efficientnet": (FILTERS, (240, 240, 5, 1, 2, 1, 240), 240, 28),
    "depthwise 5x5, mobilenet_v3": (FILTERS, (576, 576, 5, 1, 2, 1, 576), 576, 7),
    "depthwise 7x7, convmixer": (FILTERS, (768, 768, 7, 1, 3, 1, 768), 768, 32),
}
BATCHES = (1, 32)


def worker(layer: nn.Module, x: Tensor, *, trains: bool) -> Callable[[], int]:
    """Return a function that sends a batch through a layer and returns its maps."""
    layer.train(trains)
    x = x.clone().requires_grad_(trains)
    back = torch.ones_like(layer(x))

    @torch.no_grad()
    def there() -> int:
        layer(x)
        return len(x)

    def there_and_back() -> int:
        x.grad = None
        layer(x).backward(back)
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
    for name, (sides, arguments, channels, side) in LAYERS.items():
        row = table[name] = {"map": [channels, side]}
        for trains in (False, True):
            for batch in BATCHES:
                x = torch.randn(batch, channels, side, side)
                ways = {
                    whose: partial(rate, worker(layer(*arguments), x, trains=trains), args.seconds)
                    for whose, layer in zip(("ours", "theirs"), sides, strict=True)
                }
                rates = interleave(ways, args.rounds)
                found = ratio(rates["ours"], rates["theirs"])
                row[f"{'train' if trains else 'forward'} {batch}"] = asdict(found)
                print(f"{name:<36}{'train' if trains else 'forward'} {batch:<4}{found}", flush=True)
    save("layers", {"machine": machine(), "table": table})


if __name__ == "__main__":
    main()
