"""A card's TOML file, read into plain values; whatever is wrong in it is named."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from assay.canon.card import (
    KINDS,
    AnyCard,
    Architecture,
    How,
    InputKind,
    Inputs,
    Paper,
    Part,
    Prose,
    Range,
    Shape,
    Small,
    Text,
    Variant,
)
from assay.canon.search import KNOBS, fault
from assay.canon.table import Table
from assay.canon.task import TASKS, Task
from assay.engine.spec import Recipe
from assay.errors import DataError

_NAMES = r"(\.[a-z_][a-z0-9_]*)+:[A-Za-z_][A-Za-z0-9_]*"
_OURS = re.compile("assay" + _NAMES)
_OURS_OR_TORCHS = re.compile(
    r"torch\.nn:[A-Za-z0-9]+|tokenizers\.models:[A-Za-z]+"
    r"|assay\.(blocks|decoding|embeddings|data)" + _NAMES
)


def read_card(path: Path) -> AnyCard:
    """Return the card that a TOML file holds.

    Raises:
        DataError: It is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"Card {path} is not valid TOML: {error}; correct it.") from error
    return _read(Table(path, facts))


def _read(top: Table) -> AnyCard:
    kind = top.one_of("kind", tuple(KINDS))
    return _architecture(top) if kind == "architecture" else _part(top)


def _architecture(top: Table) -> Architecture:
    inputs = _inputs(top.table("input"))
    recipe = _recipe(top.table("recipe"), Recipe()) if "recipe" in top else Recipe()
    card = Architecture(
        **_common(top),
        family=top.text("family"),
        tasks=_tasks(top),
        input=inputs,
        variants=_variants(top.table("variants"), recipe),
        removable=top.texts("removable", ()),
        small=_small(top.table("small"), inputs) if "small" in top else None,
        recipe=recipe,
        recipes=_recipes(top.table("recipes"), recipe) if "recipes" in top else {},
        search=_search(top.table("search"), recipe) if "search" in top else {},
    )
    return top.closed(card)


def _tasks(top: Table) -> tuple[Task, ...]:
    given = top.texts("tasks")
    if not given or set(given) - set(TASKS):
        top.refuse("tasks", f"some of {', '.join(TASKS)}", list(given))
    return cast(tuple[Task, ...], given)


def _part(top: Table) -> Part:
    return top.closed(
        Part(
            **_common(top),
            code=_code(top, _OURS_OR_TORCHS, "a path, torch.nn:NAME or assay.blocks.module:NAME"),
            formula=_words(top, "formula"),
            shape=_words(top, "shape"),
        )
    )


def _common(top: Table) -> dict[str, Any]:
    """Return what every kind of card says."""
    return {
        "id": top.text("id"),
        "kind": top.text("kind"),
        "parents": top.texts("parents"),
        "aliases": top.texts("aliases", ()),
        "paper": _paper(top.table("paper")),
        "en": _prose(top.table("en")),
        "zh": _prose(top.table("zh")),
        "departures": tuple(map(_text, top.tables("departures"))),
        "path": top.path,
    }


def _words(t: Table, key: str) -> Text:
    """Return a text that may be the same in both languages, and is then written once."""
    if isinstance(t.take(key), dict):
        return _text(t.table(key))
    return Text(en=t.text(key), zh=t.text(key))


def _text(t: Table) -> Text:
    return t.closed(Text(en=t.text("en"), zh=t.text("zh")))


def _code(t: Table, pattern: re.Pattern[str], rule: str) -> str:
    code = t.text("code")
    if not pattern.fullmatch(code):
        t.refuse("code", rule, code)
    return code


def _paper(t: Table) -> Paper:
    return t.closed(
        Paper(
            title=t.text("title"),
            authors=t.text("authors"),
            year=t.whole("year"),
            url=t.text("url"),
        )
    )


def _prose(t: Table) -> Prose:
    return t.closed(
        Prose(
            name=t.text("name"),
            idea=t.text("idea"),
            choose=t.text("choose"),
            avoid=t.text("avoid"),
            changed=t.text("changed", ""),
        )
    )


def _inputs(t: Table) -> Inputs:
    kind = cast(InputKind, t.one_of("kind", get_args(InputKind)))
    native = t.shape("native")
    least = t.shape("least", (1,) * len(native))
    _require_alike(t, least, native)
    return t.closed(Inputs(kind=kind, native=native, least=least, fixed=t.truth("fixed")))


def _small(t: Table, inputs: Inputs) -> Small:
    how = cast(How, t.one_of("how", get_args(How)))
    least = t.shape("least", inputs.least)
    _require_alike(t, least, inputs.native)
    return t.closed(
        Small(upto=t.whole("upto"), how=how, least=least, en=t.text("en"), zh=t.text("zh"))
    )


def _require_alike(t: Table, least: Shape, native: Shape) -> None:
    if len(least) != len(native):
        t.refuse("least", f"a shape like native, {list(native)}", list(least))


def _recipe(t: Table, base: Recipe) -> Recipe:
    known = [f.name for f in fields(Recipe)]
    given = {key: t.take(key) for key in known if key in t}
    t.close(known)
    return replace(base, **given)


def _recipes(t: Table, base: Recipe) -> dict[Task, Recipe]:
    given = {task: _recipe(t.table(task), base) for task in TASKS if task in t}
    t.close(TASKS)
    return given


def _search(t: Table, recipe: Recipe) -> dict[str, Range]:
    given = {name: _range(t.table(name), name, recipe) for name in KNOBS if name in t}
    t.close(KNOBS)
    return given


def _range(t: Table, name: str, recipe: Recipe) -> Range:
    span = t.closed(
        Range(
            default=t.number("default"),
            low=t.number("low"),
            high=t.number("high"),
            log=t.truth("log"),
        )
    )
    wrong = fault(name, span, recipe)
    if wrong:
        t.refuse(*wrong)
    return span


def _variants(t: Table, recipe: Recipe) -> tuple[Variant, ...]:
    if not list(t):
        t.refuse("", "at least one variant, [variants.NAME]", {})
    return tuple(_variant(name, t.table(name), recipe) for name in t)


def _variant(name: str, t: Table, recipe: Recipe) -> Variant:
    return t.closed(
        Variant(
            name=name,
            code=_code(t, _OURS, "a path in this package, assay.module:builder"),
            parameters=t.whole("parameters"),
            macs=t.whole("macs"),
            outputs=t.whole("outputs"),
            native=t.shape("native", ()) or None,
            task=cast(Task, t.one_of("task", tuple(TASKS))) if "task" in t else None,
            reference=t.text("reference", ""),
            default=t.truth("default"),
            recipe=_recipe(t.table("recipe"), recipe) if "recipe" in t else None,
        )
    )
