"""How much partners keep, for their quotas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fiveways.methods.bulk import file_records as records
from fiveways.store.group import GroupWriter

FRESH: Final = 5.0
"""Seconds for which what a partner keeps is known without being counted again."""


class Usage:
    """How much partners keep, counted now and then."""

    def __init__(self, group: GroupWriter, now: Callable[[], float]) -> None:
        self._group = group
        self._now = now
        self._known: dict[str, tuple[float, int, int]] = {}

    async def of(self, partner: str, *, again: bool = False) -> tuple[int, int]:
        """Bytes and names; `again`: counted just now. Raises StoreError."""
        known = self._known.get(partner)
        if again or known is None or self._now() - known[0] > FRESH:
            rows = (await self._group.submit(records.find_usage, {"b_partner": partner}, synced=False)).rows
            known = self._known[partner] = (self._now(), int(rows[0][0]), int(rows[0][1]))
        return known[1], known[2]

    def add(self, partner: str, size: int) -> None:
        """A name more."""
        if partner in self._known:
            at, used, number = self._known[partner]
            self._known[partner] = (at, used + size, number + 1)
