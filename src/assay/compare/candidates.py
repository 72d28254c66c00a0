"""Which networks take part: those the cards propose, or those the user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from assay.canon.card import Card, Variant
from assay.canon.catalog import catalog, code_digest
from assay.engine.spec import Candidate, Recipe
from assay.errors import BadArgumentError, nearest
from assay.models.foreign import foreign_adaptation, foreign_digest, origin


def resolve(
    models: Sequence[str] | None,
    family: str | None,
    *,
    task: str,
    inputs: tuple[int, ...],
) -> list[Candidate]:
    """Return the candidates of a study.

    Args:
        models: Names as the user gave them; None takes those that the cards propose.
        family: Keep only this family of the cards' proposals.
        task: Of the data.
        inputs: Shape of one example.

    Raises:
        UnknownNameError: A name is in no catalog; the text offers the nearest.
        BadArgumentError: A name twice, a network that cannot do the task or read the shape, or
            nothing left to compare.
    """
    if models is not None:
        _refuse_both(models, family)
        found = [candidate(name.strip(), inputs, task) for name in models]
        _refuse_twice([c.name for c in found])
        return found
    return _proposed(family, task=task, inputs=inputs)


def candidate(name: str, inputs: tuple[int, ...], task: str) -> Candidate:
    """Return the network called `name` as a candidate for this data.

    Raises:
        UnknownNameError: There is none.
        BadArgumentError: It cannot do the task or read the shape.
    """
    where, _ = origin(name)
    if where == "canon":
        card, variant = catalog().entry(name)
        _refuse_other_task(card, variant, task)
        return _from_card(card, variant, inputs)
    return Candidate(
        name=name,
        digest=foreign_digest(name),
        family=where,
        recipe=Recipe(clip=1.0),  # nothing is known of it: guard against its first steps
        adaptation=foreign_adaptation(name, inputs),
    )


def _from_card(card: Card, variant: Variant, inputs: tuple[int, ...]) -> Candidate:
    adaptation = card.adapt(variant, inputs)
    return Candidate(
        name=variant.name,
        digest=code_digest(card),
        family=card.family,
        recipe=card.recipe,
        adaptation={"en": adaptation.en, "zh": adaptation.zh} if adaptation else {},
    )


def _proposed(family: str | None, *, task: str, inputs: tuple[int, ...]) -> list[Candidate]:
    """Return the cards' proposals that can read the shape."""
    fitting = catalog().candidates(task)
    families = sorted({card.family for card, _ in fitting})
    if family is not None and family not in families:
        raise BadArgumentError(
            f"`family` must be one that does {task}: {', '.join(families)}. "
            f"Received {family!r}.{nearest(family, families)}"
        )
    chosen = [(card, v) for card, v in fitting if family in (None, card.family)]
    readable = [_from_card(card, v, inputs) for card, v in chosen if _reads(card, v, inputs)]
    if not readable:
        raise BadArgumentError(
            f"No network of the catalog reads examples of shape {inputs} for {task}. "
            "Received no names; give some with --models."
        )
    return readable


def _reads(card: Card, variant: Variant, inputs: tuple[int, ...]) -> bool:
    try:
        card.adapt(variant, inputs)
    except BadArgumentError:
        return False
    return True


def _refuse_both(models: Sequence[str], family: str | None) -> None:
    if family is not None:
        raise BadArgumentError(
            "`models` and `family` exclude each other. "
            f"Received models={','.join(models)!r} and family={family!r}; leave one out."
        )
    if not any(name.strip() for name in models):
        raise BadArgumentError(
            "`models` must name at least one network. Received none; `assay list` shows all."
        )


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BadArgumentError(
            f"`models` must name every network once. Received {', '.join(map(repr, twice))} more "
            "than once; a card's id stands for its default variant."
        )


def _refuse_other_task(card: Card, variant: Variant, task: str) -> None:
    if task not in card.tasks:
        fitting = sorted(v.name for _, v in catalog().candidates(task))
        raise BadArgumentError(
            f"{variant.name} does {', '.join(card.tasks)}. The task here is {task}; these do it: "
            f"{', '.join(fitting)}."
        )
