"""Batches: an order that depends on seed and step alone, and augmentation of whole batches."""

import os

import numpy as np
import pytest
import torch

from assay.data.augment import draw_offsets, shift
from assay.data.batches import Batches, Normalise, memory_bytes, to_tensor
from assay.data.load import load
from assay.errors import BadArgumentError


@pytest.fixture
def images():
    return torch.randint(0, 256, (50, 3, 6, 5), generator=torch.Generator().manual_seed(0)).byte()


def test_an_epoch_shows_no_example_twice_and_another_epoch_another_order(images):
    batches = Batches(images, torch.arange(50), 8, 0)
    assert batches.steps_per_epoch == 6
    epochs = [torch.cat([batches.indices(s) for s in range(e * 6, e * 6 + 6)]) for e in (0, 1)]
    for order in epochs:
        assert len(set(order.tolist())) == 48
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_any_step_can_be_asked_for_first(images, augment):
    labels = torch.arange(50)
    whole = Batches(images, labels, 8, 3, augment=augment)
    seen = [whole(step) for step in range(20)]
    for step in (19, 7, 0):
        x, y = Batches(images, labels, 8, 3, augment=augment)(step)
        assert torch.equal(x, seen[step][0])
        assert torch.equal(y, seen[step][1])
    assert not torch.equal(seen[0][1], Batches(images, labels, 8, 4)(0)[1])


def test_a_batch_is_the_examples_and_their_targets(images):
    batches = Batches(images, torch.arange(50), 8, 0)
    x, y = batches(2)
    assert torch.equal(x, images[y])


def test_a_set_smaller_than_a_batch_is_one_batch(images):
    batches = Batches(images[:5], torch.arange(5), 8, 0)
    assert batches.steps_per_epoch == 1
    assert sorted(batches(0)[1].tolist()) == [0, 1, 2, 3, 4]


def test_the_order_does_not_depend_on_torchs_own_generator(images):
    first = Batches(images, torch.arange(50), 8, 0).indices(0)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(Batches(images, torch.arange(50), 8, 0).indices(0), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_images_are_normalised_by_channel(images):
    facts = {"kind": "image", "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    mean, std = (torch.tensor(facts[k], dtype=torch.float64).view(3, 1, 1) for k in ("mean", "std"))
    expected = (images.double() / 255 - mean) / std
    torch.testing.assert_close(Normalise(facts)(images).double(), expected, rtol=1e-6, atol=1e-6)


def test_what_is_no_image_is_left_as_it_is():
    rows = torch.randn(4, 3)
    assert Normalise({"kind": "table"})(rows) is rows


def test_normalised_digits_have_mean_0_and_spread_1(opened):
    digits = opened("digits")
    x, y = to_tensor(digits, "train")
    assert (x.dtype, y.dtype, len(x)) == (torch.uint8, torch.int64, 1078)
    assert torch.equal(x, torch.from_numpy(np.array(digits.x[digits.train])))
    normalised = Normalise(digits.preprocessing)(x)
    assert abs(normalised.mean()) < 1e-5
    assert abs(normalised.std() - 1) < 1e-3


def shifted(images: torch.Tensor, *, reach: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return shift(images, draw_offsets(len(images), reach=reach, generator=generator), reach=reach)


def test_a_shift_moves_each_image_whole_and_fills_with_zeros(images):
    moved = shifted(images, reach=2, seed=0)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = set()
    for before, after in zip(padded, moved, strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(before[:, top : top + 6, left : left + 5], after)
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 15  # of 25: each image has its own
    assert moved.is_contiguous()


def test_a_shift_follows_its_generator(images):
    moved = [shifted(images, reach=2, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])


def test_a_shift_keeps_floats_and_does_not_touch_its_input(images):
    floats, kept = images.float(), images.float().clone()
    moved = shifted(floats, reach=1, seed=0)
    assert (moved.dtype, moved.shape) == (floats.dtype, floats.shape)
    assert torch.equal(floats, kept)


def test_batches_that_cannot_be_made_are_refused(images):
    with pytest.raises(BadArgumentError) as caught:
        Batches(images, torch.arange(49), 8, 0)
    assert str(caught.value) == (
        "Batches need at least one example, a target for each and a positive `batch_size`. "
        "Received 50 examples, 49 targets, batch_size=8."
    )
    with pytest.raises(BadArgumentError) as caught:
        Batches(torch.zeros(5, 3), torch.arange(5), 8, 0, augment="shift")
    assert str(caught.value) == (
        "`augment` may be 'shift' for images only. Received examples of shape (3,); use "
        "augment='none'."
    )


@pytest.mark.parametrize(
    ("side", "share", "pixels"),
    [(32, 0.125, 4), (28, 0.125, 4), (8, 0.125, 1), (8, 0.05, 0), (24, 0.5, 12), (4, 0.125, 1)],
)
def test_images_are_shifted_by_up_to_their_share_of_the_side(side, share, pixels):
    one = torch.zeros(1, 1, side, side)
    one[0, 0, side // 2, side // 2] = 1
    batches = Batches(one, torch.zeros(1), 1, 0, augment="shift", reach=share)
    places = [(batches(step)[0][0, 0] == 1).nonzero() - side // 2 for step in range(300)]
    moved = torch.cat([place for place in places if len(place)]).abs().max().item()
    assert moved == pixels


def test_every_step_shifts_in_its_own_way():
    one = torch.randint(0, 256, (1, 1, 24, 24), generator=torch.Generator().manual_seed(0)).byte()
    batches = Batches(one, torch.zeros(1), 1, 0, augment="shift")
    assert len({batches(step)[0].numpy().tobytes() for step in range(30)}) > 15  # of 49


def test_a_part_too_large_for_memory_stays_on_disk_and_gives_the_same_batches(tmp_path):
    dataset = load("digits", folder=tmp_path)
    held, y = to_tensor(dataset, "train")
    on_disk, _ = to_tensor(dataset, "train", most_bytes=1000)
    assert isinstance(held, torch.Tensor)
    assert not isinstance(on_disk, torch.Tensor)
    assert torch.equal(torch.cat([*on_disk.split(100)]), held)
    a, b = (Batches(x, y, 64, 3, augment="shift") for x in (held, on_disk))
    for step in (0, 1, 40):
        assert torch.equal(a(step)[0], b(step)[0])


@pytest.mark.parametrize(
    ("told", "counts"), [("1048576\n", 2**20), ("max\n", None), (f"{2**62}\n", None), (None, None)]
)
def test_a_containers_share_of_the_memory_is_kept(tmp_path, told, counts):
    limit = tmp_path / "memory.max"
    if told is not None:
        limit.write_text(told)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_bytes(limit) == (counts or physical)


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_the_batches_of_several_seeds_in_one_gather_are_those_of_each(opened, augment: str):
    digits = opened("digits")
    x, y = to_tensor(digits, "train")
    normalise = Normalise(digits.preprocessing)
    seeds = [Batches(x, y, 32, seed, normalise=normalise, augment=augment) for seed in range(3)]
    for step in (0, 40):
        xs, ys = zip(*(one(step) for one in seeds), strict=True)
        together = seeds[0].of_all(seeds, step)
        assert torch.equal(together[0], torch.stack(xs))
        assert torch.equal(together[1], torch.stack(ys))
