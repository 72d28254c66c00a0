"""Cards from TOML: what is kept, what is refused and in which words; shapes made to fit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.canon.card import Adaptation, Architecture, Part, Range, Text
from assay.canon.read import read_card
from assay.engine.spec import Recipe
from assay.errors import BadArgumentError, DataError

Write = Callable[..., Path]
Reader = Callable[..., Architecture]


def test_every_fact_of_the_file_is_on_the_card(write_card: Write):
    path = write_card()
    card = read_card(path)
    assert (card.id, card.family, card.path) == ("sample-net", "cnn", path)
    assert card.tasks == ("image-classification",)
    assert (card.paper.year, card.paper.authors) == (2001, "Doe et al.")
    assert (card.prose("en").name, card.prose("zh").name) == ("Sample network", "示例网络")
    assert card.recipe == Recipe(optimizer="sgd", lr=0.1)
    assert card.search == {"lr": Range(default=0.1, low=0.01, high=1.0, log=True)}
    assert [v.name for v in card.variants] == ["sample10", "sample20"]
    assert card.departures == (
        Text(en="pads its input", zh="填充输入"),
        Text(en="halves early", zh="较早减半"),
    )
    assert card.departs("en") == "pads its input\nhalves early"
    assert card.departs("zh") == "填充输入\n较早减半"
    assert card.removable == ()


def test_a_variant_may_have_its_own_native_shape(write_card: Write):
    card = read_card(write_card())
    assert [card.native(v) for v in card.variants] == [(3, 224, 224), (3, 64, 64)]


def test_a_card_without_recipe_learns_by_the_defaults(write_card: Write):
    recipe = '[recipe]\noptimizer = "sgd"\nlr = 0.1\n'
    search = "[search]\nlr = { default = 0.1, low = 0.01, high = 1, log = true }\n"
    card = read_card(write_card("s.toml", (recipe, ""), (search, "")))
    assert card.recipe == Recipe()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('family = "cnn"\n', "", "Card {} lacks the key 'family'; add it."),
        ('idea = "One idea."\n', "", "Card {} lacks the key 'en.idea'; add it."),
        (
            'kind = "architecture"',
            'kind = "architecture"\nremoveable = []',
            "Card {} has the key 'removeable', which cards do not have. Did you mean 'removable'?",
        ),
        (
            "lr = 0.1\n",
            "lr = 0.1\nzzz = 1\n",
            "Card {} has the key 'recipe.zzz', which cards do not have. Remove it.",
        ),
        (
            "lr = 0.1\n",
            "larning_smoothing = 0.1\n",
            "Card {} has the key 'recipe.larning_smoothing', which cards do not have."
            " Did you mean 'label_smoothing'?",
        ),
        (
            "default = true",
            "defualt = true",
            "Card {} has the key 'variants.sample10.defualt', which cards do not have."
            " Did you mean 'default'?",
        ),
        (
            "parameters = 1_000",
            'parameters = "many"',
            "Card {}: 'variants.sample10.parameters' must be a whole number of at least 0."
            " Received 'many'.",
        ),
        (
            "upto = 64",
            "upto = -1",
            "Card {}: 'small.upto' must be a whole number of at least 0. Received -1.",
        ),
        (
            'how = "stem"',
            'how = "magic"',
            "Card {}: 'small.how' must be one of stem, upsample. Received 'magic'.",
        ),
        (
            "least = [3, 32, 32]",
            "least = [32, 32]",
            "Card {}: 'input.least' must be a shape like native, [3, 224, 224]. Received [32, 32].",
        ),
        (
            "least = [3, 8, 8]",
            "least = [8, 8]",
            "Card {}: 'small.least' must be a shape like native, [3, 224, 224]. Received [8, 8].",
        ),
        (
            "native = [3, 224, 224]",
            "native = [3, 0, 224]",
            "Card {}: 'input.native' must be one to three whole numbers of at least 1."
            " Received [3, 0, 224].",
        ),
        (
            'tasks = ["image-classification"]',
            "tasks = [1]",
            "Card {}: 'tasks' must be a list of texts. Received [1].",
        ),
        ('name = "示例网络"', 'name = " "', "Card {}: 'zh.name' must be text. Received ' '."),
        ("low = 0.01", "low = true", "Card {}: 'search.lr.low' must be a number. Received True."),
        ("log = true", "log = 1", "Card {}: 'search.lr.log' must be true or false. Received 1."),
        (
            "assay.models.vision.sample:sample10",
            "os:system",
            "Card {}: 'variants.sample10.code' must be a path in this package,"
            " assay.module:builder. Received 'os:system'.",
        ),
        ('zh = "较早减半"\n', "", "Card {} lacks the key 'departures.2.zh'; add it."),
        ('en = "halves early"\n', "", "Card {} lacks the key 'departures.2.en'; add it."),
        (
            'zh = "较早减半"',
            'zh = "较早减半"\nfr = "tôt"',
            "Card {} has the key 'departures.2.fr', which cards do not have. Remove it.",
        ),
        (
            'id = "sample-net"',
            "id = ",
            "Card {} is not valid TOML: Invalid value (at line 2, column 6); correct it.",
        ),
    ],
)
def test_a_faulty_card_names_its_file_and_the_key(write_card: Write, old: str, new: str, says: str):
    path = write_card("faulty.toml", (old, new))
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == says.format(path)


def test_every_fact_of_a_parts_file_is_on_its_card(write_part: Write):
    path = write_part()
    card = read_card(path)
    assert isinstance(card, Part)
    assert (card.id, card.kind, card.path) == ("sample-part", "activation", path)
    assert card.code == "torch.nn:ReLU"
    assert card.formula == Text(en="max(0, x)", zh="max(0, x)")
    assert card.shape == Text(en="any -> the same", zh="任意 -> 相同")
    assert card.paper.year == 1999
    assert (card.prose("en").name, card.prose("zh").name) == ("Sample part", "示例部件")


@pytest.mark.parametrize("code", ["torch.nn:GRUCell", "assay.blocks.maxout:Maxout"])
def test_a_parts_code_is_torchs_or_ours(write_part: Write, code: str):
    assert read_card(write_part("p.toml", ("torch.nn:ReLU", code))).code == code


@pytest.mark.parametrize(
    "code",
    ["os:system", "torch:load", "torch.nn", "torch.nn.utils:x", "assay.cli:main", "torch.nn:a.b"],
)
def test_other_code_is_refused(write_part: Write, code: str):
    path = write_part("p.toml", ("torch.nn:ReLU", code))
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == (
        f"Card {path}: 'code' must be a path, torch.nn:NAME or assay.blocks.module:NAME. "
        f"Received {code!r}."
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"activation"',
            '"gadget"',
            "Card {}: 'kind' must be one of activation, architecture, block, decoding, embedding, "
            "normalization, pooling, regularization, tokenization. Received 'gadget'.",
        ),
        ('formula = "max(0, x)"\n', "", "Card {} lacks the key 'formula'; add it."),
        ('"max(0, x)"', "0", "Card {}: 'formula' must be text. Received 0."),
        ('shape.zh = "任意 -> 相同"\n', "", "Card {} lacks the key 'shape.zh'; add it."),
        (
            "[[departures]]",
            "[departures]",
            "Card {}: 'departures' must be tables, [[departures]]. "
            "Received {{'en': 'none of note', 'zh': '没有重要的不同'}}.",
        ),
        (
            "parents = []",
            "parents = []\ntasks = []",
            "Card {} has the key 'tasks', which cards do not have. Remove it.",
        ),
        ('"activation"', '"architecture"', "Card {} lacks the key 'input'; add it."),
    ],
)
def test_a_faulty_part_names_its_file_and_the_key(write_part: Write, old: str, new: str, says: str):
    path = write_part("p.toml", (old, new))
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == says.format(path)


def test_a_card_without_variants_is_refused(tmp_path: Path, sample: str):
    path = tmp_path / "bare.toml"
    path.write_text(sample.partition("[variants.")[0] + "[variants]\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == (
        f"Card {path}: 'variants' must be at least one variant, [variants.NAME]. Received {{}}."
    )


@pytest.fixture
def reader(write_card: Write) -> Reader:
    """A card that reads `kind`; its small form, if any, comes by `how`."""

    def make(kind: str = "image", how: str = "stem") -> Architecture:
        native = {"image": "[3, 224, 224]", "sequence": "[5, 6]", "any": "[1, 28, 28]"}[kind]
        least = {"image": "[3, 32, 32]", "sequence": "[2, 1]", "any": "[1, 1, 1]"}[kind]
        inputs = f'kind = "{kind}", native = {native}, least = {least}'
        changes = [
            ('kind = "image", native = [3, 224, 224], least = [3, 32, 32]', inputs),
            ('how = "stem"', f'how = "{how}"'),
        ]
        if kind != "image":
            changes.append(("least = [3, 8, 8]", f"least = {least}"))
        return read_card(write_card("reader.toml", *changes))

    return make


def fit(card: Architecture, inputs: tuple[int, ...]) -> Adaptation | None:
    return card.adapt(card.variants[0], inputs)


@pytest.mark.parametrize("inputs", [(3, 224, 224), (1, 65, 65), (3, 300, 40)])
def test_a_large_image_is_read_as_it_is(reader: Reader, inputs: tuple[int, ...]):
    assert fit(reader(), inputs) is None


@pytest.mark.parametrize("inputs", [(1, 8, 8), (3, 64, 64), (1, 28, 20)])
def test_a_small_image_gets_the_stem(reader: Reader, inputs: tuple[int, ...]):
    assert fit(reader(), inputs) == Adaptation(
        kind="stem",
        inputs=inputs,
        small=True,
        en="A stem that keeps the size.",
        zh="保持尺寸的首层。",
    )


def test_an_image_too_small_for_the_stem_is_enlarged_and_says_both(
    reader: Reader,
):
    assert fit(reader(), (1, 5, 12)) == Adaptation(
        kind="upsample",
        inputs=(1, 8, 12),
        small=True,
        en="A stem that keeps the size. Images are enlarged from 5×12 to 8×12, the least size "
        "this network reads.",
        zh="保持尺寸的首层。图像由 5×12 放大到 8×12，即该网络可读的最小尺寸。",
    )


def test_a_long_thin_image_is_enlarged_for_the_large_form(reader: Reader):
    adaptation = fit(reader(), (3, 100, 10))
    assert adaptation is not None
    assert (adaptation.kind, adaptation.inputs, adaptation.small) == (
        "upsample",
        (3, 100, 32),
        False,
    )


def test_a_network_without_small_form_gets_enlarged_images(reader: Reader):
    assert fit(reader(how="upsample"), (1, 8, 8)) == Adaptation(
        kind="upsample",
        inputs=(1, 32, 32),
        en="Images are enlarged from 8×8 to 32×32, the least size this network reads.",
        zh="图像由 8×8 放大到 32×32，即该网络可读的最小尺寸。",
    )
    assert fit(reader(how="upsample"), (1, 40, 40)) is None


def test_a_sequence_network_reads_an_image_by_rows(reader: Reader):
    assert fit(reader("sequence"), (3, 28, 20)) == Adaptation(
        kind="rows",
        inputs=(28, 60),
        en="The image is read as a sequence of its 28 rows, 60 values each.",
        zh="图像按行读作序列：共 28 行，每行 60 个值。",
    )
    assert fit(reader("sequence"), (24, 6)) is None


@pytest.mark.parametrize("inputs", [(1, 8, 8), (16, 4)])
def test_a_network_of_rows_flattens(reader: Reader, inputs: tuple[int, ...]):
    assert fit(reader("any"), inputs) == Adaptation(
        kind="flatten",
        inputs=(64,),
        en="The 64 values of an example are read as one row; their places are not used.",
        zh="样本的 64 个值展平成一行，不利用它们的位置。",
    )
    assert fit(reader("any"), (13,)) is None


@pytest.mark.parametrize(
    ("kind", "inputs", "says"),
    [
        (
            "image",
            (13,),
            "sample10 reads images (C, H, W). Received inputs=(13,); choose another entry: "
            "`assay list` shows all.",
        ),
        (
            "sequence",
            (13,),
            "sample10 reads sequences (T, F). Received inputs=(13,); choose another entry: "
            "`assay list` shows all.",
        ),
        (
            "sequence",
            (1, 6),
            "sample10 reads shapes of at least (2, 1). Received inputs=(1, 6); give larger "
            "examples or choose another entry.",
        ),
        (
            "image",
            (3, 0, 8),
            "`inputs` must be the shape of one example: (F,), (T, F) or (C, H, W), each at least "
            "1. Received inputs=(3, 0, 8); leave out the batch.",
        ),
        (
            "any",
            (2, 3, 8, 8),
            "`inputs` must be the shape of one example: (F,), (T, F) or (C, H, W), each at least "
            "1. Received inputs=(2, 3, 8, 8); leave out the batch.",
        ),
    ],
)
def test_a_shape_that_cannot_fit_is_refused(
    reader: Reader, kind: str, inputs: tuple[int, ...], says: str
):
    with pytest.raises(BadArgumentError) as caught:
        fit(reader(kind), inputs)
    assert str(caught.value) == says


def test_a_card_without_small_form_states_its_least_shape(tmp_path: Path, sample: str):
    before, _, rest = sample.partition("[small]")
    path = tmp_path / "large.toml"
    path.write_text(before + "[en]" + rest.partition("[en]")[2], encoding="utf-8")
    with pytest.raises(BadArgumentError) as caught:
        fit(read_card(path), (1, 8, 8))
    assert str(caught.value) == (
        "sample10 reads shapes of at least (3, 32, 32). Received inputs=(1, 8, 8); give larger "
        "examples or choose another entry."
    )
