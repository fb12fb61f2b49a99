"""Keys that were seen before, for as many records as there are, in little memory.

A key is known by 88 bits of hashes: among a thousand million keys two different ones are taken for one with a probability of
1 in 600 million, and otherwise what is said is exact. The last million keys are in memory; older ones in a file in the scratch
folder, in sorted runs of a million. In memory a run leaves 2 MiB: a Bloom filter, and every 256th hash; so a run is read, 4 KiB at
once, for what probably is in it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

RUN = 2**20
"""Keys of a run."""
_FENCE = 256
_SLICE = 2**15
_WORDS = RUN // 4
"""Words of a run's filter: 16 bits a key."""
_ROW_BITS = np.uint64(40)
_ROWS = np.uint64(2**40 - 1)


class _Filter:
    """A Bloom filter whose bits of one key are all in one word."""

    def __init__(self) -> None:
        self._words = np.zeros(_WORDS, np.uint64)

    def add(self, second: Hashes) -> None:
        """Take in keys, by their second hash."""
        np.bitwise_or.at(self._words, self._word(second), self._bits(second))

    def has(self, second: Hashes) -> NDArray[np.bool_]:
        """Which keys are probably in it; of those that are not, some 0.4%."""
        bits = self._bits(second)
        return np.asarray((self._words[self._word(second)] & bits) == bits, np.bool_)

    @staticmethod
    def _word(second: Hashes) -> NDArray[np.int64]:
        return (second & np.uint64(_WORDS - 1)).astype(np.int64)

    @staticmethod
    def _bits(second: Hashes) -> Hashes:
        one, six = np.uint64(1), np.uint64(63)
        bits = one << ((second >> np.uint64(20)) & six)
        for shift in (26, 32, 38, 44):
            bits |= one << ((second >> np.uint64(shift)) & six)
        return bits


def _heads(*hashes: Hashes) -> NDArray[np.int64]:
    """Of sorted keys, for each the place of the first that is the same."""
    new = np.ones(len(hashes[0]), np.bool_)
    new[1:] = False
    for each in hashes:
        new[1:] |= each[1:] != each[:-1]
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


class Seen:
    """Keys and the records that they were first seen in."""

    def __init__(self, scratch: Path | None = None, run: int = RUN) -> None:
        self._scratch = scratch
        self._run = run
        self._file: int | None = None
        self._runs: list[tuple[_Filter, Hashes, int, int]] = []
        """Filter, every 256th hash, the first entry's place in the file, entries."""
        self._recent: list[NDArray[np.uint64]] = []
        """Entries in memory, two words each, sorted by the first: hash; 24 bits of the other hash and the record's number."""
        self._filter = _Filter()
        self._kept = 0
        self._written = 0

    def close(self) -> None:
        """Give up the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, first: Hashes, second: Hashes, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take in keys by their two hashes, and the records' numbers. Of each, the record that it was first seen in: its own number
        where it is new."""
        found = numbers.copy()
        if not len(first):
            return found
        order = np.argsort(first, kind="stable")
        head = _heads(first[order])
        other = second & ~_ROWS
        if np.any(other[order] != other[order][head]):  # two keys with one first hash
            order = np.lexsort((other, first))
            head = _heads(first[order], other[order])
        entries = np.empty((len(first), 2), np.uint64)
        entries[:, 0] = first[order]
        entries[:, 1] = other[order] | numbers[order].astype(np.uint64)
        fresh = head == np.arange(len(head))
        found[order] = numbers[order][head]
        self._look_up(entries, second[order], fresh, found, order)
        found[order] = found[order][head]
        new = entries[fresh]
        self._filter.add(second[order][fresh])
        self._recent.append(new)
        self._kept += len(new)
        if self._kept >= self._run:
            self._spill()
        return found

    def _look_up(
        self,
        entries: Hashes,
        second: Hashes,
        fresh: NDArray[np.bool_],
        found: NDArray[np.int64],
        order: NDArray[np.int64],
    ) -> None:
        """Take what was seen in earlier ones out of `fresh`, and say in `found` where."""
        probable = np.flatnonzero(self._filter.has(second))
        if len(probable):
            for recent in self._recent:
                self._match(entries, probable, recent, fresh, found, order)
        for filter_, fences, begin, size in self._runs:
            probable = np.flatnonzero(filter_.has(second))
            if not len(probable):
                continue
            wanted = entries[probable, 0]
            low = np.maximum(np.searchsorted(fences, wanted, "left") - 1, 0)
            high = np.maximum(np.searchsorted(fences, wanted, "right"), 1)
            blocks = np.unique(np.concatenate((low, high - 1)))
            if np.max(high - low) > 2:  # many keys of one first hash
                blocks = np.unique(np.concatenate([np.arange(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]))
            for block in blocks.tolist():
                entry = min(size, (block + 1) * _FENCE) - block * _FENCE
                assert self._file is not None
                data = os.pread(self._file, entry * 16, (begin + block * _FENCE) * 16)
                kept = np.frombuffer(data, np.uint64).reshape(-1, 2)
                here = probable[(low <= block) & (block < high)]
                self._match(entries, here, kept, fresh, found, order)

    @staticmethod
    def _match(
        entries: Hashes,
        probable: NDArray[np.int64],
        kept: Hashes,
        fresh: NDArray[np.bool_],
        found: NDArray[np.int64],
        order: NDArray[np.int64],
    ) -> None:
        wanted = entries[probable, 0]
        at = np.searchsorted(kept[:, 0], wanted, "left")
        if not len(kept):
            return
        for hit in np.flatnonzero(kept[np.minimum(at, len(kept) - 1), 0] == wanted).tolist():
            index, place = int(probable[hit]), int(at[hit])
            while place < len(kept) and kept[place, 0] == wanted[hit]:
                if (kept[place, 1] ^ entries[index, 1]) <= _ROWS:
                    fresh[index] = False
                    found[order[index]] = int(kept[place, 1] & _ROWS)
                    break
                place += 1

    def _spill(self) -> None:
        """Write what is in memory as a run."""
        run = np.concatenate(self._recent)
        self._recent = []
        order = np.argsort(run[:, 0], kind="stable")
        if self._file is None:
            descriptor, path = tempfile.mkstemp(dir=self._scratch, prefix="keys-")
            Path(path).unlink()
            self._file = descriptor
        place = self._written * 16
        for start in range(0, len(run), _SLICE):
            view = run[order[start : start + _SLICE]].data.cast("B")
            while view:
                sent = os.pwrite(self._file, view, place)
                view, place = view[sent:], place + sent
        self._runs.append((self._filter, run[order[::_FENCE], 0], self._written, len(run)))
        self._written += len(run)
        self._filter, self._kept = _Filter(), 0
