"""The time series that have a name: sunspots, co2 and elnino, as statsmodels ships them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from assay.data.prepare import Options, Raw, Source
from assay.data.series import forecast_frame
from assay.errors import BadArgumentError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class _Known:
    """One of them.

    Attributes:
        en: What it is, and whose.
        zh: The same in Chinese.
        time: Its time column.
        target: Its values.
        wide: Whether the file has a column for each month.
    """

    en: str
    zh: str
    time: str
    target: str
    wide: bool = False


_KNOWN: Mapping[str, _Known] = {
    "sunspots": _Known(
        en="Mean sunspot number of each year, 1700 to 2008 (National Geophysical Data Center, "
        "public domain)",
        zh="1700 至 2008 年每年的平均太阳黑子数（美国国家地球物理数据中心，公有领域）",
        time="YEAR",
        target="SUNACTIVITY",
    ),
    "co2": _Known(
        en="CO2 in the air above Mauna Loa each week, 1958 to 2001, in parts per million (Keeling "
        "and Whorf, 2004, public domain)",
        zh="1958 至 2001 年莫纳罗亚山上空每周的二氧化碳浓度，单位 ppm"
        "（Keeling 与 Whorf，2004，公有领域）",
        time="date",
        target="co2",
    ),
    "elnino": _Known(
        en="Temperature of the Pacific's surface each month, 1950 to 2010, in degrees Celsius "
        "(NOAA, public domain)",
        zh="1950 至 2010 年每月的太平洋海面温度，单位摄氏度（NOAA，公有领域）",
        time="date",
        target="temperature",
        wide=True,
    ),
}
SERIES_NAMES = tuple(_KNOWN)


def builtin_series(name: str, options: Options) -> Source:
    """Return the time series of that name, of `SERIES_NAMES`.

    Args:
        name: Which one.
        options: `window` and `horizon` may be chosen.

    Raises:
        BadArgumentError: A column or a task was named.
        MissingExtraError: statsmodels, which ships it, is not installed.
    """
    asked = {"target": options.target, "time": options.time, "series": options.series}
    given = {k: v for k, v in {**asked, "group": options.group}.items() if v is not None}
    if given or options.task not in (None, "forecasting"):
        what = next(iter(given.items()), ("task", options.task))
        raise BadArgumentError(
            f"{name!r} is a series to forecast, with columns of its own. Received "
            f"{what[0]}={what[1]!r}; leave it out."
        )
    file = _file(name)
    return Source(
        name=name, where="built in", files=(file,), read=lambda home: _read(file, options, home)
    )


def _file(name: str) -> Path:
    """Return the table inside statsmodels, found without importing statsmodels."""
    spec = find_spec("statsmodels")
    home = Path(spec.origin).parent if spec and spec.origin else None
    if home is None or not (home / f"datasets/{name}/{name}.csv").is_file():
        raise MissingExtraError(
            f"{name} comes with statsmodels, which is not installed: pip install 'assay[series]'."
        )
    return home / f"datasets/{name}/{name}.csv"


def _read(file: Path, options: Options, home: Path) -> Raw:
    import pandas as pd

    known = _KNOWN[file.stem]
    frame = pd.read_csv(file)
    if known.wide:
        frame = _by_month(frame, known)
    elif known.time == "date":
        frame = frame.assign(date=pd.to_datetime(frame["date"].astype(str), format="%Y%m%d"))
    raw = forecast_frame(
        frame,
        replace(options, time=known.time, target=known.target, skip_bad=True),
        home,
        name=file.stem,
        where="built in",
        content=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    return replace(raw, notes=({"en": f"{known.en}.", "zh": f"{known.zh}。"}, *raw.notes))


def _by_month(frame: pd.DataFrame, known: _Known) -> pd.DataFrame:
    """Return a table of a row for each year and a column for each month as a long one."""
    import pandas as pd

    values = frame.iloc[:, 1:].to_numpy().ravel()
    first = int(frame.iloc[:, 0].to_numpy()[0])
    months = pd.date_range(f"{first}-01-01", periods=len(values), freq="MS")
    return pd.DataFrame({known.time: months, known.target: values})
