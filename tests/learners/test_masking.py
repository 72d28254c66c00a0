"""What is hidden, exchanged and swapped: how much, where, and the same again when it must be."""

import pytest
import torch
from torch import Generator, Tensor

from assay.data.tokens import BEGIN, END, MASK, NOT_SCORED, PAD
from assay.errors import BadArgumentError
from assay.learners.masking import (
    exchange_second,
    leave,
    mask,
    mask_by_example,
    swap_sentences,
)

V = 1000


def rows(count: int, length: int, pad: int = 0) -> Tensor:
    ids = torch.randint(MASK + 1, V, (count, length), generator=seeded())
    ids[:, 0], ids[:, -1] = BEGIN, END
    return torch.cat([ids, torch.full((count, pad), PAD)], dim=1)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pair(first: list[int], second: list[int], length: int = 10) -> list[int]:
    row = [BEGIN, *first, END, *second, END]
    return row + [PAD] * (length - len(row))


def test_sentences_that_nothing_is_asked_of_stay_as_they_are():
    ids = torch.tensor([pair([5, 6], [7]), pair([8], [9, 10])])
    left, labels = leave(ids)
    assert torch.equal(left, ids)
    assert labels.tolist() == [NOT_SCORED, NOT_SCORED]


def test_fifteen_percent_are_asked_for_of_which_eight_tenths_are_hidden():
    ids = rows(200, 102)
    masked, labels = mask(ids, V, seeded(1))
    asked = labels != NOT_SCORED
    assert (asked.sum(1) == 15).all()  # of 100 ordinary tokens
    assert torch.equal(labels[asked], ids[asked])
    assert torch.equal(masked[~asked], ids[~asked])
    hidden = (masked == MASK)[asked].double().mean().item()
    same = (masked == ids)[asked].double().mean().item()
    assert abs(hidden - 0.8) < 4 * (0.8 * 0.2 / 3000) ** 0.5
    assert abs(same - 0.1) < 4 * (0.1 * 0.9 / 3000) ** 0.5
    assert masked[asked].min() >= MASK


def test_ends_and_padding_are_never_asked_for_and_short_rows_ask_for_one():
    ids = rows(500, 4, pad=3)
    _, labels = mask(ids, V, seeded(1))
    asked = labels != NOT_SCORED
    assert (asked.sum(1) == 1).all()
    assert asked.any(0).tolist() == [False, True, True, False, False, False, False]


def test_a_row_without_an_ordinary_token_asks_for_nothing():
    ids = torch.tensor([[BEGIN, END, PAD]])
    masked, labels = mask(ids, V, seeded())
    assert torch.equal(masked, ids)
    assert (labels == NOT_SCORED).all()


def test_training_draws_anew_from_torchs_generator():
    ids = rows(4, 50)
    torch.manual_seed(3)
    first, second = mask(ids, V), mask(ids, V)
    assert not torch.equal(first[1], second[1])
    torch.manual_seed(3)
    assert torch.equal(mask(ids, V)[0], first[0])


def test_evaluation_hides_the_same_in_whatever_batch_an_example_stands():
    ids = rows(5, 30, pad=2)
    masked, labels = mask_by_example(ids, V)
    turned = [t.flip(0) for t in mask_by_example(ids.flip(0)[:, :30], V)]
    assert torch.equal(turned[0], masked[:, :30])
    assert torch.equal(turned[1], labels[:, :30])
    assert (labels[:, 30:] == NOT_SCORED).all()
    places = (labels != NOT_SCORED).int()
    assert len(places.unique(dim=0)) == 5


def test_a_vocabulary_of_special_tokens_alone_is_refused():
    for call in (mask, mask_by_example):
        with pytest.raises(BadArgumentError) as error:
            call(rows(1, 5), 5)
        assert str(error.value) == (
            "A vocabulary must have a token beside the 5 special ones to be masked. Received "
            "vocabulary=5; train the tokenizer on more text."
        )


def test_half_of_the_pairs_get_the_second_sentence_of_another_row():
    ids = torch.tensor([pair([10 + i, 20 + i], [30 + i]) for i in range(8)])
    new, labels = exchange_second(ids, seeded())
    assert sorted(labels.tolist()) == [0] * 4 + [1] * 4
    for row, (before, after) in enumerate(zip(ids, new, strict=True)):
        assert torch.equal(after[:4], before[:4])
        assert (after[4] != 30 + row) == bool(labels[row])
        assert after[4] in ids[:, 4]
        assert after[5:].tolist() == [END, PAD, PAD, PAD, PAD]


def test_a_longer_second_sentence_is_cut_and_keeps_its_end():
    ids = torch.tensor([pair([5, 6, 7, 8, 9, 10], [11]), pair([12], [13, 14, 15, 16, 17, 18])])
    new, labels = exchange_second(ids, seeded())
    (row,) = labels.nonzero().flatten().tolist()
    expected = [pair([5, 6, 7, 8, 9, 10], [13]), pair([12], [11])]
    assert new[row].tolist() == expected[row]


def test_rows_of_one_sentence_are_left_and_not_asked_about():
    ids = torch.tensor([pair([5, 6], [7]), [BEGIN, 8, 9, END, *[PAD] * 6]])
    for change in (exchange_second, swap_sentences):
        new, labels = change(ids, seeded())
        assert torch.equal(new[1], ids[1])
        assert labels[1] == NOT_SCORED


def test_about_half_of_the_pairs_are_swapped():
    ids = torch.tensor([pair([10, 11], [12])] * 400)
    new, labels = swap_sentences(ids, seeded())
    assert abs(labels.double().mean().item() - 0.5) < 4 * (0.25 / 400) ** 0.5
    assert new[labels == 1].unique(dim=0).tolist() == [pair([12], [10, 11])]
    assert new[labels == 0].unique(dim=0).tolist() == [pair([10, 11], [12])]
