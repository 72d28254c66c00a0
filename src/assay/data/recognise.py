"""What was given: a name, a folder or a file, and who reads it."""

from __future__ import annotations

from pathlib import Path

from assay.data.builtin import NAMES as IMAGE_NAMES
from assay.data.builtin import builtin
from assay.data.corpus_names import CORPORA
from assay.data.names import shown
from assay.data.prepare import Options, Source
from assay.data.probes import PROBES, probe
from assay.data.series_builtin import SERIES_NAMES
from assay.errors import BadArgumentError, DataError, MissingPathError, nearest

TABLES = (".csv", ".tsv", ".parquet")
JSON_LINES = (".jsonl", ".ndjson")
FILES = ".csv, .tsv, .parquet, .jsonl, .txt, .conll or .npz"
NAMES = (*IMAGE_NAMES, *CORPORA, *SERIES_NAMES)
OF_TEXT = ("text", "tokenizer", "vocabulary", "length")
OF_SERIES = ("series", "window", "horizon")


def recognise(source: str | Path, options: Options, *, data_dir: Path | None) -> Source:
    """Return who reads what was given; nothing large is read yet.

    Args:
        source: A name of `NAMES`, a probe such as adding:T=200, or a path.
        options: What was chosen.
        data_dir: Where the files of fashion-mnist are, if not in a usual place.

    Raises:
        MissingPathError: There is nothing of that name.
        BadArgumentError: An option does not fit, or the kind of file is unknown.
        DataError: It is neither a folder nor a regular file.
    """
    known = _named(str(source), options, data_dir)
    if known is not None:
        return known
    path = _existing(source)
    if path.is_dir():
        return _folder(path, options)
    if not path.is_file():
        raise DataError(
            f"The data must be a folder or a regular file. {shown(path)!r} is neither; "
            "a pipe or device is not opened."
        )
    return _file(path, options)


def _named(source: str, options: Options, data_dir: Path | None) -> Source | None:
    if source in IMAGE_NAMES:
        refuse(options, ("group", "time", *OF_TEXT, *OF_SERIES), source)
        return builtin(source, options, data_dir=data_dir)
    if source in CORPORA:
        from assay.data.corpora import corpus

        refuse(options, OF_SERIES, source)
        return corpus(source, options)
    if source in SERIES_NAMES:
        from assay.data.series_builtin import builtin_series

        refuse(options, OF_TEXT, source)
        return builtin_series(source, options)
    if source.partition(":")[0] in PROBES and not Path(source).exists():
        return probe(source, options)
    return None


def _folder(path: Path, options: Options) -> Source:
    from assay.data.folder import image_folder
    from assay.data.text_folder import is_text_folder, text_folder

    if is_text_folder(path):
        refuse(options, OF_SERIES, shown(path))
        return text_folder(path, options)
    refuse(options, ("group", "time", *OF_TEXT, *OF_SERIES), shown(path))
    return image_folder(path, options)


def _file(path: Path, options: Options) -> Source:
    from assay.data.tagged import ENDINGS

    ending = path.suffix.lower()
    if ending == ".npz":
        from assay.data.arrays import npz_file

        refuse(options, (*OF_TEXT, *OF_SERIES), shown(path))
        return npz_file(path, options)
    if ending in TABLES:
        return _table(path, options)
    if ending == ".txt" or ending in JSON_LINES or ending in ENDINGS:
        refuse(options, OF_SERIES, shown(path))
        return _text(path, options)
    raise BadArgumentError(
        f"The data must be a folder of images or texts, a file that ends in {FILES}, one of "
        f"{', '.join(NAMES)}, or a probe such as adding:T=200. Received {shown(path.name)!r}; "
        "convert it to one of these."
    )


def _text(path: Path, options: Options) -> Source:
    ending = path.suffix.lower()
    if ending == ".txt":
        from assay.data.text_stream import text_file

        return text_file(path, options)
    if ending in JSON_LINES:
        from assay.data.json_lines import json_lines

        return json_lines(path, options)
    from assay.data.tagged import tagged_file

    return tagged_file(path, options)


def _table(path: Path, options: Options) -> Source:
    if options.task == "forecasting" or options.horizon is not None:
        from assay.data.series import forecast_table

        refuse(options, OF_TEXT, shown(path))
        return forecast_table(path, options)
    if options.series is not None:
        from assay.data.series_long import long_sequences

        refuse(options, OF_TEXT, shown(path))
        return long_sequences(path, options)
    refuse(options, OF_SERIES, shown(path))
    if path.suffix.lower() == ".tsv" and options.target is None and options.text is None:
        from assay.data.pairs import is_pair_file, pair_file

        if options.task == "text-to-text" or (options.task is None and is_pair_file(path)):
            return pair_file(path, options)
    from assay.data.table import table_file

    return table_file(path, options)


def refuse(options: Options, names: tuple[str, ...], what: str) -> None:
    """Refuse an option that this kind of data does not have."""
    unset = Options()
    asked = [name for name in names if getattr(options, name) != getattr(unset, name)]
    if not asked:
        return
    if asked[0] in ("group", "time"):
        raise BadArgumentError(
            f"`group` and `time` name columns of a table or arrays of a .npz. {what!r} is images, "
            "which have none; leave both out."
        )
    kind = "text" if asked[0] in OF_TEXT else "time series"
    raise BadArgumentError(
        f"`{asked[0]}` is for {kind}. Received {asked[0]}={getattr(options, asked[0])!r} for "
        f"{what!r}, which is read as something else; leave it out."
    )


def _existing(source: str | Path) -> Path:
    path = Path(source)
    try:
        path = path.expanduser()
        path.stat()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL inside; a user without a home
        hint = nearest(str(source), NAMES) if len(str(source)) < 40 else ""
        reason = getattr(error, "strerror", None) or "Not a valid path"
        raise MissingPathError(
            f"There is no data at {shown(source)!r} ({reason}).{hint} Give a path, or one of "
            f"{', '.join(NAMES)}."
        ) from error
    return path
