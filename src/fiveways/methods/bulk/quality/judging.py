"""Judging a chunk: which of its records are bad, and every rule that each of them broke."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fiveways.methods.bulk.quality.chunks import Chunk
from fiveways.methods.bulk.quality.findings import HIDDEN, BadRecord, Breach, FileFault, Unreadable, shown
from fiveways.methods.bulk.quality.json_lines import RESOURCE
from fiveways.methods.bulk.quality.nhs_numbers import wrong_digit
from fiveways.methods.bulk.quality.rules import TYPED, Call, Check, Rules
from fiveways.methods.bulk.quality.settings import Key, QualitySettings
from fiveways.methods.bulk.quality.unique import Hashes, Seen

_SEPARATOR = "\x1f"
_SEEDS = (secrets.randbits(63), secrets.randbits(63))
"""Of this process, so that nobody can make keys whose hashes are the same."""
_LONGEST_NOTE = 200

Found = dict[int, list[Breach]]
"""Breaches, by the row of the frame."""


class Judge:
    """Judges a file's records, chunk by chunk, in order."""

    def __init__(self, settings: QualitySettings, rules: Rules, scratch: Path | None = None) -> None:
        self._settings = settings
        self._rules = rules
        self._seen = {key: Seen(scratch) for key in settings.unique}

    def close(self) -> None:
        """Give up the scratch files."""
        for seen in self._seen.values():
            seen.close()

    def judge(self, chunk: Chunk) -> tuple[dict[int, tuple[Breach, ...]], pl.DataFrame]:
        """What is wrong with a chunk's bad records, by their place in it; and the chunk's columns as what they are."""
        found: Found = {}
        frame, typed = chunk.frame, pl.DataFrame()
        if frame.height:
            ruled = self._rules.compiled(frame.schema)
            both = frame.lazy().with_columns(ruled.typed)
            flags = [check.broken.fill_null(value=False).alias(str(place)) for place, check in enumerate(ruled.checks)]
            whole = both.with_columns(flags).collect()
            for place, check in enumerate(ruled.checks):
                self._flagged(found, frame, check, whole[str(place)].arg_true().to_list())
            for name in ruled.numbers:
                digit = Check("check-digit", name, pl.lit(value=False), "Its check digit is wrong")
                self._flagged(found, frame, digit, np.flatnonzero(wrong_digit(frame[name])).tolist())
            for name, rows in chunk.mistyped.items():
                note = "A value of another type than the column's"
                for row in rows:
                    self._mistyped(found, row, name, note)
            typed = whole.select(pl.col(name + TYPED).alias(name) for name in self._rules.columns)
            for call in ruled.calls:
                self._called(found, typed, call)
            numbers = chunk.rows + chunk.first
            for key, seen in self._seen.items():
                self._repeated(found, frame, key, seen, numbers)
        bad = {int(chunk.rows[row]): tuple(breaches) for row, breaches in found.items()}
        bad.update({index: (breach,) for index, breach in chunk.malformed.items()})
        return dict(sorted(bad.items())), typed

    def _flagged(self, found: Found, frame: pl.DataFrame, check: Check, rows: list[int]) -> None:
        if not rows:
            return
        if check.column is None:
            breach = Breach(check.rule, None, None, check.note)
            for row in rows:
                found.setdefault(row, []).append(breach)
            return
        show = self._mask(check.column, check.untyped)
        values = frame[check.column].gather(rows).to_list()
        for row, value in zip(rows, values, strict=True):
            said = None if value is None else show(value)
            found.setdefault(row, []).append(Breach(check.rule, check.column, said, check.note))

    @staticmethod
    def _mistyped(found: Found, row: int, name: str, note: str) -> None:
        """A value that is there but could not be taken is not also missing."""
        breaches = found.setdefault(row, [])
        breaches[:] = [each for each in breaches if (each.rule, each.column) != ("required", name)]
        breaches.append(Breach("type", name, HIDDEN, note))

    def _mask(self, name: str, untyped: bool) -> Callable[[object], str]:
        column = self._rules.columns[name]
        mask = column.mask or ("hide" if column.type in ("text", "nhs_number") else "length" if untyped else "show")
        if mask == "hide":
            return lambda value: HIDDEN
        return lambda value: shown(value, mask == "length")

    def _called(self, found: Found, typed: pl.DataFrame, call: Call) -> None:
        """A function of the feed's own. What it raises is not shown: it may hold a value."""
        if call.of == "row":
            for row, values in enumerate(typed.iter_rows(named=True)):
                try:
                    said = call.function(values)
                except Exception as error:
                    said = f"The check failed: {type(error).__name__}"
                if said is not None and said is not True:
                    note = said[:_LONGEST_NOTE] if isinstance(said, str) else ""
                    found.setdefault(row, []).append(Breach(call.rule, None, None, note))
            return
        try:
            kept = np.asarray(pl.Series(call.function(typed)).fill_null(value=True).cast(pl.Boolean).to_numpy())
        except Exception as error:
            raise Unreadable(FileFault("check", f"The check {call.rule} failed: {type(error).__name__}")) from None
        if len(kept) != typed.height:
            raise Unreadable(FileFault("check", f"The check {call.rule} did not say one thing for each record"))
        for row in np.flatnonzero(~kept).tolist():
            found.setdefault(row, []).append(Breach(call.rule))

    def _repeated(self, found: Found, frame: pl.DataFrame, key: Key, seen: Seen, numbers: NDArray[np.int64]) -> None:
        rows, first, second = key_hashes(frame, key)
        before = seen.add(first, second, numbers[rows])
        name = " + ".join(key)
        for at in np.flatnonzero(before != numbers[rows]).tolist():
            note = f"The same as of record {before[at]}"
            found.setdefault(int(rows[at]), []).append(Breach("unique", name, None, note))


def key_hashes(frame: pl.DataFrame, key: Key) -> tuple[NDArray[np.int64], Hashes, Hashes]:
    """Of the rows in which every part of a key has a value: which they are, and two hashes of the key."""
    parts: list[Any] = [pl.col(name).cast(pl.String) for name in key]
    if RESOURCE in frame.columns:
        parts.append(pl.col(RESOURCE))
    whole = parts[0] if len(parts) == 1 else pl.concat_str(_measured(parts), separator=_SEPARATOR)
    keys = frame.select(whole.alias("key"))["key"]
    if not keys.null_count():
        return np.arange(len(keys)), keys.hash(_SEEDS[0]).to_numpy(), keys.hash(_SEEDS[1]).to_numpy()
    present = keys.is_not_null()
    keys = keys.filter(present)
    return np.flatnonzero(present.to_numpy()), keys.hash(_SEEDS[0]).to_numpy(), keys.hash(_SEEDS[1]).to_numpy()


def _measured(parts: list[Any]) -> list[Any]:
    """The parts, each but the last with its length before it, so that no two keys are written alike."""
    return [each for part in parts[:-1] for each in (part.str.len_bytes().cast(pl.String), part)] + [parts[-1]]


def bad_records(chunk: Chunk, bad: dict[int, tuple[Breach, ...]]) -> list[BadRecord]:
    """A chunk's bad records as they are set aside."""
    made = []
    for index, breaches in bad.items():
        raw, cut = chunk.raw(index)
        made.append(BadRecord(chunk.first + index, chunk.line(index), chunk.offset(index), raw, breaches, cut))
    return made
