"""Which networks take part: those the cards propose, or those the user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assay.canon.card import Architecture, Variant
from assay.canon.catalog import catalog, code_digest
from assay.canon.idea import EACH, IDEAS, ablated, check_removable, parted
from assay.canon.pretrained import untrained
from assay.canon.task import Task
from assay.compare.pretraining import Tune, start_candidate, start_those_that_can
from assay.engine.spec import Candidate, Recipe
from assay.errors import BadArgumentError, nearest
from assay.models.foreign import foreign_adaptation, foreign_digest, origin


def resolve(
    models: Sequence[str] | None,
    family: str | None,
    *,
    task: Task,
    inputs: tuple[int, ...],
    pretrained: Tune | None = None,
) -> list[Candidate]:
    """Return the candidates of a study.

    Args:
        models: Names as the user gave them, where NAME-without-each stands for one candidate per
            idea that can be removed; None takes those that the cards propose.
        family: Keep only this family of the cards' proposals.
        task: Of the data.
        inputs: Shape of one example.
        pretrained: What learns, in networks that start from published weights: all that are
            named, or those of the proposals that have some. None starts them at random.

    Raises:
        UnknownNameError: A name is in no catalog; the text offers the nearest.
        BadArgumentError: A name twice, a network that cannot do the task or read the shape, or
            nothing left to compare.
        AssayError: A network is named whose published weights cannot be had.
    """
    if models is not None:
        _refuse_both(models, family)
        names = [name for given in models for name in _each(given.strip(), inputs, task)]
        found = [candidate(name, inputs, task, pretrained) for name in names]
        _refuse_twice([c.name for c in found])
        return found
    proposed = _proposed(family, task=task, inputs=inputs)
    return start_those_that_can(proposed, inputs, pretrained) if pretrained else proposed


def candidate(
    name: str, inputs: tuple[int, ...], task: Task, pretrained: Tune | None = None
) -> Candidate:
    """Return the network called `name` as a candidate for this data.

    NAME-pretrained starts from published weights, and so does every name when `pretrained` says
    what learns.

    Raises:
        UnknownNameError: There is none.
        BadArgumentError: It cannot do the task or read the shape.
        AssayError: Its published weights cannot be had.
    """
    whole, starts = untrained(name)
    tune: Tune | None = pretrained or ("full" if starts else None)
    found = _untrained(whole, inputs, task)
    return start_candidate(found, inputs, tune) if tune else found


def _untrained(name: str, inputs: tuple[int, ...], task: Task) -> Candidate:
    where, _ = origin(name)
    if where == "canon":
        whole, idea = parted(name)
        card, variant = catalog().entry(whole)
        _refuse_other_task(card, variant, task)
        found = _from_card(card, variant, inputs, task)
        return (
            found
            if idea is None
            else _without(idea, found, card, variant, inputs=inputs, task=task)
        )
    return Candidate(
        name=name,
        digest=foreign_digest(name),
        family=where,
        recipe=Recipe(clip=1.0),  # nothing is known of it: guard against its first steps
        adaptation=foreign_adaptation(name, inputs),
    )


def _from_card(
    card: Architecture, variant: Variant, inputs: tuple[int, ...], task: Task
) -> Candidate:
    adaptation = card.adapt(variant, inputs, task)
    return Candidate(
        name=variant.name,
        digest=code_digest(card),
        family=card.family,
        recipe=card.recipe_for(variant, task),
        adaptation={"en": adaptation.en, "zh": adaptation.zh} if adaptation else {},
    )


def _each(name: str, inputs: tuple[int, ...], task: Task) -> Iterator[str]:
    """Yield a name, or for NAME-without-each those of NAME without each idea that it has."""
    whole, idea = parted(name)
    if origin(name)[0] != "canon" or idea != EACH:
        yield name
        return
    from assay.models.ablation import present  # torch: only who removes something waits for it

    card, variant = catalog().entry(whole)
    _refuse_other_task(card, variant, task)
    if not card.removable:
        check_removable(card, variant.name, idea)
    yield from (ablated(variant.name, one) for one in present(card, variant, inputs, task))


def _without(
    idea: str,
    whole: Candidate,
    card: Architecture,
    variant: Variant,
    *,
    inputs: tuple[int, ...],
    task: Task,
) -> Candidate:
    """Return a candidate that lacks one idea."""
    from assay.models.ablation import require

    check_removable(card, variant.name, idea)
    require(idea, variant, inputs, task)
    name = ablated(variant.name, idea)
    removed = {"en": IDEAS[idea].told("en"), "zh": IDEAS[idea].told("zh")}
    told = {
        "en": " ".join(filter(None, [removed["en"], whole.adaptation.get("en")])),
        "zh": "".join(filter(None, [removed["zh"], whole.adaptation.get("zh")])),
    }
    return replace(whole, name=name, digest=foreign_digest(name), adaptation=told)


def _proposed(family: str | None, *, task: Task, inputs: tuple[int, ...]) -> list[Candidate]:
    """Return the cards' proposals that can read the shape."""
    fitting = catalog().candidates(task)
    families = sorted({card.family for card, _ in fitting})
    if family is not None and family not in families:
        raise BadArgumentError(
            f"`family` must be one that does {task}: {', '.join(families)}. "
            f"Received {family!r}.{nearest(family, families)}"
        )
    chosen = [(card, v) for card, v in fitting if family in (None, card.family)]
    readable = [
        _from_card(card, v, inputs, task) for card, v in chosen if _reads(card, v, inputs, task)
    ]
    if not readable:
        raise BadArgumentError(
            f"No network of the catalog reads examples of shape {inputs} for {task}. "
            "Received no names; give some with --models."
        )
    return readable


def _reads(card: Architecture, variant: Variant, inputs: tuple[int, ...], task: Task) -> bool:
    try:
        card.adapt(variant, inputs, task)
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


def _refuse_other_task(card: Architecture, variant: Variant, task: Task) -> None:
    if task not in card.tasks:
        fitting = sorted(v.name for _, v in catalog().candidates(task))
        raise BadArgumentError(
            f"{variant.name} does {', '.join(card.tasks)}. The task here is {task}; these do it: "
            f"{', '.join(fitting)}."
        )
