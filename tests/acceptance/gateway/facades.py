"""Middleware façades that `test_middleware.py` serves: copied beside its deployment."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any


class Slots:
    """An old booking system that wants a slot held before it is booked: two calls, and a number to remember in between."""

    def __init__(self, place: Any) -> None:
        self.place = place
        self.booked: Counter[str] = Counter()

    async def open(self) -> None:
        """Note it in a file, as a pool or a subscription would be opened."""
        if self.place.options.get("broken"):
            raise ConnectionError("no such system")
        self._note("open")

    async def __call__(self, interaction: Any, back_end: Any) -> Any:
        """Hold, then book under the number that holding gave."""
        if interaction.method == "GET":
            return await back_end(interaction)
        wanted = interaction.below
        interaction.below = wanted.replace(b"/book", b"/hold")
        held = await back_end(interaction)
        number = dict(held.headers)[b"x-hold"]
        await held.aclose()
        self.booked[interaction.consumer.application] += 1
        interaction.below = wanted + b"/" + number + b"/%d" % self.booked[interaction.consumer.application]
        return await back_end(interaction)

    async def close(self) -> None:
        """Note that too."""
        await asyncio.sleep(0)
        self._note("close")

    def _note(self, what: str) -> None:
        with Path(self.place.options["notes"]).open("a") as file:
            file.write(f"{self.place.name} {what} {self.place.options.get('version', 1)}\n")
