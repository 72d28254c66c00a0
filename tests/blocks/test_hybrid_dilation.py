"""Rates of dilated convolutions: the paper's rule, and the pixels that really are left out."""

from itertools import product
from math import gcd

import pytest
import torch
from parts import part
from torch import nn

from assay.blocks.hybrid_dilation import check_rates, widest_gap
from assay.errors import BadArgumentError


def test_hybrid_dilated_convolution_has_the_examples_of_the_paper():
    assert (widest_gap([1, 2, 5]), widest_gap([1, 2, 9])) == (2, 5)
    assert part("hybrid-dilated-convolution")([1, 2, 5]) == []
    assert part("hybrid-dilated-convolution")([1, 2, 9]) == [-5, -4, 4, 5]
    assert part("hybrid-dilated-convolution")([2, 2, 2]) == [-5, -3, -1, 1, 3, 5]


@pytest.mark.parametrize("rates", [(1, 2, 5), (1, 2, 9), (2, 4), (2, 3), (5,), (1, 1, 6)])
@pytest.mark.parametrize("size", [3, 5])
def test_holes_are_the_pixels_whose_gradient_is_zero(rates: tuple[int, ...], size: int):
    convs = [nn.Conv2d(1, 1, size, dilation=rate, bias=False) for rate in rates]
    for conv in convs:
        nn.init.ones_(conv.weight)
    reach = size // 2 * sum(rates)
    image = torch.zeros(1, 1, 2 * reach + 1, 2 * reach + 1, requires_grad=True)
    nn.Sequential(*convs)(image).sum().backward()
    unseen = (image.grad[0, 0, reach] == 0).nonzero().flatten() - reach
    assert part("hybrid-dilated-convolution")(rates, size) == unseen.tolist()


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("layers", [2, 3, 4])
def test_a_stack_from_one_that_obeys_the_papers_rule_has_no_holes(layers: int, size: int):
    stacks = [(1, *rest) for rest in product(range(1, 9), repeat=layers - 1)]
    obedient = [rates for rates in stacks if widest_gap(rates) <= size]
    assert len(obedient) < len(stacks)
    assert [rates for rates in obedient if part("hybrid-dilated-convolution")(rates, size)] == []


def test_the_papers_rule_refuses_some_stacks_without_holes_and_passes_some_with():
    holes = part("hybrid-dilated-convolution")
    assert widest_gap([1, 4, 2]) == 2 * 4 - 2
    assert holes([1, 4, 2]) == []
    assert widest_gap([2, 2]) <= 3
    assert holes([2, 2]) == [-3, -1, 1, 3]


def test_rates_with_a_common_divisor_always_leave_holes():
    holes = part("hybrid-dilated-convolution")
    stacks = [rates for rates in product(range(1, 9), repeat=3) if gcd(*rates) > 1]
    assert stacks
    assert all(1 in holes(rates) for rates in stacks)


def test_rates_that_skip_pixels_are_refused():
    check_rates([1, 2, 5])
    with pytest.raises(BadArgumentError) as caught:
        check_rates([1, 2, 9])
    assert str(caught.value) == (
        "Dilation rates must leave no pixel out. Received rates=[1, 2, 9], which skip 2 distances "
        "from the centre, the first at 4; start at 1 and let no later rate reach over what lies "
        "before."
    )


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda: widest_gap([1]),
            "`rates` must be at least 2 whole numbers, each at least 1. Received rates=[1]; give "
            "the dilation of every layer.",
        ),
        (
            lambda: check_rates([1, 0]),
            "`rates` must be at least 1 whole numbers, each at least 1. Received rates=[1, 0]; "
            "give the dilation of every layer.",
        ),
        (
            lambda: check_rates([1, 2], kernel_size=4),
            "`kernel_size` must be odd, so that a kernel has a centre. Received kernel_size=4; "
            "take 5.",
        ),
    ],
)
def test_what_is_no_stack_of_rates_is_refused(ask, says: str):
    with pytest.raises(BadArgumentError) as caught:
        ask()
    assert str(caught.value) == says
