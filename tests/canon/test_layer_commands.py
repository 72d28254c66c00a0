"""The layer table of `assay show`, and `assay diff`: what they print, for people and programs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import assay.cli.columns
import assay.cli.layers
from assay.cli import main
from assay.cli.columns import print_table
from assay.cli.layers import find_layers, opened, short
from assay.cli.setting import Setting
from assay.models.difference import differences
from assay.models.layer import Layer, Node, tree

Capture = pytest.CaptureFixture[str]


def leaf(path: str, kind: str, parameters: int = 0, macs: int = 0) -> Layer:
    return Layer(
        path=path,
        kind=kind,
        output=(2,),
        parameters=parameters,
        macs=macs,
        own_parameters=parameters,
        own_macs=macs,
    )


def net(*kinds: str) -> Node:
    """A network with one block of a stage per word; a longer word costs more."""
    leaves = [leaf(f"stage.{i}", kind, len(kind), 10 * len(kind)) for i, kind in enumerate(kinds)]
    cost = {"parameters": sum(x.parameters for x in leaves), "macs": sum(x.macs for x in leaves)}
    top, stage = ("", "Net"), ("stage", "Sequential")
    return tree([*(Layer(path=path, kind=kind, **cost) for path, kind in (top, stage)), *leaves])


def test_show_of_a_variant_ends_with_its_layers(capsys: Capture):
    assert main(["show", "lenet5"]) == 0
    table = capsys.readouterr().out.partition("\nlayer ")[2]
    lines = {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:] if line}
    assert " ".join(lines["features.3"]) == "Conv2d 5×5 6→16 16×10×10 2,416 240.0 k 14/2"
    assert " ".join(lines["classifier.1"]) == "Linear 400→120 120 48,120 48.00 k all"
    assert lines["total"][:3] == ["61,706", "parameters,", "416,520"]


def test_show_reads_any_input(capsys: Capture):
    assert main(["show", "lenet5", "--input", "3x40x36", "--depth", "1"]) == 0
    table = capsys.readouterr().out.partition("\nlayer ")[2].splitlines()[1:]
    assert [line.split()[0] for line in table if line][:2] == ["features", "classifier"]
    assert "for an input of 3×40×36" in table[-2]


def test_show_says_how_an_input_is_adapted(capsys: Capture):
    assert main(["show", "lenet5", "--input", "1x8x8", "--depth", "1", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert "图像由 8×8 放大到" in printed
    assert re.search(r"^层 +类型 +输出 +参数量 +乘加次数 +感受野$", printed, re.MULTILINE)
    assert "合计  输入 1×8×8 时，参数量 " in printed


def test_show_of_a_network_without_a_card_prints_its_layers(tmp_path: Path, capsys: Capture):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(inputs[0], outputs)\n"
    )
    assert main(["show", f"{file}:Net", "--input", "7"]) == 0
    assert capsys.readouterr().out == (
        "layer     kind        output  parameters     MACs\n"
        "(itself)  Net 7→1000  1000         8,000  7.000 k\n"
        "\n"
        "total  8,000 parameters, 7,000 MACs for an input of 7\n"
    )


def test_show_of_a_network_without_an_idea_prints_what_is_left(capsys: Capture):
    name = ["show", "resnet18-without-shortcut", "--input", "3x32x32"]
    assert main([*name, "--depth", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Without shortcuts: a block passes on its branch alone")
    assert "\n\nA first convolution of 3×3 that keeps the image's size" in printed
    lines = printed.partition("\nlayer ")[2].splitlines()[1:]
    assert [line.split()[0] for line in lines if line][:3] == ["stem", "stages", "head"]
    assert main([*name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    top = facts["layers"]["rows"][0]
    assert f"total  {top['parameters']:,} parameters, {top['macs']:,} MACs" in printed


@pytest.mark.parametrize(
    ("name", "fields", "notes"),
    [
        ("resnet18", {"stem": "3/1", "stages": "109/8", "head": "all"}, []),
        (
            "se_resnet50",
            {"stem": "3/1", "stages": "all", "head": "all"},
            ["all: after a global pool, that of squeeze-and-excitation included"],
        ),
        (
            "vit_tiny",
            {"patches": "4/4", "blocks": "–", "norm": "–", "head": "–"},
            ["–: after attention and whatever else is neither convolution nor pool"],
        ),
    ],
)
def test_show_explains_the_fields(
    name: str, fields: dict[str, str], notes: list[str], capsys: Capture
):
    assert main(["show", name, "--input", "3x32x32", "--depth", "1"]) == 0
    table = capsys.readouterr().out.partition("\nlayer ")[2]
    lines = {line.split()[0]: line.split()[-1] for line in table.splitlines()[1:] if line}
    assert {path: lines[path] for path in fields} == fields
    assert table.splitlines()[-len(notes) - 1 :] == [
        "field: input positions that one value of the output sees / between two such values",
        *notes,
    ]


def test_show_for_programs_has_every_layer(capsys: Capture):
    assert main(["show", "lenet5", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert layers["input"] == [1, 32, 32]
    first = next(row for row in layers["rows"] if row["path"] == "features.0")
    assert first == {
        "path": "features.0",
        "kind": "Conv2d 5×5 1→6",
        "output": [6, 28, 28],
        "parameters": 156,
        "macs": 117600,
        "own_parameters": 156,
        "own_macs": 117600,
        "field": [5, 5],
        "jump": [1, 1],
        "calls": 1,
    }
    assert main(["show", "resnet", "--json"]) == 0
    assert "layers" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["lenet5", "--input", "3x0x8"],
            "`--input` must be the shape of one example: CxHxW, TxF or F, each at least 1. "
            "Received '3x0x8'; write for example 3x224x224.",
        ),
        (
            ["lenet5", "--depth", "0"],
            "`--depth` must be at least 1. Received 0; leave it out for the blocks.",
        ),
    ],
)
def test_show_refuses_a_table_that_cannot_be(options: list[str], says: str, capsys: Capture):
    assert main(["show", *options]) == 2
    assert capsys.readouterr().err == f"assay: {says}\n"


def test_a_kept_table_that_is_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    layers = find_layers("softmax_regression", Setting((4,), 3))
    (path,) = (tmp_path / "layers").iterdir()
    assert find_layers("softmax_regression", Setting((4,), 3)) == layers
    path.write_text('{"layers": [{"path": 3')
    assert find_layers("softmax_regression", Setting((4,), 3)) == layers
    assert find_layers("softmax_regression", Setting((5,), 3)) != layers


def test_a_user_s_file_is_looked_at_anew(tmp_path: Path):
    file = tmp_path / "net.py"
    code = (
        "from torch import nn\nfrom width import WIDTH\nclass Net(nn.Sequential):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(nn.Linear(inputs[0], WIDTH), nn.Linear(WIDTH, outputs))\n"
    )
    file.write_text(code.replace("from width import WIDTH", "WIDTH = 2"))
    before = find_layers(f"{file}:Net", Setting((4,), 3))[0].parameters
    file.write_text(code.replace("from width import WIDTH", "WIDTH = 5"))
    assert (before, find_layers(f"{file}:Net", Setting((4,), 3))[0].parameters) == (19, 43)


def test_equal_neighbours_stand_on_one_line_unless_a_depth_is_given():
    top = net("wide", "wide", "thin", "w", "w")
    assert [(row.path, row.count, row.parameters) for row in opened(top, None)] == [
        ("stage", 1, 14),
        ("stage.0–1", 2, 8),
        ("stage.2", 1, 4),
        ("stage.3–4", 2, 2),
    ]
    assert [row.path for row in opened(top, 1)] == ["stage"]
    assert [row.path for row in opened(top, 2)] == ["stage", *(f"stage.{i}" for i in range(5))]


@pytest.mark.parametrize("depth", [None, 1, 2, 3, 9])
def test_the_lines_add_up_to_the_total(depth: int | None):
    for name in ("lenet5", "transformer_encoder"):
        shape = (1, 32, 32) if name == "lenet5" else (24, 6)
        layers = find_layers(name, Setting(shape, 10))
        rows = opened(tree(layers), depth)
        paths = [row.path.partition(" ")[0].partition("–")[0] for row in rows]
        lowest = [
            row
            for row, path in zip(rows, paths, strict=True)
            if row.own or not any(other.startswith(f"{path}.") for other in paths)
        ]
        assert sum(row.macs for row in lowest) == layers[0].macs
        assert sum(row.parameters for row in lowest) == layers[0].parameters


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.000 k"),
        (25557032, "25.56 M"),
        (4089184256, "4.089 G"),
        (3.034e14, "303.4 T"),
    ],
)
def test_large_numbers_are_short(count: int, text: str):
    assert short(count) == text


def changes(first: Node, second: Node, depth: int = 3) -> list[tuple[str, list[str], list[str]]]:
    return [
        (c.sort, [n.layer.path for n in c.first], [n.layer.path for n in c.second])
        for c in differences(first, second, depth=depth)
    ]


def test_equal_blocks_meet_wherever_they_lie():
    assert changes(net("stem", "a", "a", "head"), net("stem", "a", "a", "a", "head")) == [
        ("equal", ["stage.0", "stage.1", "stage.2"], ["stage.0", "stage.1", "stage.2"]),
        ("added", [], ["stage.3"]),
        ("equal", ["stage.3"], ["stage.4"]),
    ]


def test_blocks_of_one_class_are_compared_and_equal_changes_told_once():
    first, second = net("stem", "Block 1", "Block 1", "x"), net("stem", "Block 22", "Block 22", "x")
    assert changes(first, second) == [
        ("equal", ["stage.0"], ["stage.0"]),
        ("changed", ["stage.1", "stage.2"], ["stage.1", "stage.2"]),
        ("equal", ["stage.3"], ["stage.3"]),
    ]


def test_what_has_no_counterpart_is_removed_or_added():
    assert changes(net("a", "b b", "c"), net("a", "c")) == [
        ("equal", ["stage.0"], ["stage.0"]),
        ("removed", ["stage.1"], []),
        ("equal", ["stage.2"], ["stage.1"]),
    ]


def test_a_block_meets_the_one_of_its_class_under_another_name():
    assert changes(net("stem", "Block 1", "x"), net("stem", "new", "Block 22", "x")) == [
        ("equal", ["stage.0"], ["stage.0"]),
        ("added", [], ["stage.1"]),
        ("changed", ["stage.1"], ["stage.2"]),
        ("equal", ["stage.2"], ["stage.3"]),
    ]


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("names", [("lenet5", "mlp"), ("vit_tiny", "vit_small")], ids="-".join)
def test_the_changes_add_up_to_both_networks(names: tuple[str, str], depth: int):
    one, other = (find_layers(name, Setting((3, 32, 32), 10)) for name in names)
    found = differences(tree(one), tree(other), depth=depth)
    for number, layers in enumerate((one, other)):
        assert sum(change.macs[number] for change in found) == layers[0].macs
        assert sum(change.parameters[number] for change in found) == layers[0].parameters


def write_nets(folder: Path) -> Sequence[str]:
    file = folder / "nets.py"
    file.write_text(
        "from torch import nn\n"
        "class Plain(nn.Sequential):\n"
        "    def __init__(self, inputs, outputs, groups=1):\n"
        "        super().__init__(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=groups),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, outputs))\n"
        "class Grouped(Plain):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(inputs, outputs, groups=4)\n"
    )
    return f"{file}:Plain", f"{file}:Grouped"


def test_diff_prints_what_an_idea_costs(tmp_path: Path, capsys: Capture):
    first, second = write_nets(tmp_path)
    assert main(["diff", first, second, "--input", "4x5x5"]) == 0
    assert capsys.readouterr().out == (
        f"A  {first}\n"
        f"B  {second}\n"
        "\n"
        "   layer         param. A        B  B − A   MACs A        B     B − A\n"
        "=  0                   40       40             800      800\n"
        "~  1                  584      152   −432  5.184 k  1.296 k  −3.888 k\n"
        "     - Conv2d 3×3 8→8\n"
        "     + Conv2d 3×3 8→8 g4\n"
        "=  2–4: 3 equal   9.000 k  9.000 k         8.000 k  8.000 k\n"
        "   total          9.624 k  9.192 k   −432  13.98 k  10.10 k  −3.888 k\n"
        "\n"
        "B has 0.955 times the parameters of A and 0.722 times its MACs, for an input of 4×5×5.\n"
    )


def test_diff_of_a_network_and_itself_says_so(tmp_path: Path, capsys: Capture):
    first, _ = write_nets(tmp_path)
    assert main(["diff", first, first, "--input", "4x5x5"]) == 0
    assert capsys.readouterr().out.endswith("\n\nThe two are built alike.\n")


def test_diff_for_programs(tmp_path: Path, capsys: Capture):
    first, second = write_nets(tmp_path)
    assert main(["diff", first, second, "--input", "4x5x5", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["input"] == [4, 5, 5]
    assert facts["networks"][1] == {"name": second, "task": None, "parameters": 9192, "macs": 10096}
    assert [row["change"] for row in facts["layers"]] == ["equal", "changed", "equal"]
    assert facts["layers"][1]["kinds"] == [["Conv2d 3×3 8→8"], ["Conv2d 3×3 8→8 g4"]]
    assert facts["layers"][1]["parameters"] == [584, 152]


def test_diff_tells_what_the_cards_say_differently(capsys: Capture):
    assert main(["diff", "lenet5", "mlp", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert re.match(r"A +lenet5  \(.+\)\nB +mlp  \(.+\)\n要点 A ", printed)
    assert "\n家族 A" in printed
    assert "输入 1×32×32 时，B 的参数量是 A 的 " in printed


def test_diff_of_an_unknown_name_suggests_the_nearest(capsys: Capture):
    assert main(["diff", "lenet5", "lenet6"]) == 2
    assert "Unknown name 'lenet6'. Did you mean 'lenet5'?" in capsys.readouterr().err


def test_a_table_fits_a_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assay.cli.columns, "_room", lambda: 26)
    rows = [("层", "kind", "n"), ("stem", "a long 卷积 description", "1,000"), "across everything"]
    print_table(rows, right={2}, shortened=1)
    assert capsys.readouterr().out == (
        "层    kind               n\nstem  a long 卷积…   1,000\nacross everything\n"
    )


def test_show_of_a_language_model_counts_tokens(capsys: Capture):
    assert main(["show", "gpt2_nano"]) == 0
    table = capsys.readouterr().out.partition("\nlayer ")[2].splitlines()
    assert table[0].split() == ["kind", "output", "parameters", "MACs"]  # no field is known
    assert table[1].split() == ["tokens", "Embedding", "65→128", "64×128", "8,320"]
    assert table[-1] == (
        "total  804,096 parameters, 55,058,432 MACs for an input of 64 tokens out of 65 "
        "(language modeling)"
    )


@pytest.mark.parametrize(
    ("options", "lang", "end"),
    [
        (
            ["lstm", "--task", "text-classification"],
            "en",
            "for an input of 64 tokens out of 8192 (text classification, 10 outputs)",
        ),
        (
            ["lstm", "--task", "sequence-regression"],
            "en",
            "for an input of 28×28 (sequence regression, 1 output)",
        ),
        (
            ["lstm", "--task", "forecasting", "--input", "24x3"],
            "zh",
            "合计  时间序列预测（12 个输出），输入 24×3 时，参数量 ",
        ),
        (
            ["gpt2_nano", "--input", "32x300"],
            "zh",
            "合计  语言建模，输入 32 个词元、词表 300 时，参数量 ",
        ),
        (
            ["seq2seq", "--input", "9x50"],
            "zh",
            "合计  输入源文本与目标文本各 9 个词元、词表 50 时，参数量 ",
        ),
        (
            ["transformer_tiny", "--input", "9x50"],
            "en",
            "for an input of 9 tokens and as many to answer, out of 50",
        ),
        (
            ["lstm", "--task", "image-classification", "--input", "1x8x8"],
            "en",
            "for an input of 1×8×8 (image classification, 10 outputs)",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_show_counts_for_the_task_that_is_asked(
    options: list[str], lang: str, end: str, capsys: Capture
):
    assert main(["show", *options, "--lang", lang]) == 0
    lines = capsys.readouterr().out.splitlines()
    [total] = [line for line in lines if line.startswith(("total  ", "合计  "))]
    assert total.startswith(end) if lang == "zh" else total.endswith(end)


def test_a_vocabulary_decides_the_outputs_of_a_language_model(capsys: Capture):
    assert main(["show", "gpt2_nano", "--input", "32x300", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert (layers["task"], layers["outputs"]) == ("language-modeling", 300)
    assert layers["rows"][0]["output"] == [32, 300]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["show", "gpt2_nano", "--task", "forecasting"],
            "`--task` must be one that gpt2_nano does: language-modeling, text-to-text, "
            "text-classification. Received 'forecasting'; `assay list --task` shows which "
            "networks do it.",
        ),
        (
            ["show", "bert_tiny", "--task", "text-clasification"],
            "Unknown --task 'text-clasification'. Did you mean 'text-classification'? bert_tiny "
            "does masked-language-modeling, text-classification, token-classification.",
        ),
    ],
)
def test_a_task_that_a_network_does_not_do_is_refused(words: list[str], says: str, capsys: Capture):
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"assay: {says}\n")


def test_the_largest_networks_are_counted_without_their_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    setting = Setting((16, 65), 65, "language-modeling")
    plain = find_layers("stories260k", setting)
    monkeypatch.setattr(assay.cli.layers, "_HUGE", (0, 0))
    monkeypatch.setattr(assay.cli.layers, "_read", lambda path: None)
    assert find_layers("stories260k", setting) == plain
    monkeypatch.undo()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    top = find_layers("llama2_70b", Setting((8, 32000), 32000, "language-modeling"))[0]
    assert top.parameters == 68_976_648_192


def test_blocks_in_a_row_that_change_alike_are_told_once():
    def stack(*kinds: str) -> Node:
        leaves = [
            leaf(f"blocks.{i}.{name}", kind, len(kind), 10)
            for i in range(3)
            for name, kind in zip(("norm", "mix"), kinds, strict=True)
        ]
        size = sum(len(kind) for kind in kinds)
        blocks = [
            Layer(path=f"blocks.{i}", kind="Block", parameters=size, macs=20) for i in range(3)
        ]
        whole = Layer(path="blocks", kind="ModuleList", parameters=3 * size, macs=60)
        top = Layer(path="", kind="Net", parameters=3 * size, macs=60)
        rows = [row for i in range(3) for row in (blocks[i], *leaves[2 * i : 2 * i + 2])]
        return tree([top, whole, *rows])

    first, second = stack("norm", "attention"), stack("norm", "gate")
    assert changes(first, second) == [
        ("equal", [f"blocks.{i}.norm" for i in range(3)], [f"blocks.{i}.norm" for i in range(3)]),
        ("changed", [f"blocks.{i}.mix" for i in range(3)], [f"blocks.{i}.mix" for i in range(3)]),
    ]


def test_diff_takes_a_task_that_both_do(capsys: Capture):
    assert main(["diff", "bert_tiny", "gpt2_nano", "--input", "16x100"]) == 0
    printed = capsys.readouterr().out
    end = "for an input of 16 tokens out of 100 (text classification, 10 outputs).\n"
    assert printed.endswith(end)
    assert "~  drop" not in printed
    assert main(["diff", "gpt2_nano", "stories260k", "--lang", "zh"]) == 0
    printed = capsys.readouterr().out
    assert "\n~  blocks.0–3.attention " in printed
    assert "\n语言建模，输入 64 个词元、词表 65 时，B 的参数量是 A 的 0." in printed


def test_diff_of_the_task_that_is_asked(capsys: Capture):
    words = ["diff", "lstm", "gru", "--task", "language-modeling", "--input", "8x50", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["input"] == [8, 50]
    assert [network["task"] for network in facts["networks"]] == ["language-modeling"] * 2


def test_both_sides_of_a_diff_get_the_same_outputs(tmp_path: Path, capsys: Capture):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(nn.Embedding(inputs[1], 4), nn.Linear(4, outputs))\n"
    )
    words = ["diff", f"{file}:Net", "gpt2_nano", "--input", "8x50", "--depth", "1", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [network["task"] for network in facts["networks"]] == ["language-modeling"] * 2
    assert facts["networks"][0]["parameters"] == 50 * 4 + 4 * 50 + 50
    assert main(["diff", "zfnet", "lenet5", "--json", "--depth", "1"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["networks"][1]["parameters"] > 1000 * 84  # zfnet's classes, not lenet5's ten


def test_no_field_is_told_of_tokens(capsys: Capture):
    assert main(["show", "glm_tiny", "--depth", "1"]) == 0
    table = capsys.readouterr().out.partition("\nlayer ")[2].splitlines()
    assert "field" not in table[0]
    assert table[-1].startswith("total  ")
