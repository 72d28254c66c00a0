"""The device that a trial is computed on: the processor, or an accelerator that torch knows."""

from __future__ import annotations

import torch

from assay.engine.machine import peak_memory_bytes, reset_peak_memory
from assay.engine.spec import Plan
from assay.errors import DeviceError


def device_of(plan: Plan) -> torch.device:
    """Return where a plan's network and batches live."""
    return torch.device(plan.accelerator)


def name_of(accelerator: str) -> str:
    """Return what an accelerator calls itself, such as "NVIDIA H100"; "" for the processor.

    Raises:
        DeviceError: There is none here.
    """
    if accelerator == "cpu":
        return ""
    module = torch.get_device_module(accelerator)
    if not module.is_available():
        raise DeviceError(
            f"`accelerator` must be a device that torch finds here. Received {accelerator}, which "
            f"torch {torch.__version__} does not find; look at its driver and at "
            "CUDA_VISIBLE_DEVICES, or leave `accelerator` out."
        )
    ask = getattr(module, "get_device_name", None)
    return str(ask()) if ask else accelerator


def wake(device: torch.device) -> None:
    """Make a device ready for a trial or a measurement, and count its memory anew.

    A graphics card computes float32 in full (torch's default rounds what convolutions read to 10
    bits) and by kernels that sum in the same order each time, as far as it has such.

    Raises:
        DeviceError: It is not there, or not any more.
    """
    if device.type != "cuda":
        reset_peak_memory()
        return
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()
    except RuntimeError as error:
        raise DeviceError(
            f"The graphics card cannot be used: {error}. What was measured is kept; run the same "
            "command again once it can."
        ) from error
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def wait_for(device: torch.device) -> None:
    """Return when all that a device was asked to compute is done: it computes while we go on."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def most_memory(device: torch.device) -> int:
    """Return the most bytes held at once: of the graphics card, or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return peak_memory_bytes()
