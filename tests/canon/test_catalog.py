"""Names to cards, lineage, digests, and the speed of reading many."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import assay.canon.catalog as home
from assay.canon.card import Part
from assay.canon.catalog import Catalog, catalog, code_digest, read_catalog
from assay.canon.read import read_card
from assay.errors import BadArgumentError, DataError, UnknownNameError

Write = Callable[..., Path]


@pytest.fixture
def family(write_card: Write, tmp_path: Path) -> Catalog:
    """A parent and a child."""
    write_card("a.toml")
    write_card(
        "b.toml",
        ('"sample-net"', '"child-net"'),
        ("parents = []", 'parents = ["sample-net"]'),
        ("[variants.sample10]", "[variants.child10]"),
        ("[variants.sample20]", "[variants.child20]"),
        ("default = true\n", ""),
    )
    return read_catalog(tmp_path)


def test_cards_are_sorted_by_id(family: Catalog):
    assert [card.id for card in family.cards] == ["child-net", "sample-net"]


def test_a_variant_and_an_id_are_both_found(family: Catalog):
    card, variant = family.find("sample20")
    assert variant is not None
    assert (card.id, variant.name) == ("sample-net", "sample20")
    assert family.find("child-net") == (family.cards[0], None)


def test_an_id_stands_for_its_default_variant_or_the_first(family: Catalog):
    assert family.entry("sample-net")[1].name == "sample10"
    assert family.entry("child-net")[1].name == "child10"
    assert family.entry("child20")[1].name == "child20"


def test_a_variant_is_found_by_how_its_name_alone_begins(write_card: Write, tmp_path: Path):
    write_card(
        "a.toml",
        ("[variants.sample10]", "[variants.sample10_wide]"),
        ("[variants.sample20]", "[variants.sample20_wide]"),
    )
    write_card(
        "b.toml",
        ('"sample-net"', '"child-net"'),
        ("[variants.sample10]", "[variants.sample10_deep_wide]"),
        ("[variants.sample20]", "[variants.sample20_wide_wide]"),
    )
    found = read_catalog(tmp_path)
    assert found.entry("sample10_deep")[1].name == "sample10_deep_wide"
    assert found.entry("sample20_wide")[1].name == "sample20_wide"
    for name in ("sample10", "sample1", "sample20_"):
        with pytest.raises(UnknownNameError):
            found.find(name)


def test_resnext50_is_the_one_of_32_paths():
    assert catalog().entry("resnext50")[1].name == "resnext50_32x4d"


def test_a_card_is_found_by_its_other_names_too(write_card: Write, tmp_path: Path):
    write_card("a.toml", ("parents = []", 'parents = []\naliases = ["example-net"]'))
    found = read_catalog(tmp_path)
    assert found.find("example-net") == (found.cards[0], None)
    assert found.entry("example-net")[1].name == "sample10"
    assert len(found.cards) == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'example-net'?"):
        found.find("exampel-net")


def test_no_card_has_another_ones_id_for_a_further_name(write_card: Write, tmp_path: Path):
    first = write_card("a.toml")
    second = write_card(
        "b.toml",
        ('"sample-net"', '"child-net"'),
        ("parents = []", 'parents = []\naliases = ["sample-net"]'),
        ("[variants.sample10]", "[variants.child10]"),
        ("[variants.sample20]", "[variants.child20]"),
    )
    with pytest.raises(DataError) as caught:
        Catalog([read_card(first), read_card(second)])
    assert str(caught.value) == (
        f"A card's id must be its own. Received 'sample-net' in {first} and {second}; rename one."
    )


def test_an_unknown_name_is_answered_with_the_nearest(family: Catalog):
    with pytest.raises(UnknownNameError) as caught:
        family.find("sampel10")
    assert str(caught.value) == (
        "Unknown name 'sampel10'. Did you mean 'sample10'? `assay list` shows all 2 entries."
    )


def test_candidates_are_the_default_variants_that_fit_the_task(family: Catalog):
    assert [v.name for _, v in family.candidates("image-classification")] == ["sample10"]
    assert family.candidates("tabular-regression") == []


def test_lineage_runs_both_ways(family: Catalog):
    assert [card.id for card in family.parents("child10")] == ["sample-net"]
    assert [card.id for card in family.children("sample-net")] == ["child-net"]
    assert family.children("child-net") == []


@pytest.fixture
def workshop(write_card: Write, write_part: Write, tmp_path: Path) -> Catalog:
    """A network that builds on a part."""
    write_card("a.toml", ("parents = []", 'parents = ["sample-part"]'))
    write_part()
    return read_catalog(tmp_path)


def test_a_part_is_found_and_has_children_but_is_no_candidate(workshop: Catalog):
    card, variant = workshop.find("sample-part")
    assert isinstance(card, Part)
    assert variant is None
    assert [child.id for child in workshop.children("sample-part")] == ["sample-net"]
    assert [card.id for card in workshop.architectures] == ["sample-net"]
    assert [v.name for _, v in workshop.candidates("image-classification")] == ["sample10"]


def test_a_part_has_nothing_to_build_or_compare(workshop: Catalog):
    with pytest.raises(BadArgumentError) as caught:
        workshop.entry("sample-part")
    assert str(caught.value) == (
        "Only architectures can be built and compared. Received 'sample-part', which is of the "
        "kind 'activation'; `assay show sample-part` names its code, to use in a network."
    )


def test_a_part_and_a_network_cannot_share_a_name(
    write_card: Write, write_part: Write, tmp_path: Path
):
    network, part = write_card("a.toml"), write_part("b.toml", ("sample-part", "sample10"))
    with pytest.raises(DataError) as caught:
        read_catalog(tmp_path)
    assert str(caught.value) == (
        f"A card's name must be its own. Received 'sample10' in {part} and {network}; rename one."
    )


@pytest.mark.parametrize(
    ("changes", "what", "name"),
    [
        ([], "id", "sample-net"),
        ([('"sample-net"', '"other"')], "variant", "sample10"),
        (
            [
                ('"sample-net"', '"other"'),
                ("[variants.sample10]", "[variants.sample-net]"),
                ("[variants.sample20]", "[variants.x]"),
            ],
            "name",
            "sample-net",
        ),
    ],
)
def test_a_name_used_twice_is_refused(
    write_card: Write, changes: list[tuple[str, str]], what: str, name: str
):
    first, second = write_card("first.toml"), write_card("second.toml", *changes)
    with pytest.raises(DataError) as caught:
        Catalog([read_card(first), read_card(second)])
    assert str(caught.value) == (
        f"A card's {what} must be its own. Received {name!r} in {first} and {second}; rename one."
    )


def test_a_variant_may_be_called_like_its_own_card(write_card: Write):
    card = read_card(write_card("own.toml", ("[variants.sample10]", "[variants.sample-net]")))
    assert Catalog([card]).find("sample-net") == (card, card.variants[0])


@pytest.fixture
def package(write_card: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package: the sample's code and one block."""
    for file in ("models/vision/sample.py", "models/vision/other.py", "blocks/norm.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x = 1\n")
    monkeypatch.setattr(home, "PACKAGE", tmp_path)
    write_card()
    return tmp_path


@pytest.mark.parametrize("file", ["sample.toml", "models/vision/sample.py", "blocks/norm.py"])
def test_a_change_of_card_code_or_block_changes_the_digest(package: Path, file: str):
    before = code_digest(read_card(package / "sample.toml"))
    with (package / file).open("a") as stream:
        stream.write("\n# changed\n")
    assert code_digest(read_card(package / "sample.toml")) != before


def test_a_change_of_a_model_that_the_code_builds_on_changes_the_digest(package: Path):
    other = package / "models/vision/other.py"
    (package / "models/vision/sample.py").write_text(
        "from assay.models.vision.other import Stem, stage\n"
    )
    before = code_digest(read_card(package / "sample.toml"))
    other.write_text("x = 2\n")
    assert code_digest(read_card(package / "sample.toml")) != before


def test_another_entrys_code_does_not_change_the_digest(package: Path):
    before = code_digest(read_card(package / "sample.toml"))
    (package / "models/vision/other.py").write_text("x = 2\n")
    assert code_digest(read_card(package / "sample.toml")) == before


def test_the_digest_does_not_depend_on_where_the_package_lies(
    package: Path, monkeypatch: pytest.MonkeyPatch
):
    before = code_digest(read_card(package / "sample.toml"))
    moved = package.with_name("moved")
    shutil.copytree(package, moved)
    monkeypatch.setattr(home, "PACKAGE", moved)
    assert code_digest(read_card(moved / "sample.toml")) == before


def test_every_entry_of_the_canon_has_a_digest_of_its_own():
    digests = [code_digest(card) for card in catalog().architectures]
    assert len(set(digests)) == len(digests)


def test_five_hundred_cards_are_read_in_a_quarter_of_a_second(
    write_card: Write, write_part: Write, tmp_path: Path
):
    for i in range(400):
        write_card(
            f"{i}.toml",
            ("sample-net", f"net-{i}"),
            ("variants.sample10", f"variants.a{i}"),
            ("variants.sample20", f"variants.b{i}"),
        )
    for i in range(100):
        write_part(f"part-{i}.toml", ("sample-part", f"part-{i}"))
    code = (  # in a process of its own, by its own clock: other work does not count
        "import sys, time; from pathlib import Path; from assay.canon.catalog import read_catalog\n"
        "def once():\n"
        "    start = time.process_time()\n"
        "    assert len(read_catalog(Path(sys.argv[1])).cards) == 500\n"
        "    return time.process_time() - start\n"
        "print(min(once() for _ in range(4)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.25
