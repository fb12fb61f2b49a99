"""What the values of columns are like, gathered chunk by chunk: nulls, how many are different, least and greatest, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fiveways.methods.bulk.quality.findings import ColumnProfile
from fiveways.methods.bulk.quality.json_lines import RESOURCE
from fiveways.methods.bulk.quality.settings import Column

_KEPT = 1024
"""Hashes of a sketch."""
_SPAN = 2.0**64


class _Distinct:
    """How many different values: from the least 1,024 of their hashes (bottom-k; Bar-Yossef and others, 2002)."""

    def __init__(self) -> None:
        self._least: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Take in values' hashes."""
        if len(self._least) == _KEPT:
            hashes = hashes[hashes < self._least[-1]]
        if len(hashes):
            self._least = np.unique(np.concatenate((self._least, hashes)))[:_KEPT]

    def count(self) -> int:
        """How many there are."""
        if len(self._least) < _KEPT:
            return len(self._least)
        return round((_KEPT - 1) / (float(self._least[-1]) / _SPAN))


class Profiler:
    """Profiles of a file's columns."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self._columns = columns
        self._distinct = {name: _Distinct() for name in columns}
        self._records = dict.fromkeys(columns, 0)
        self._nulls = dict.fromkeys(columns, 0)
        self._ranges: dict[str, tuple[Any, Any]] = {}
        self._lengths: dict[str, tuple[int, int]] = {}

    def add(self, frame: pl.DataFrame, typed: pl.DataFrame) -> None:
        """Take in a chunk's columns, as they came and as what they are."""
        if not frame.height:
            return
        asked: list[pl.Expr] = []
        lengths: list[pl.Expr] = []
        for name, column in self._columns.items():
            values = frame[name]
            records = frame.height if column.resource is None else int((frame[RESOURCE] == column.resource).sum())
            self._records[name] += records
            self._nulls[name] += values.null_count() - (frame.height - records)
            if column.mask not in ("hide", "length") and column.type not in ("text", "nhs_number", "code", "boolean"):
                asked += [pl.col(name).min().alias(f"{name}\0<"), pl.col(name).max().alias(f"{name}\0>")]
            if values.dtype == pl.String and column.type in ("text", "code", "nhs_number"):
                size = pl.col(name).str.len_chars()
                lengths += [size.min().alias(f"{name}\0<"), size.max().alias(f"{name}\0>")]
        hashed = frame.select(pl.col(name).drop_nulls().hash(7).unique().implode() for name in self._columns)
        for name in self._columns:
            self._distinct[name].add(hashed[name].item().to_numpy())
        if asked:
            self._widen(self._ranges, typed.select(asked).row(0, named=True))
        if lengths:
            self._widen(self._lengths, frame.select(lengths).row(0, named=True))

    @staticmethod
    def _widen(kept: dict[str, Any], found: dict[str, Any]) -> None:
        for key, least in found.items():
            if key.endswith("<") and least is not None:
                name = key[:-2]
                greatest = found[f"{name}\0>"]
                before = kept.get(name, (least, greatest))
                kept[name] = (min(before[0], least), max(before[1], greatest))

    def profiles(self) -> dict[str, ColumnProfile]:
        """What has been gathered."""
        made = {}
        for name, column in self._columns.items():
            least, greatest = self._ranges.get(name, (None, None))
            shortest, longest = self._lengths.get(name, (None, None))
            made[name] = ColumnProfile(
                type=column.type,
                records=self._records[name],
                nulls=self._nulls[name],
                distinct=min(self._distinct[name].count(), self._records[name] - self._nulls[name]),
                least=None if least is None else _text(least),
                greatest=None if greatest is None else _text(greatest),
                shortest=shortest,
                longest=longest,
            )
        return made


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
