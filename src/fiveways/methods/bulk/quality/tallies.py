"""How often rules were broken, and where in the file: stretches of it that grow as more of it is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiveways.methods.bulk.quality.findings import BadRecord, Tally

STRETCHES = 128
"""Most stretches of a file; at least half as many of one of that many records."""
_FIRST = 10


class _Count:
    def __init__(self) -> None:
        self.records = 0
        self.first: list[int] = []
        self.places: NDArray[np.int64] = np.zeros(STRETCHES, np.int64)


class Tallies:
    """Counts of what is broken, by rule and column."""

    def __init__(self) -> None:
        self.stretch = 1
        self._whole = _Count()
        self._counts: dict[tuple[str, str | None], _Count] = {}

    def add(self, bad: list[BadRecord], records: int) -> None:
        """Take in bad records, of so many that have been looked at so far."""
        while records > self.stretch * STRETCHES:
            self.stretch *= 2
            for count in (self._whole, *self._counts.values()):
                folded = count.places.reshape(-1, 2).sum(axis=1)
                count.places = np.concatenate((folded, np.zeros_like(folded)))
        found: dict[tuple[str, str | None], list[int]] = {}
        for record in bad:
            for key in {(each.rule, each.column): None for each in record.breaches}:
                found.setdefault(key, []).append(record.number)
        for key, numbers in found.items():
            self._count(self._counts.setdefault(key, _Count()), numbers)
        self._count(self._whole, [each.number for each in bad])

    def _count(self, count: _Count, numbers: list[int]) -> None:
        count.records += len(numbers)
        count.first += numbers[: max(0, _FIRST - len(count.first))]
        count.places += np.bincount((np.array(numbers, np.int64) - 1) // self.stretch, minlength=STRETCHES)

    def places(self, records: int) -> tuple[int, ...]:
        """How many bad records each stretch has, of so many records."""
        return self._shown(self._whole, records)

    def tallies(self, records: int) -> tuple[Tally, ...]:
        """What was counted, most often first."""
        made = [
            Tally(rule, column, count.records, tuple(count.first), self._shown(count, records))
            for (rule, column), count in self._counts.items()
        ]
        return tuple(sorted(made, key=lambda each: (-each.records, each.rule, each.column or "")))

    def _shown(self, count: _Count, records: int) -> tuple[int, ...]:
        return tuple(count.places[: -(-records // self.stretch)].tolist())
