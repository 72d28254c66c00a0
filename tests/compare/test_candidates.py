"""Names become candidates with the recipe and digest of their cards."""

from pathlib import Path

import pytest

from assay.canon.catalog import catalog, code_digest
from assay.compare.candidates import candidate, resolve
from assay.errors import BadArgumentError, MissingPathError, UnknownNameError

DIGITS = {"task": "image-classification", "inputs": (1, 8, 8)}
TABLE = {"task": "tabular-regression", "inputs": (13,)}


def test_without_names_the_cards_propose_at_least_eight_networks_for_digits():
    found = resolve(None, None, **DIGITS)
    assert len(found) >= 8
    assert len({c.name for c in found}) == len(found)
    assert {c.name for c in found} <= {v.name for _, v in catalog().candidates(DIGITS["task"])}


def test_a_family_keeps_only_its_own():
    assert {c.family for c in resolve(None, "cnn", **DIGITS)} == {"cnn"}


def test_a_table_gets_networks_that_read_tables():
    names = {c.name for c in resolve(None, None, **TABLE)}
    assert "mlp" in names
    assert "lenet5" not in names


def test_a_candidate_carries_what_its_card_says():
    card, variant = catalog().entry("lenet5")
    found = candidate("lenet-5", (1, 8, 8), "image-classification")  # the card's own id
    assert (found.name, found.family) == (variant.name, card.family)
    assert found.recipe == card.recipe
    assert found.digest == code_digest(card)


def test_what_is_adapted_is_told_in_both_languages():
    told = candidate("resnet18", (1, 8, 8), "image-classification").adaptation
    assert sorted(told) == ["en", "zh"]
    assert all(told.values())
    assert candidate("mlp", (13,), "tabular-regression").adaptation == {}


def test_a_file_of_the_user_takes_part(tmp_path: Path):
    file = tmp_path / "my_net.py"
    file.write_text("class Net: ...\n")
    before = candidate(f"{file}:Net", (1, 8, 8), "image-classification")
    assert (before.name, before.family) == (f"{file}:Net", "file")
    file.write_text("class Net: pass\n")
    assert candidate(f"{file}:Net", (1, 8, 8), "image-classification").digest != before.digest


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        resolve(["resnet8"], None, **DIGITS)
    many = len(catalog().cards)
    assert str(caught.value) == (
        f"Unknown name 'resnet8'. Did you mean 'resnet18'? `assay list` shows all {many} entries."
    )


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(MissingPathError) as caught:
        resolve([f"{tmp_path}/no.py:Net"], None, **DIGITS)
    assert str(caught.value) == (
        f"There is no file '{tmp_path}/no.py'; correct the path of '{tmp_path}/no.py:Net'."
    )


def test_a_network_named_twice_is_refused_also_under_its_cards_id():
    with pytest.raises(BadArgumentError) as caught:
        resolve(["lenet5", "mlp", "lenet-5"], None, **DIGITS)
    assert str(caught.value) == (
        "`models` must name every network once. Received 'lenet5' more than once; "
        "a card's id stands for its default variant."
    )


def test_models_and_family_exclude_each_other():
    with pytest.raises(BadArgumentError) as caught:
        resolve(["mlp"], "cnn", **DIGITS)
    assert str(caught.value) == (
        "`models` and `family` exclude each other. "
        "Received models='mlp' and family='cnn'; leave one out."
    )


def test_no_name_at_all_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        resolve([" "], None, **DIGITS)
    assert str(caught.value) == (
        "`models` must name at least one network. Received none; `assay list` shows all."
    )


def test_an_unknown_family_is_answered_with_those_that_do_the_task():
    families = sorted({card.family for card, _ in catalog().candidates("tabular-regression")})
    with pytest.raises(BadArgumentError) as caught:
        resolve(None, "cnn", **TABLE)
    assert str(caught.value).startswith(
        f"`family` must be one that does tabular-regression: {', '.join(families)}. Received 'cnn'."
    )


def test_a_network_for_another_task_is_refused_with_those_that_fit():
    fitting = sorted(v.name for _, v in catalog().candidates("tabular-regression"))
    with pytest.raises(BadArgumentError) as caught:
        resolve(["lenet5"], None, **TABLE)
    assert str(caught.value) == (
        "lenet5 does image-classification. The task here is tabular-regression; these do it: "
        f"{', '.join(fitting)}."
    )
