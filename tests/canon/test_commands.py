"""`assay list` and `assay show`: what they print, for people and for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
import assay.cli.columns
import assay.cli.layers
import assay.cli.list
import assay.cli.show
from assay.canon.catalog import Catalog, catalog, read_catalog
from assay.cli import main
from assay.cli.columns import fold
from assay.errors import BadArgumentError

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
        "architecture  family  year  name            variants\n"
        "child-net     rnn     2001  Child           child10, child20\n"
        "sample-net    cnn     2001  Sample network  sample10, sample20\n"
    )


def test_list_in_chinese_keeps_its_columns(small_canon: Catalog, capsys: Capture):
    assert main(["list", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == (
        "架构        家族  年份  名称      变体\n"
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


@pytest.fixture
def mixed_canon(
    small_canon: Catalog, write_part: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Catalog:
    """The same two, and two parts: an activation, and a block that builds on it."""
    write_part("c.toml", ("parents = []", 'parents = ["child-net"]'))
    path = write_part(
        "d.toml",
        ("sample-part", "a-block"),
        ('"activation"', '"block"'),
        ("parents = []", 'parents = ["sample-part"]'),
        ("torch.nn:ReLU", "assay.blocks.maxout:Maxout"),
        ('\n[[departures]]\nen = "none of note"\nzh = "没有重要的不同"\n', ""),
    )
    found = read_catalog(path.parent)
    monkeypatch.setattr(assay.cli.list, "catalog", lambda: found)
    monkeypatch.setattr(assay.cli.show, "catalog", lambda: found)
    return found


def test_list_prints_the_networks_first_and_the_parts_by_kind(
    mixed_canon: Catalog, capsys: Capture
):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == (
        "architecture  family  year  name            variants\n"
        "child-net     rnn     2001  Child           child10, child20\n"
        "sample-net    cnn     2001  Sample network  sample10, sample20\n"
        "\n"
        "block    year  name         code\n"
        "a-block  1999  Sample part  assay.blocks.maxout:Maxout\n"
        "\n"
        "activation   year  name         code\n"
        "sample-part  1999  Sample part  torch.nn:ReLU\n"
    )


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--kind", "activation"], ["sample-part"]),
        (["--kind", "architecture"], ["child-net", "sample-net"]),
        (["--family", "cnn"], ["sample-net"]),
        (["--task", "sequence-classification"], ["child-net"]),
        (["--kind", "block", "--family", "cnn"], []),
    ],
)
def test_only_networks_have_a_family_or_a_task(
    mixed_canon: Catalog, capsys: Capture, options: list[str], ids: list[str]
):
    assert main(["list", "--json", *options]) == 0
    assert [card["id"] for card in json.loads(capsys.readouterr().out)] == ids
    assert main(["list", *options]) == 0
    assert capsys.readouterr().out.count("\n") == (len(ids) + 1 if ids else 0)


def test_list_of_one_kind_in_chinese(mixed_canon: Catalog, capsys: Capture):
    assert main(["list", "--kind", "block", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == (
        "模块     年份  名称      代码\na-block  1999  示例部件  assay.blocks.maxout:Maxout\n"
    )


def test_list_for_programs_names_a_parts_code(mixed_canon: Catalog, capsys: Capture):
    assert main(["list", "--json", "--kind", "activation"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "sample-part",
            "kind": "activation",
            "year": 1999,
            "name": {"en": "Sample part", "zh": "示例部件"},
            "code": "torch.nn:ReLU",
        }
    ]


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
        "reads       images, C×H×W ≥ 3×32×32\n"
        "small       ≤ 64 px: A stem that keeps the size.\n"
        "builds on   none\n"
        "led to      Child (child-net)\n"
        "departures  pads its input\n"
        "            halves early\n"
        "\n"
        "variant   parameters  MACs   native     reference\n"
        "sample10  1,000       2,000  3×224×224  torchvision:sample10\n"
        "sample20  3,000       4,000  3×64×64\n"
    )


@pytest.mark.parametrize(
    ("name", "lang", "told"),
    [
        ("gpt2", "en", "reads       T tokens out of V, T×V ≥ 1×8\n"),
        ("gpt2", "zh", "输入        词表 V 中的 T 个词元，T×V ≥ 1×8\n"),
        ("lstm", "en", "reads       sequences, or T tokens out of V, T×F, T×V ≥ 1×1\n"),
        ("lstm", "zh", "输入        序列，或词表 V 中的 T 个词元，T×F, T×V ≥ 1×1\n"),
        ("transformer", "zh", "任务        文本到文本 (text-to-text)\n"),
        ("lstm", "en", "\nlstm_2         4,653,200   52,800,000   20×10000  language-modeling  "),
        (
            "lstm",
            "zh",
            "\nlstm_2         4,653,200   52,800,000   20×10000  语言建模  torch:nn.LSTM\n",
        ),
        ("beam-search", "zh", "类别        解码\n"),
        ("skip-gram", "zh", "类别        嵌入\n"),
        ("byte-pair-encoding", "en", "kind        tokenization\n"),
    ],
)
def test_show_tells_what_language_cards_read_and_do(
    name: str, lang: str, told: str, capsys: Capture
):
    assert main(["show", name, "--lang", lang]) == 0
    assert told in capsys.readouterr().out


def test_show_finds_a_card_by_another_name_and_tells_it(capsys: Capture):
    assert main(["show", "simple-recurrent-network", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "循环神经网络（RNN）  (rnn)\n\n又名        simple-recurrent-network\n"
    )


def test_show_has_no_task_column_where_all_sizes_are_counted_alike(capsys: Capture):
    assert main(["show", "gpt2"]) == 0
    assert "language-modeling  " not in capsys.readouterr().out


def test_show_prints_a_part_with_its_formula_and_its_code(mixed_canon: Catalog, capsys: Capture):
    assert main(["show", "sample-part"]) == 0
    assert capsys.readouterr().out == (
        "Sample part  (sample-part)\n"
        "\n"
        "idea        One part.\n"
        "choose      Inside.\n"
        "avoid       Outside.\n"
        "paper       Parts (Roe, 1999) https://example.org/2\n"
        "kind        activation\n"
        "formula     max(0, x)\n"
        "shape       any -> the same\n"
        "code        torch.nn.ReLU\n"
        "builds on   Child (child-net)\n"
        "led to      Sample part (a-block)\n"
        "departures  none of note\n"
    )


def test_show_prints_a_part_in_chinese(mixed_canon: Catalog, capsys: Capture):
    assert main(["show", "a-block", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == (
        "示例部件  (a-block)\n"
        "\n"
        "要点        一个部件。\n"
        "适用        在里面。\n"
        "不适用      在外面。\n"
        "论文        Parts (Roe, 1999) https://example.org/2\n"
        "类别        模块\n"
        "公式        max(0, x)\n"
        "形状        任意 -> 相同\n"
        "代码        assay.blocks.maxout.Maxout\n"
        "前身        示例部件 (sample-part)\n"
        "后继        无\n"
        "与论文不同  无\n"
    )


def test_show_of_a_part_for_programs_has_every_fact(mixed_canon: Catalog, capsys: Capture):
    assert main(["show", "sample-part", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["children"] == ["a-block"]
    assert (facts["code"], facts["formula"]["en"]) == ("torch.nn:ReLU", "max(0, x)")
    assert facts["departures"] == [{"en": "none of note", "zh": "没有重要的不同"}]
    assert "variants" not in facts


def test_a_part_can_be_neither_built_nor_compared(capsys: Capture):
    says = (
        "Only architectures can be built and compared. Received 'relu', which is of the kind "
        "'activation'; `assay show relu` names its code, to use in a network."
    )
    with pytest.raises(BadArgumentError) as caught:
        assay.build("relu")
    assert str(caught.value) == says
    assert main(["compare", "digits", "--models", "relu"]) == 2
    assert capsys.readouterr() == ("", f"assay: {says}\n")


def test_show_speaks_chinese(small_canon: Catalog, capsys: Capture):
    assert main(["show", "child-net", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("子网络  (child-net)\n\n要点        一个想法。\n")
    assert "前身        示例网络 (sample-net)\n后继        无\n" in printed


def test_show_of_a_variant_prints_its_row_only(
    small_canon: Catalog, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    for name in ("check_asked", "print_asked"):  # sample20 has no code
        monkeypatch.setattr(assay.cli.layers, name, lambda *_: None)
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
        ("（one twoo）。", ["（one", "twoo）。"]),
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


def test_list_shares_a_terminal_between_its_last_columns(
    mixed_canon: Catalog, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assay.cli.columns, "_room", lambda: 52)
    assert main(["list"]) == 0
    assert capsys.readouterr().out == (
        "architecture  family  year  name      variants\n"
        "child-net     rnn     2001  Child     child10,\n"
        "                                      child20\n"
        "sample-net    cnn     2001  Sample    sample10,\n"
        "                            network   sample20\n"
        "\n"
        "block    year  name         code\n"
        "a-block  1999  Sample part  assay.blocks.maxout:\n"
        "                            Maxout\n"
        "\n"
        "activation   year  name         code\n"
        "sample-part  1999  Sample part  torch.nn:ReLU\n"
    )


def test_the_sizes_of_a_card_keep_whole_names_on_a_narrow_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assay.cli.columns, "_room", lambda: 60)
    assert main(["show", "t5"]) == 0
    printed = capsys.readouterr().out
    assert "512×32128  transformers:\n" in printed
    assert " T5ForConditionalGeneration\n" in printed
