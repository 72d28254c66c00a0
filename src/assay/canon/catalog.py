"""Names to cards and variants, lineage, and what a card's code amounts to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from assay.canon.card import AnyCard, Architecture, Variant
from assay.canon.read import read_card
from assay.errors import BadArgumentError, DataError, UnknownNameError, nearest

PACKAGE = Path(__file__).parents[1]
_MODEL_IMPORT = re.compile(r"^from (assay\.models\.\w+\.\w+) import", re.MULTILINE)


class Catalog:
    """All cards, found by id, by another name of theirs or by a variant's.

    A variant is found, too, by how its name begins, up to an underscore, where no other begins so.

    Args:
        cards: In the order in which they are listed.

    Raises:
        DataError: Two cards share an id, or two entries a variant's name.
    """

    def __init__(self, cards: Iterable[AnyCard]) -> None:
        self.cards = tuple(cards)
        self.architectures = tuple(card for card in self.cards if isinstance(card, Architecture))
        self._by_id: dict[str, AnyCard] = {}
        self._by_variant: dict[str, tuple[Architecture, Variant]] = {}
        for card in self.cards:
            self._add(card)
        for architecture in self.architectures:
            self._add_variants(architecture)
        self._refuse_shared_names()

    @property
    def names(self) -> list[str]:
        """Every name that `find` knows, sorted."""
        return sorted({*self._by_id, *self._by_variant})

    def find(self, name: str) -> tuple[AnyCard, Variant | None]:
        """Return the card called `name`, and the variant if `name` is one's.

        Raises:
            UnknownNameError: Nothing is called `name`; the message offers the nearest name.
        """
        if name in self._by_variant:
            return self._by_variant[name]
        if name in self._by_id:
            return self._by_id[name], None
        begun = [found for known, found in self._by_variant.items() if known.startswith(f"{name}_")]
        if len(begun) == 1:
            return begun[0]
        raise UnknownNameError(
            f"Unknown name {name!r}.{nearest(name, self.names)} "
            f"`assay list` shows all {len(self.cards)} entries."
        )

    def entry(self, name: str) -> tuple[Architecture, Variant]:
        """Return the card and the variant to build; a card's id stands for its default variant.

        Raises:
            UnknownNameError: Nothing is called `name`.
            BadArgumentError: It is a part of networks, not one.
        """
        card, variant = self.find(name)
        if isinstance(card, Architecture):
            return card, variant or card.default()
        raise BadArgumentError(
            f"Only architectures can be built and compared. Received {name!r}, which is of the "
            f"kind {card.kind!r}; `assay show {name}` names its code, to use in a network."
        )

    def candidates(self, task: str) -> list[tuple[Architecture, Variant]]:
        """Return the variants that every study of this task compares unless told otherwise."""
        return [
            (card, variant)
            for card in self.architectures
            for variant in card.variants
            if variant.default and task in card.tasks
        ]

    def parents(self, name: str) -> list[AnyCard]:
        """Return the cards whose ideas this one builds on."""
        return [self._by_id[parent] for parent in self.find(name)[0].parents]

    def children(self, name: str) -> list[AnyCard]:
        """Return the cards that build on this one."""
        parent = self.find(name)[0].id
        return [card for card in self.cards if parent in card.parents]

    def _add(self, card: AnyCard) -> None:
        for name in (card.id, *card.aliases):
            if name in self._by_id:
                raise _duplicate("id", name, self._by_id[name], card)
            self._by_id[name] = card

    def _add_variants(self, card: Architecture) -> None:
        for variant in card.variants:
            if variant.name in self._by_variant:
                raise _duplicate("variant", variant.name, self._by_variant[variant.name][0], card)
            self._by_variant[variant.name] = (card, variant)

    def _refuse_shared_names(self) -> None:
        """A variant may be called like its own card, not like another one."""
        for name, (card, _) in self._by_variant.items():
            other = self._by_id.get(name, card)
            if other is not card:
                raise _duplicate("name", name, other, card)


@cache
def catalog() -> Catalog:
    """Return the catalog of every card in this package, sorted by id."""
    return read_catalog(PACKAGE)


def read_catalog(folder: Path) -> Catalog:
    """Return the catalog of every card below `folder`, sorted by id."""
    cards = [read_card(path) for path in folder.rglob("*.toml")]
    return Catalog(sorted(cards, key=lambda card: card.id))


def code_digest(card: Architecture) -> str:
    """Return the sha256 of a card, the files its variants are built from, and all blocks."""
    sources: set[Path] = set()
    for variant in card.variants:
        _add_sources(variant.code.partition(":")[0], sources)
    blocks = [p for p in (PACKAGE / "blocks").rglob("*") if p.suffix in (".py", ".c")]
    files = [card.path, *sorted(sources), *sorted(blocks)]
    return hashlib.sha256(b"".join(map(_file_digest, files))).hexdigest()


def _add_sources(module: str, found: set[Path]) -> None:
    """Add the file of a module, and those of the models that it imports."""
    path = _source(module)
    if path not in found:
        found.add(path)
        for imported in _MODEL_IMPORT.findall(path.read_text(encoding="utf-8")):
            _add_sources(imported, found)


def _source(module: str) -> Path:
    """Return the file of a module of this package without importing it."""
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _file_digest(path: Path) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + path.read_bytes()).digest()


def _duplicate(what: str, name: str, first: AnyCard, second: AnyCard) -> DataError:
    return DataError(
        f"A card's {what} must be its own. Received {name!r} in {first.path} and {second.path}; "
        "rename one."
    )
