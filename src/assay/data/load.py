"""`load(source)`: recognise what was given, prepare it once, open it ever after."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from assay.data.dataset import TASKS, Dataset, Task
from assay.data.describe import describe
from assay.data.names import shown
from assay.data.prepare import FORMAT, Options, Source, open_prepared, prepare
from assay.data.recognise import recognise
from assay.data.scratch import scratch
from assay.data.split import MOST_TEST, SHARES, TEST, Role
from assay.engine.spec import digest
from assay.errors import BadArgumentError, DataError, MissingPathError, StoreError, nearest

__all__ = ["describe", "load", "load_arrays", "open_prepared"]


def load(
    source: str | Path,
    *,
    folder: Path,
    task: str | None = None,
    target: str | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    skip_bad: bool = False,
    group: str | None = None,
    time: str | None = None,
    text: str | None = None,
    tokenizer: str = "auto",
    vocabulary: int | None = None,
    length: int | None = None,
    series: str | None = None,
    window: int | None = None,
    horizon: int | None = None,
) -> Dataset:
    """Return the prepared data; a second call with the same files opens it at once.

    Args:
        source: A name of `recognise.NAMES`, a probe such as adding:T=200, a folder of images or
            of .txt files, a .csv, .tsv or .parquet table, a .jsonl, .txt or .conll text, or a .npz
            with x and y.
        folder: Where prepared data is kept.
        task: One of TASKS; None recognises it.
        target: The column to predict, for a table.
        seed: Of the division.
        data_dir: Where the files of fashion-mnist are, if not in a usual place.
        skip_bad: Leave unreadable images out instead of stopping.
        group: A table's column, or a further array of a .npz: examples with the same value, such
            as a patient's, stay in one part. It is no input.
        time: Likewise: the latest examples become the test part. It is no input.
        text: The column that holds the text.
        tokenizer: auto, char, bpe, wordpiece or unigram.
        vocabulary: Tokens to choose from, at most.
        length: Tokens of an example, at most.
        series: The column that says to which series a row belongs.
        window: Steps that a forecast sees.
        horizon: Steps that it predicts.

    Raises:
        MissingPathError: There is nothing at `source`.
        BadArgumentError: An option does not fit the source.
        DataError: The data cannot be used; the text names the file and the place.
        StoreError: The prepared data cannot be written.
    """
    options = Options(
        task=_task(task),
        target=target,
        seed=_seed(seed),
        skip_bad=skip_bad,
        group=group,
        time=time,
        text=text,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        length=length,
        series=series,
        window=window,
        horizon=horizon,
    )
    found = recognise(source, options, data_dir=Path(data_dir) if data_dir else None)
    mark = folder / "seen" / f"{_fingerprint(found, options)}.json"
    dataset = _known(mark) or _prepare(found, folder=folder, mark=mark, seed=seed)
    return replace(dataset, name=shown(found.name), source=shown(found.where))


def load_arrays(
    x: Any,
    y: Any,
    *,
    folder: Path,
    task: str | None = None,
    seed: int = 0,
    name: str = "arrays",
    test_size: float = SHARES[TEST],
    group: Any = None,
    time: Any = None,
) -> Dataset:
    """Return arrays in memory as prepared data.

    Args:
        x: Images uint8 (N, H, W), (N, H, W, C) or (N, C, H, W); a table (N, F); sequences
            (N, T, F).
        y: N labels (numbers or strings), or N values.
        folder: Where prepared data is kept.
        task: One of TASKS; None recognises it.
        seed: Of the division.
        name: What the user calls it.
        test_size: Share of the examples for the test part.
        group: N values; examples with the same one stay in one part.
        time: N numbers or dates; the latest examples become the test part.
    """
    from assay.data.arrays import read_arrays

    _check_share(test_size)
    options = Options(task=_task(task), seed=_seed(seed))
    given: tuple[tuple[Role, Any], ...] = (("group", group), ("time", time))
    beside = {k: v for k, v in given if v is not None}
    raw = read_arrays(x, y, name=name, source="arrays in memory", options=options, beside=beside)
    found = Source(name=name, where="arrays in memory", files=(), read=lambda _: raw)
    facts = [FORMAT, raw.content, raw.task, name, seed, test_size]
    mark = folder / "seen" / f"{digest(facts)[:32]}.json"
    dataset = _known(mark) or _prepare(
        found, folder=folder, mark=mark, seed=seed, test_size=test_size
    )
    return replace(dataset, name=shown(name))


def _task(task: str | None) -> Task | None:
    if task is not None and task not in TASKS:
        raise BadArgumentError(
            f"`task` must be one of {', '.join(TASKS)}. Received {shown(task)!r}."
            f"{nearest(task, TASKS)}"
        )
    return cast("Task | None", task)


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**32:
        raise BadArgumentError(f"`seed` must be in [0, 2**32). Received {seed}; choose another.")
    return seed


def _check_share(test_size: float) -> None:
    if not 0 < test_size <= MOST_TEST:  # NaN fails too
        raise BadArgumentError(
            f"`test_size` must be a share in (0, {MOST_TEST}]. Received test_size={test_size!r}."
        )


def _fingerprint(source: Source, options: Options) -> str:
    """Return a name for these options and the files' paths, sizes and times of change."""
    files = []
    for file in source.files:
        facts = file.stat()
        files.append([os.fsencode(file.absolute()).hex(), facts.st_size, facts.st_mtime_ns])
    chosen = [options.task, options.target, options.seed, options.skip_bad]
    return digest([FORMAT, source.name, files, chosen + options.named + options.reading])[:32]


def _known(mark: Path) -> Dataset | None:
    """Return the data that was prepared before, if it is still whole."""
    try:
        name = json.loads(mark.read_text(encoding="utf-8"))["folder"]
        return open_prepared(mark.parents[1] / Path(name).name)
    except (OSError, ValueError, KeyError, TypeError):  # DataError is a ValueError
        return None


def _prepare(
    source: Source, *, folder: Path, mark: Path, seed: int, test_size: float = SHARES[TEST]
) -> Dataset:
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder) as temporary:
            home = folder / prepare(
                source.read(temporary), temporary, seed=seed, test_size=test_size
            )
            _put(temporary, home)
            mark.parent.mkdir(exist_ok=True)
            waiting = mark.with_suffix(f".{os.getpid()}")
            waiting.write_text(json.dumps({"folder": home.name}), encoding="utf-8")
            waiting.replace(mark)
    return open_prepared(home)


def _put(temporary: Path, home: Path) -> None:
    """Give the finished folder its name, unless a whole one of that name is there already.

    Others may do the same at this moment; whoever is first wins, and nobody's whole folder goes.
    """
    temporary.chmod(0o755)
    try:
        temporary.replace(home)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        with contextlib.suppress(DataError):
            open_prepared(home)
            return
        damaged = home.replace(temporary.with_suffix(".damaged"))
        temporary.replace(home)
        shutil.rmtree(damaged, ignore_errors=True)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (DataError, MissingPathError, StoreError)) or not error.errno:
            raise
        raise StoreError(
            f"Prepared data is kept in {shown(folder)}, which cannot be written "
            f"({error.strerror}); free space there, or name another folder with --store."
        ) from error
