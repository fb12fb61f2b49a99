"""What a lint rule is: an anti-pattern, the practice that is better, and a function that finds the one in a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from fiveways.deployment.document import Loc
from fiveways.platform.model import Deployment

Severity = Literal["error", "warning", "note"]
Found = Iterator[tuple[Loc, str] | tuple[Loc, str, Severity]]
"""Where in the file, and what is wrong there; how grave it is, where that is not what the rule says."""


@dataclass(slots=True, frozen=True)
class Rule:
    """A rule. `statements` are the ids of the book's statements that it rests on."""

    id: str
    severity: Severity
    anti_pattern: str
    best_practice: str
    statements: tuple[str, ...]
    find: Callable[[Deployment], Found]
