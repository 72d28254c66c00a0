"""`assay runs`: list, show and remove runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from assay.cli.columns import print_columns
from assay.errors import BadArgumentError

if TYPE_CHECKING:
    from assay.engine.spec import TrialRecord
    from assay.store.store import Store, StudyEntry

SUMMARY = "list, show and remove runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "show", "rm"),
        default="list",
        help="list (the default), show ID, or rm ID with its files",
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="a run's id, or how it begins")
    parser.add_argument(
        "--store", metavar="WHERE", help="folder or URL; the default is assay-runs/ here"
    )
    parser.add_argument(
        "--all", action="store_true", help="list: also each division that `--splits` joined"
    )
    parser.add_argument("--json", action="store_true", help="for programs: the same facts as JSON")
    parser.add_argument("--yes", action="store_true", help="rm: remove without asking")


def run(args: argparse.Namespace) -> int | None:
    """List, show or remove."""
    if args.action == "list" and args.id:
        raise BadArgumentError(
            f"`assay runs list` takes no ID. Received {args.id!r}; did you mean "
            f"`assay runs show {args.id}`?"
        )
    if args.action != "list" and not args.id:
        raise BadArgumentError(
            f"`assay runs {args.action}` needs the ID of a run. Received none; "
            "`assay runs` lists them."
        )
    from assay.store.store import Store  # a database takes half a second; `--help` must not wait

    with Store.open(args.store, readonly=args.action != "rm") as store:
        return {"list": _list, "show": _show, "rm": _remove}[args.action](store, args)


def _list(store: Store, args: argparse.Namespace) -> int | None:
    studies = store.studies()
    if args.json:
        print(json.dumps([asdict(study) for study in studies], ensure_ascii=False, indent=2))
        return None
    parts = {part for s in studies for part in s.data.get("parts", ())}
    shown = [s for s in studies if args.all or s.id not in parts]
    rows = [
        (s.id, s.created, s.status, _printable(s.data.get("name", "")), _progress(s)) for s in shown
    ]
    print_columns([("ID", "CREATED", "STATUS", "DATA", "TRIALS"), *rows])
    if len(shown) < len(studies):
        count = len(studies) - len(shown)
        print(f"\nand {count} more, joined in these by --splits: `assay runs --all` lists them")
    return None


def _show(store: Store, args: argparse.Namespace) -> int | None:
    study = store.study(args.id)
    records = store.trials(study.trials)
    if args.json:
        whole = {**asdict(study), "records": [asdict(r) for r in records.values()]}
        print(json.dumps(whole, ensure_ascii=False, indent=2))
        return None
    _print_facts({"run": study.id, "created": study.created, "status": study.status})
    _print_facts({"trials": _progress(study), "files": store.run_folder(study.id)})
    _print_facts({k: v for k, v in {**study.data, **study.request}.items() if _is_short(v)})
    print()
    rows = [_trial_row(s, records.get(h)) for s, h in zip(study.specs, study.trials, strict=True)]
    print_columns([("CANDIDATE", "SEED", "STATUS", "STEPS", "SECONDS", "RESULT"), *rows])
    if study.status == "stopped":
        where = f" --store {args.store}" if args.store else ""
        print(f"\ncontinue with: assay resume {study.id}{where}")
    return None


def _remove(store: Store, args: argparse.Namespace) -> int | None:
    study = store.study(args.id)
    if not args.yes and not _confirmed(study.id):
        return 1
    with store.alone(study.id):
        removed = store.remove_study(study.id)
    if args.json:
        print(json.dumps({"removed": study.id, "trials": removed}))
    else:
        print(f"removed {study.id}: its files and {removed} trials that no other run uses")
    return None


def _confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise BadArgumentError(
            f"Removing a run needs a yes. Received none for {name!r}, and there is no terminal to "
            "ask on; add --yes."
        )
    return input(f"Remove run {name} and its files? [y/N] ").strip().lower() in ("y", "yes")


def _trial_row(spec: Mapping[str, Any], record: TrialRecord | None) -> tuple[str, ...]:
    name, seed = _printable(spec["candidate"]["name"]), str(spec["seed"])
    if record is None:
        return (name, seed, "not run", "", "", "")
    metrics = ", ".join(f"{k} {v:.4g}" for k, v in record.metrics.items())
    result = _printable(record.reason) if record.status == "failed" else metrics
    return (name, seed, record.status, str(record.steps), f"{record.train_seconds:.1f}", result)


def _progress(study: StudyEntry) -> str:
    failed = f", {study.failed} failed" if study.failed else ""
    return f"{study.finished + study.failed} of {len(study.trials)}{failed}"


def _is_short(value: Any) -> bool:
    return value not in (None, "", [], {}) and len(str(value)) <= 200


def _print_facts(facts: Mapping[str, Any]) -> None:
    for label, value in facts.items():
        print(f"{_printable(label):<14}", _printable(value))


def _printable(value: Any) -> str:
    """Return the text with what could steer a terminal shown as an escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
