"""Rates of stacked dilated convolutions, and the pixels that they leave out.

Dilated convolutions of one rate, or of rates with a common divisor, look at a grid and never at
the pixels between. Hybrid dilated convolution chooses rates whose grids fill each other's holes.

Source: Wang et al., 2017, https://arxiv.org/abs/1702.08502, section 3.2 and equation 2.
"""

from collections.abc import Sequence

from assay.errors import BadArgumentError


def holes(rates: Sequence[int], kernel_size: int = 3) -> list[int]:
    """Return where a stack of dilated convolutions has no weight, along one side.

    Args:
        rates: Dilation of each layer, from first to last, each at least 1.
        kernel_size: Side of the kernels, odd.

    Returns:
        Distances in pixels from the centre of the receptive field, in order. Empty if every pixel
        is looked at.

    Raises:
        BadArgumentError: There is no rate, one is below 1, or `kernel_size` is even.
    """
    _check(rates, kernel_size)
    half = kernel_size // 2
    seen = {0}
    for rate in rates:
        seen = {place + rate * tap for place in seen for tap in range(-half, half + 1)}
    reach = half * sum(rates)
    return [place for place in range(-reach, reach + 1) if place not in seen]


def widest_gap(rates: Sequence[int]) -> int:
    """Return M₂ of the paper: how far apart two pixels may lie that the second layer looks at.

    The rule asks for at most the side of the kernel. For stacks that start at 1 that is enough,
    and more than is needed: [1, 4, 2] fails with a kernel of 3, though it leaves no pixel out. For
    others it is no guide: [2, 2] passes. `holes` looks at every pixel.

    Args:
        rates: Dilation of each layer, from first to last, each at least 1; two layers or more.

    Raises:
        BadArgumentError: There are fewer than two rates, or one is below 1.
    """
    _check(rates, kernel_size=1, least=2)
    gap = rates[-1]  # M_n = r_n
    for rate in reversed(rates[1:-1]):
        gap = max(gap - 2 * rate, 2 * rate - gap, rate)
    return gap


def check_rates(rates: Sequence[int], kernel_size: int = 3) -> None:
    """Refuse a stack of rates that leaves pixels out.

    Args:
        rates: Dilation of each layer, from first to last, each at least 1.
        kernel_size: Side of the kernels, odd.

    Raises:
        BadArgumentError: The stack has holes; the text says how many and where the first lies.
    """
    missed = [place for place in holes(rates, kernel_size) if place > 0]
    if missed:
        raise BadArgumentError(
            "Dilation rates must leave no pixel out. "
            f"Received rates={[*rates]}, which skip {len(missed)} distances from the centre, the "
            f"first at {missed[0]}; start at 1 and let no later rate reach over what lies before."
        )


def _check(rates: Sequence[int], kernel_size: int, least: int = 1) -> None:
    if len(rates) < least or any(rate < 1 for rate in rates):
        raise BadArgumentError(
            f"`rates` must be at least {least} whole numbers, each at least 1. "
            f"Received rates={[*rates]}; give the dilation of every layer."
        )
    if kernel_size % 2 == 0:
        raise BadArgumentError(
            "`kernel_size` must be odd, so that a kernel has a centre. "
            f"Received kernel_size={kernel_size}; take {kernel_size + 1}."
        )
