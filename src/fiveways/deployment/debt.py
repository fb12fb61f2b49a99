"""Technical debt with a way out: who owns it, why it is there, what replaces it, and by when (S62, S63, S70, S71)."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from fiveways.deployment.settings import Settings


class Debt(Settings):
    """A debt record, required where a façade hides something old."""

    owner: str = Field(min_length=1)
    """Who pays it off."""
    reason: str = Field(min_length=1)
    """Why it is there."""
    target: str = Field(min_length=1)
    """The pattern that replaces it."""
    retire_by: date
    """The day by which it is gone."""
