"""A middleware façade: the one place for logic and state that an old back end needs in front of it (S67)."""

from __future__ import annotations

from fiveways.methods.synchronous.middleware import Place
from fiveways.types import Handler, Interaction, Outcome


class OldSystem:
    """Counts what passes, to begin with: put what your back end needs in the place of that."""

    def __init__(self, place: Place) -> None:
        self.passed = 0

    async def open(self) -> None:
        """Open what is needed for all requests."""

    async def __call__(self, interaction: Interaction, back_end: Handler) -> Outcome:
        """One request."""
        self.passed += 1
        return await back_end(interaction)

    async def close(self) -> None:
        """Close it again."""
