"""The report of a study as files: a page, a table, the result itself and plots."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from assay.compare.result import CandidateResult, StudyResult
from assay.engine.spec import Measurement
from assay.errors import StoreError
from assay.report import charts, page, plots
from assay.report.codec import clean, result_to_json

PAGE = "report.html"
TABLE = "results.csv"
RESULT = "results.json"
PLOTS = "plots"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # what a spreadsheet would calculate
_COSTS = tuple(Measurement.__dataclass_fields__)


def write_report(result: StudyResult, folder: Path, lang: str = "en") -> dict[str, Path]:
    """Write report.html, results.csv, results.json and plots/*.png; return them by name.

    Each file is replaced as a whole: a reader finds the old one or the new one.

    Args:
        result: What the study found.
        folder: Where to; made when it is not there.
        lang: en or zh, of the page and the plots.

    Raises:
        StoreError: The system refused to write.
    """
    paths = {}
    for name, content in _files(result, lang):
        paths[name] = folder / name
        _replace(paths[name], content)
    return paths


def _files(result: StudyResult, lang: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content; results.json comes last, so that it vouches for the others."""
    yield PAGE, page.render(result, lang).encode()
    for name, picture in plots.draw(result, lang):
        yield f"{PLOTS}/{name}.png", picture
    yield TABLE, table(result)
    yield RESULT, _json(result)


def _json(result: StudyResult) -> bytes:
    facts = result_to_json(result)
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def table(result: StudyResult) -> bytes:
    """Return the ranking as CSV; in UTF-8, with the mark Excel needs where ASCII is not enough."""
    rows = _rows(result)
    held = io.StringIO(newline="")
    writer = csv.DictWriter(held, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    text = held.getvalue()
    return text.encode("ascii" if text.isascii() else "utf-8-sig")


def _rows(result: StudyResult) -> list[dict[str, Any]]:
    versus = charts.versus(result)
    made = [_row(result, c, versus.get(c.name, "")) for c in result.candidates]
    return [{cell(key): cell(value) for key, value in row.items()} for row in made]


def _row(result: StudyResult, c: CandidateResult, versus: str) -> dict[str, Any]:
    score, metric = c.score, result.metric
    return {
        "rank": c.rank if score else None,
        "candidate": c.name,
        "family": c.family,
        "recommended": "yes" if c.recommended else "no",
        metric: score and score.mean,
        f"{metric}_low": score and score.low,
        f"{metric}_high": score and score.high,
        "against_recommended": versus,
        "seeds_finished": sum(s.status == "finished" for s in c.seeds),
        "seeds_failed": sum(s.status == "failed" for s in c.seeds),
        **{name: getattr(c.cost, name, None) for name in _COSTS},
        "train_seconds": c.train_seconds if score else None,
        "samples_per_second": c.samples_per_second if score else None,
        **{f"mean_{name}": value for name, value in c.metrics.items()},
        **{f"{metric}_seed_{s.seed}": s.score for s in c.seeds},
        "adaptation": c.adaptation.get("en", ""),
        "failure": next((s.reason for s in c.seeds if s.status == "failed"), ""),
    }


def cell(value: Any) -> Any:
    """Return what to write for `value`: a number as it is, a text so that it stays a text."""
    if isinstance(value, str):
        risky = value.lstrip().startswith(_FORMULA) or value.startswith(("\t", "\r", "\n"))
        return f"'{clean(value)}" if risky else clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise StoreError(
            f"The report needs a folder that can be written. Cannot write {clean(str(path))} "
            f"({error.strerror or error}); free space there or change its permissions, then "
            "run `assay report` on this run."
        ) from error
