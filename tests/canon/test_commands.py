"""`assay list` and `assay show`: what they print, for people and for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import assay.cli.columns
import assay.cli.list
import assay.cli.show
from assay.canon.catalog import Catalog, catalog, read_catalog
from assay.cli import main
from assay.cli.columns import fold

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def small_canon(
    write_card: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Catalog:
    """Two cards: a cnn, and an rnn that builds on it."""
    write_card("a.toml")
    write_card(
        "b.toml",
        ('"sample-net"', '"child-net"'),
        ('"cnn"', '"rnn"'),
        ('["image-classification"]', '["sequence-classification"]'),
        ("parents = []", 'parents = ["sample-net"]'),
        ("Sample network", "Child"),
        ("示例网络", "子网络"),
        ("sample10", "child10"),
        ("[variants.sample20]", "[variants.child20]"),
    )
    found = read_catalog(tmp_path)
    monkeypatch.setattr(assay.cli.list, "catalog", lambda: found)
    monkeypatch.setattr(assay.cli.show, "catalog", lambda: found)
    return found


def test_list_prints_one_line_a_card(small_canon: Catalog, capsys: Capture):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == (
        "id          family  year  name            variants\n"
        "child-net   rnn     2001  Child           child10, child20\n"
        "sample-net  cnn     2001  Sample network  sample10, sample20\n"
    )


def test_list_in_chinese_keeps_its_columns(small_canon: Catalog, capsys: Capture):
    assert main(["list", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == (
        "编号        家族  年份  名称      变体\n"
        "child-net   rnn   2001  子网络    child10, child20\n"
        "sample-net  cnn   2001  示例网络  sample10, sample20\n"
    )


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["child-net", "sample-net"]),
        (["--family", "rnn"], ["child-net"]),
        (["--task", "image-classification"], ["sample-net"]),
        (["--kind", "architecture", "--family", "cnn"], ["sample-net"]),
        (["--task", "image-classification", "--family", "rnn"], []),
    ],
)
def test_list_keeps_what_fits_every_option(
    small_canon: Catalog, capsys: Capture, options: list[str], ids: list[str]
):
    assert main(["list", "--json", *options]) == 0
    assert [card["id"] for card in json.loads(capsys.readouterr().out)] == ids


def test_list_for_programs_has_both_names(small_canon: Catalog, capsys: Capture):
    assert main(["list", "--json", "--family", "rnn"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "child-net",
            "kind": "architecture",
            "family": "rnn",
            "tasks": ["sequence-classification"],
            "year": 2001,
            "name": {"en": "Child", "zh": "子网络"},
            "variants": ["child10", "child20"],
        }
    ]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--family", "cnm", "Unknown --family 'cnm'. Did you mean 'cnn'? There are cnn, rnn."),
        ("--kind", "zzz", "Unknown --kind 'zzz'. There are architecture."),
        (
            "--task",
            "image-clasification",
            "Unknown --task 'image-clasification'. Did you mean 'image-classification'? "
            "There are image-classification, sequence-classification.",
        ),
    ],
)
def test_list_refuses_what_no_card_has(
    small_canon: Catalog, capsys: Capture, option: str, value: str, says: str
):
    assert main(["list", option, value]) == 2
    assert capsys.readouterr() == ("", f"assay: {says}\n")


def test_show_prints_the_card_with_its_lineage(small_canon: Catalog, capsys: Capture):
    assert main(["show", "sample-net"]) == 0
    assert capsys.readouterr().out == (
        "Sample network  (sample-net)\n"
        "\n"
        "idea        One idea.\n"
        "choose      When small.\n"
        "avoid       When large.\n"
        "paper       Nets (Doe et al., 2001) https://example.org/1\n"
        "family      cnn\n"
        "tasks       image-classification\n"
        "reads       image, ≥ 3×32×32\n"
        "small       ≤ 64 px: A stem that keeps the size.\n"
        "builds on   none\n"
        "led to      Child (child-net)\n"
        "departures  pads its input\n"
        "\n"
        "variant   parameters  MACs   native     reference\n"
        "sample10  1,000       2,000  3×224×224  torchvision:sample10\n"
        "sample20  3,000       4,000  3×64×64\n"
    )


def test_show_speaks_chinese(small_canon: Catalog, capsys: Capture):
    assert main(["show", "child-net", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("子网络  (child-net)\n\n要点        一个想法。\n")
    assert "前身        示例网络 (sample-net)\n后继        无\n" in printed


def test_show_of_a_variant_prints_its_row_only(small_canon: Catalog, capsys: Capture):
    assert main(["show", "sample20"]) == 0
    printed = capsys.readouterr().out
    assert "sample20" in printed
    assert "sample10" not in printed


def test_show_for_programs_has_every_fact(small_canon: Catalog, capsys: Capture):
    assert main(["show", "child-net", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    card = small_canon.find("child-net")[0]
    assert facts["path"] == str(card.path)
    assert facts["parents"] == ["sample-net"]
    assert facts["children"] == []
    assert facts["zh"]["name"] == "子网络"
    assert facts["recipe"]["optimizer"] == "sgd"
    assert [v["parameters"] for v in facts["variants"]] == [1000, 3000]


def test_show_of_an_unknown_name_suggests_the_nearest(small_canon: Catalog, capsys: Capture):
    assert main(["show", "sampel-net"]) == 2
    assert capsys.readouterr() == (
        "",
        "assay: Unknown name 'sampel-net'. Did you mean 'sample-net'? "
        "`assay list` shows all 2 entries.\n",
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_card_can_be_shown(lang: str, capsys: Capture):
    for card in catalog().cards:
        assert main(["show", card.id, "--lang", lang]) == 0
        assert card.prose(lang).idea in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("a networkofmanyletters b", ["a", "networkofmanyletters", "b"]),
        ("用平均代替最大值。", ["用平均代", "替最大", "值。"]),
        ("the 3×3 卷积", ["the 3×3", "卷积"]),
    ],
)
def test_text_folds_at_spaces_and_between_chinese_characters(text: str, lines: list[str]):
    assert list(fold(text, 8)) == lines


def test_show_folds_long_text_beside_its_label_on_a_terminal(
    small_canon: Catalog, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assay.cli.columns, "_room", lambda: 30)
    assert main(["show", "sample-net"]) == 0
    assert (
        "paper       Nets (Doe et al.,\n            2001)\n            https://example.org/1\n"
    ) in capsys.readouterr().out
