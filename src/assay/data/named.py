"""The column that keeps examples together, or puts them in order of time."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.data.names import shown
from assay.data.split import Named, Role
from assay.errors import DataError


def read_named(column: Any, role: Role, *, name: str, where: str) -> Named:
    """Return the column as numbers.

    Args:
        column: A Series or an array: groups of any kind; times as numbers, dates or ISO 8601 text.
        role: "group" or "time".
        name: What the user calls it.
        where: The file, for messages.

    Raises:
        DataError: A value is missing, or is not a time.
    """
    import pandas as pd

    series = pd.Series(column).reset_index(drop=True)
    lost = series.isna().to_numpy()
    if lost.any():
        raise DataError(
            f"`{role}` must be known for every example. In {where} {shown(name)!r} is missing in "
            f"{int(lost.sum()):,} of {len(series):,} rows, first in row "
            f"{int(np.argmax(lost)) + 1}; "
            "fill it in or remove those rows."
        )
    if role == "group":
        return Named(name=name, values=pd.factorize(series)[0].astype(np.int64))
    return Named(name=name, values=_times(series, name=name, where=where))


def _times(series: Any, *, name: str, where: str) -> np.ndarray:
    """Return numbers that grow with time."""
    import pandas as pd

    if series.dtype.kind in "iufb":
        return np.asarray(series.to_numpy(dtype=np.float64))
    if series.dtype.kind not in "mM":
        text = series.astype(str)
        series = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
        wrong = series.isna().to_numpy()
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DataError(
                "`time` must hold numbers or dates of ISO 8601 such as 2024-03-31. In "
                f"{where} row {at + 1} of {shown(name)!r} has {shown(text[at], most=40)!r}; "
                "convert it."
            )
    elif series.dtype.kind == "m":
        return np.asarray(series.to_numpy().astype("timedelta64[us]").astype(np.int64))
    naive = pd.to_datetime(series, utc=True).dt.tz_localize(None)
    return np.asarray(naive.to_numpy().astype("datetime64[us]").astype(np.int64))
