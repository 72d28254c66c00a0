"""The index of a checkpoint in several files (shards): which tensor is in which of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.errors import DataError, MissingPathError

INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"[^/\\\0]+\.safetensors")


def is_index(file: Path) -> bool:
    """Whether a file is an index, by its name."""
    return file.name.endswith(".safetensors.index.json")


def names_by_shard(index: Path) -> dict[str, set[str]]:
    """Return the tensors that each shard is to hold.

    Raises:
        DataError: It is damaged, or names a file that is not beside it.
    """
    try:
        by_name = dict(json.loads(index.read_bytes())["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise _no_index(index) from error
    if not by_name:
        raise _no_index(index)
    return _turned(index, by_name)


def shards_of(index: Path) -> list[Path]:
    """Return the files that an index names, all of which are there.

    Raises:
        DataError: The index is damaged, or names a file that is not beside it.
        MissingPathError: One is missing.
    """
    shards = [index.with_name(name) for name in names_by_shard(index)]
    for shard in shards:
        if not shard.is_file():
            raise MissingPathError(
                f"All shards of weights must be beside their index. {str(index)!r} names "
                f"{shard.name!r}, and there is no such file; download it too."
            )
    return shards


def _turned(index: Path, by_name: Mapping[str, Any]) -> dict[str, set[str]]:
    by_shard: dict[str, set[str]] = {}
    for name, shard in by_name.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise DataError(
                f"The shards of weights are safetensors files beside their index. {str(index)!r} "
                f"has {name!r} in {shard!r}; get the index again, from where you trust it."
            )
        by_shard.setdefault(shard, set()).add(name)
    return by_shard


def _no_index(index: Path) -> DataError:
    return DataError(
        "An index of weights is JSON whose `weight_map` names the shard of each tensor. "
        f"{str(index)!r} is none; download it again."
    )
