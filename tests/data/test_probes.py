"""Probes of memory: every answer follows from its example, and names are read or refused."""

import numpy as np
import pytest

from assay.data.check import check
from assay.data.prepare import Options, open_prepared, prepare
from assay.data.probe_brackets import balanced
from assay.data.probes import PROBES, is_probe, probe, read_name
from assay.data.tokenizer import open_tokenizer
from assay.errors import BadArgumentError


@pytest.fixture
def drawn(tmp_path):
    def prepared(name):
        home = tmp_path / name.replace(":", "-")
        home.mkdir()
        prepare(probe(name, Options()).read(home), home, seed=0)
        return open_prepared(home)

    return prepared


def texts(data):
    tokenizer = open_tokenizer(data.preprocessing["tokenizer"])
    return [tokenizer.decode(row[row > 0].tolist()) for row in data.x]


def named(data):
    return [data.classes[label] for label in data.y]


SMALL = {
    "copy": "copy:T=7,n=60",
    "adding": "adding:T=9,n=60",
    "parity": "parity:T=12,n=200",
    "brackets": "brackets:T=12,n=200,depth=3",
    "recall": "recall:T=63,n=200",
    "listops": "listops:T=60,n=300",
}


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_becomes_prepared_data(drawn, name):
    data = drawn(SMALL[name])
    assert data.task == PROBES[name].task
    assert len(data.x) == data.x.shape[0] == int(data.name.split("n=")[1].split(",")[0])
    if data.kind == "tokens":
        vocabulary = data.preprocessing["vocabulary"]
        assert (data.x.dtype, data.inputs) == (np.int32, (data.x.shape[1], vocabulary))
        assert data.x[data.x > 0].min() >= 5
        assert data.x.max() < vocabulary
        assert open_tokenizer(data.preprocessing["tokenizer"]).vocabulary == vocabulary
    assert PROBES[name].url in data.notes[0]["en"]
    assert PROBES[name].url in data.notes[0]["zh"]


@pytest.mark.parametrize("name", PROBES)
def test_the_seed_decides_the_examples(name):
    first, again, other = (
        probe(f"{SMALL[name]},seed={seed}", Options()).read(None) for seed in (1, 1, 2)
    )
    assert first.content == again.content != other.content
    (x, _), (same, _), (different, _) = (raw.fit(np.arange(40)) for raw in (first, again, other))
    assert x.tobytes() == same.tobytes() != different.tobytes()


def test_copy_asks_for_ten_symbols_after_the_mark(drawn):
    data = drawn(SMALL["copy"])
    assert data.inputs == (27, 15)
    for text, labels in zip(texts(data), data.y, strict=True):
        assert text[10:] == "______>__________"
        assert "".join(data.classes[label] for label in labels[-10:]) == text[:10]
        assert (labels[:-10] == -100).all()


def test_adding_marks_one_number_in_each_half():
    raw = probe("adding:T=9,n=500", Options()).read(None)
    stored, facts = raw.fit(np.arange(300))
    x = stored * np.array(facts["std"], np.float32) + np.array(facts["mean"], np.float32)
    marks = x[:, :, 1].round().astype(bool)
    assert (marks[:, :4].sum(1) == 1).all()
    assert (marks[:, 4:].sum(1) == 1).all()
    np.testing.assert_allclose((x[:, :, 0] * marks).sum(1), raw.y, atol=1e-5)
    assert x[:, :, 0].min() > -1e-5
    assert np.square(raw.y - 1).mean() == pytest.approx(1 / 6, rel=0.15)


def test_parity_is_that_of_the_ones(drawn):
    data = drawn(SMALL["parity"])
    expected = ["odd" if text.count("1") % 2 else "even" for text in texts(data)]
    assert named(data) == expected


def matches(text):
    """Say by taking pairs away whether brackets match."""
    while "()" in text or "[]" in text:
        text = text.replace("()", "").replace("[]", "")
    return not text


def test_half_of_the_brackets_match(drawn):
    data = drawn(SMALL["brackets"])
    assert named(data) == ["balanced" if matches(text) else "unbalanced" for text in texts(data)]
    assert (data.y == 1).sum() == 100


def test_brackets_that_match_keep_to_the_depth_and_look_like_the_others(drawn):
    data = drawn("brackets:T=40,n=400,depth=4")
    opens = (data.x - 5) % 2 == 0
    height = np.where(opens, 1, -1).cumsum(1)
    assert height[data.y == 1].max() == 4
    counts = np.stack([(data.x == symbol).sum(1) for symbol in range(5, 9)], axis=1)
    assert (opens.sum(1) == 20).all()  # counting does not tell
    assert (counts[:, 0] == counts[:, 1]).all()


def test_every_way_to_match_is_as_likely():
    raw = probe("brackets:T=6,n=20000,depth=3", Options()).read(None)
    x, _ = raw.fit(np.arange(9))
    shapes = np.where((x[raw.y == 1] - 5) % 2 == 0, 1, 0) @ (1 << np.arange(6))
    _, counts = np.unique(shapes, return_counts=True)
    assert len(counts) == 5  # Catalan's number
    assert counts == pytest.approx(np.full(5, 2000), rel=0.08)


def test_wrong_kinds_are_not_balanced():
    rows = [[0, 2, 1, 3], [0, 2, 3, 1], [1, 0, 0, 1], [0, 1, 2, 2]]  # ([)]  ([])  )(()  ()[[
    assert balanced(np.array(rows)).tolist() == [False, True, False, False]


def test_recall_asks_for_the_digit_behind_a_key(drawn):
    data = drawn(SMALL["recall"])  # 30 pairs: more keys than letters
    for text, answer in zip(texts(data), named(data), strict=True):
        pairs = dict(zip(text[:60:2], text[1:60:2], strict=True))
        assert len(pairs) == 30
        assert text[60:62] == "??"
        assert pairs[text[62]] == answer


def value(text):
    """Evaluate an expression by a stack."""
    how = {
        "n": min,
        "x": max,
        "d": lambda values: int(np.median(values)),
        "s": lambda values: sum(values) % 10,
    }
    stack = [[]]
    for symbol in text:
        if symbol in how:
            stack.append([symbol])
        elif symbol == "]":
            operation, *values = stack.pop()
            stack[-1].append(how[operation](values))
        else:
            stack[-1].append(int(symbol))
    ((found,),) = stack
    return found


def test_listops_are_evaluated(drawn):
    data = drawn(SMALL["listops"])
    found = texts(data)
    assert [str(value(text)) for text in found] == named(data)
    lengths = [len(text) for text in found]
    assert 15 < min(lengths) <= max(lengths) <= 60
    assert len(set(found)) == 300
    assert {symbol for text in found for symbol in text} == set("0123456789nxds]")


def test_a_name_says_kind_and_parameters():
    assert [is_probe(name) for name in ("adding", "copy:T=5", "digits", "adding.csv")] == [
        True,
        True,
        False,
        False,
    ]
    assert read_name("adding")[1] == {"T": 200, "n": 10_000, "seed": 0}
    assert probe("brackets:depth=4,T=8", Options()).name == "brackets:T=8,depth=4,n=10000,seed=0"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ading:T=3",
            "A probe must be one of copy, adding, parity, brackets, recall, listops. Received "
            "'ading'. Did you mean 'adding'?",
        ),
        (
            "adding:T=x",
            "adding takes whole numbers for T, n, seed, written as adding:T=200,n=10000. Received "
            "'T=x'; correct it.",
        ),
        (
            "adding:T",
            "adding takes whole numbers for T, n, seed, written as adding:T=200,n=10000. Received "
            "'T'; correct it.",
        ),
        (
            "parity:depth=3",
            "parity takes whole numbers for T, n, seed, written as parity:T=20,n=10000. Received "
            "'depth=3'; correct it.",
        ),
        (
            "adding:T=1",
            "`T` of adding must be a whole number in [2, 100000]. Received 1; choose another.",
        ),
        (
            "brackets:T=7",
            "`T` of brackets must be an even number in [2, 100000]. Received 7; choose another.",
        ),
        (
            "recall:T=8",
            "`T` of recall must be an odd number in [5, 20003]. Received 8; choose another.",
        ),
    ],
)
def test_a_name_that_is_no_probe_is_corrected(name, message):
    with pytest.raises(BadArgumentError) as caught:
        read_name(name)
    assert str(caught.value) == message


def test_more_than_the_memory_holds_is_refused(monkeypatch):
    monkeypatch.setattr("assay.data.probes.memory_limit", lambda: 1_000_000)
    with pytest.raises(BadArgumentError) as caught:
        read_name("adding:T=180,n=1000")
    assert str(caught.value) == (
        "The examples of a probe must fit a quarter of this machine's memory, 1,000,000 bytes. "
        "1,000 of length 180 take 1,600,000; use a smaller n or T."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"task": "forecasting"},
            "adding is sequence-regression. Received task='forecasting'; leave it out.",
        ),
        (
            {"window": 3},
            "`window` does not apply to a probe, which has no columns and sets its length by T. "
            "Received '3' for adding; leave it out.",
        ),
        (
            {"tokenizer": "bpe"},
            "`tokenizer` does not apply to a probe, which has no columns and sets its length by T. "
            "Received 'bpe' for adding; leave it out.",
        ),
    ],
)
def test_options_that_a_probe_does_not_have_are_refused(options, message):
    with pytest.raises(BadArgumentError) as caught:
        probe("adding", Options(**options))
    assert str(caught.value) == message


def test_a_probe_is_loaded_by_its_name_and_nothing_of_it_is_cut(opened):
    data = opened("parity:T=12,n=200")
    assert (data.name, data.task) == ("parity:T=12,n=200,seed=0", "text-classification")
    assert [concern.kind for concern in check(data)] == []
