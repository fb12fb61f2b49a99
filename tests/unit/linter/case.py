"""What a lint rule is tried on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A deployment and the lines (with paths) at which a rule finds something."""

    text: str
    found: tuple[tuple[int, str], ...] = ()
