"""The ways in which a network can be computed, and how a chosen one is put on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor, nn

from assay.blocks.attention import Attention
from assay.canon.task import TASKS, Task
from assay.engine.convolution import MOST_PIXELS, can_multiply, multiply_few_pixels, pixels_out
from assay.engine.spec import Plan


def ways(
    model: nn.Module,
    task: Task,
    inputs: tuple[int, ...],
    precision: str,
    accelerator: Any = "cpu",
) -> list[Plan]:
    """Return the plain way first, then the others, the likeliest winners before the rest.

    Layers kept in fp32 and convolutions as products of matrices are ways of the processor alone.

    Args:
        model: What is to be computed.
        task: One of `data.dataset.TASKS`; regression stays in fp32 unless bf16 is asked for.
        inputs: Shape of one example.
        precision: "auto", or "fp32" or "bf16" for that and nothing else.
        accelerator: As `Plan` has it.
    """
    plain = Plan(
        precision="bf16" if precision == "bf16" else "fp32",
        loops=loops_of(model),
        accelerator=accelerator,
    )
    others = [
        replace(plain, precision=p, memory_format=m, attention=a, fp32_layers=kept, convolution=c)
        for p in _precisions(precision, task)
        for m in _memory_formats(model, inputs)
        for kept in _fp32_layers(model, p, accelerator)
        for a in _attentions(model)
        for c in _convolutions(model, inputs, m, accelerator)
    ]
    return [plain, *(way for way in others if way != plain)]


def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """Prepare `model` in place for `plan` and return it; its state dict keeps names and values.

    Memory format, attention and layers kept in fp32 are set here; the inputs' memory format and
    autocast itself belong to the learner's forward pass. Activations stop overwriting their
    inputs: where freed memory is kept, that saves nothing, and costs ReLU6 6 % of a step.
    """
    if plan.memory_format == "channels_last":
        model.to(memory_format=torch.channels_last)
    for module in model.modules():
        _set_attention(module, plan.attention)
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
        if plan.convolution == "matmul" and isinstance(module, nn.Conv2d) and can_multiply(module):
            multiply_few_pixels(module)
        if plan.precision == "bf16" and _kept_in_fp32(module, plan.fp32_layers):
            _compute_in_fp32(module)
    return model


def loops_of(model: nn.Module) -> Any:
    """Return the loops that word vectors learn in, as `Plan` has it."""
    found = (getattr(module, "loops", "") for module in model.modules())
    return next((loops for loops in found if isinstance(loops, str) and loops), "")


def _precisions(precision: str, task: Task) -> Iterator[Literal["bf16", "fp32"]]:
    values = TASKS[task].answers in ("value", "values")
    if precision == "bf16" or (precision == "auto" and not values):
        yield "bf16"
    if precision != "bf16":
        yield "fp32"


def _memory_formats(
    model: nn.Module, inputs: tuple[int, ...]
) -> Iterator[Literal["channels_last", "contiguous"]]:
    if len(inputs) == 3 and any(isinstance(m, nn.Conv2d) for m in model.modules()):
        yield "channels_last"
    yield "contiguous"


def _attentions(model: nn.Module) -> Iterator[Literal["matmul", "fused"]]:
    if any(_has_choice_of_attention(module) for module in model.modules()):
        yield "matmul"
    yield "fused"


def _fp32_layers(model: nn.Module, precision: str, accelerator: str) -> Iterator[tuple[str, ...]]:
    """On some chips all depthwise kernels lose in bf16, on others the strided ones, by far."""
    if precision == "bf16" and accelerator == "cpu":
        for kind in ("strided_depthwise", "depthwise"):
            if any(_kept_in_fp32(module, (kind,)) for module in model.modules()):
                yield (kind,)
    yield ()


def _convolutions(
    model: nn.Module, inputs: tuple[int, ...], memory_format: str, accelerator: str
) -> Iterator[Literal["matmul", "direct"]]:
    here = accelerator == "cpu"
    if here and memory_format == "channels_last" and _has_few_pixels(model, inputs):
        yield "matmul"
    yield "direct"


def _has_few_pixels(model: nn.Module, inputs: tuple[int, ...]) -> bool:
    """Return whether any convolution's output is small enough to be multiplied instead."""
    found: list[bool] = []

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            found.append(pixels_out(module, arguments[0]) <= MOST_PIXELS)

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if can_multiply(m)]
    try:
        if hooks:
            _look_through(model, torch.zeros(1, *inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return any(found)


def _look_through(model: nn.Module, x: Tensor) -> None:
    model.eval()
    with torch.no_grad():
        model(x)
    model.train()


def _has_choice_of_attention(module: nn.Module) -> bool:
    """Our own `Attention`, but with a kernel of its own, and timm's, of the switch `fused_attn`."""
    ours = isinstance(module, Attention) and not isinstance(module.kernel, nn.Module)
    return ours or isinstance(getattr(module, "fused_attn", None), bool)


def _set_attention(module: Any, form: Literal["fused", "matmul"]) -> None:
    if not _has_choice_of_attention(module):
        return
    if isinstance(module, Attention):
        module.kernel = form
    else:
        module.fused_attn = form == "fused"


def _depthwise(module: nn.Module) -> TypeGuard[nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return isinstance(module, convolutions) and 1 < module.groups == module.in_channels


def _kept_in_fp32(module: nn.Module, kinds: tuple[str, ...]) -> bool:
    if _depthwise(module):
        strided = set(module.stride) != {1}
        return "depthwise" in kinds or ("strided_depthwise" in kinds and strided)
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    return "norm" in kinds and isinstance(module, norms)


def _compute_in_fp32(module: nn.Module) -> None:
    """Have `module` compute in fp32 and answer in what it was given, so that little is moved."""
    inner = module.forward

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return inner(x.float()).to(x.dtype)

    module.forward = forward
