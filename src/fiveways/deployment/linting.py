"""What a programme says to `fiveways check`: how grave it holds what, and what it puts up with for now, and why."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from fiveways.deployment.settings import Settings

RuleId = Annotated[str, Field(pattern=r"^[A-Z]{2}\d\d$", examples=["SY04"])]
"""A lint rule: SY04."""


class Suppression(Settings):
    """A finding that is put up with, for a reason and until a day."""

    rule: RuleId
    """The rule that is broken."""
    at: str = Field(min_length=1, examples=["apis.patients"])
    """Where: the path that the finding has, or the beginning of it."""
    reason: str = Field(min_length=1)
    """Why that is right, or cannot be otherwise for now."""
    until: date
    """The last day on which it is put up with."""


class Linting(Settings):
    """What `fiveways check` is told."""

    severities: dict[RuleId, Literal["error", "warning", "note"]] = Field(default_factory=dict)
    """How grave this programme holds the breaking of a rule, where that is not what the rule says."""
    suppress: tuple[Suppression, ...] = ()
    """What is put up with."""
