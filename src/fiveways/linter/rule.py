"""What a lint rule is: an anti-pattern, the practice that is better, and a function that finds the one in a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fiveways.deployment.document import Loc
from fiveways.linter.estate import Estate
from fiveways.linter.observed import Observed
from fiveways.platform.model import Deployment

Severity = Literal["error", "warning", "note"]
Found = Iterator[tuple[Loc, str] | tuple[Loc, str, Severity]]
"""Where in the file, and what is wrong there; how grave it is, where that is not what the rule says."""


FoundAcross = Iterator[tuple[int, Loc, str] | tuple[int, Loc, str, Severity]]
"""The same, in one of several files, by its number."""


@dataclass(slots=True, frozen=True)
class Rule:
    """A rule. `statements` are the ids of the book's statements that it rests on."""

    id: str
    severity: Severity
    anti_pattern: str
    best_practice: str
    statements: tuple[str, ...]
    find: Callable[[Deployment], Found] | None = None
    find_in_code: Callable[[Deployment, Path], Found] | None = None
    """For what only the Python that the file names can show; it is given the file's folder."""

    observe: Callable[[Deployment, Observed], Found] | None = None
    """For what only the running platform can show."""
    find_across: Callable[[Estate], FoundAcross] | None = None
    """For what only several deployments can show, together."""

    def found(self, deployment: Deployment, base: Path, observed: Observed | None = None) -> Found:
        """What the rule finds in a deployment whose file is in `base`, and in what was observed of it where anything was."""
        if self.find is not None:
            yield from self.find(deployment)
        if self.find_in_code is not None:
            yield from self.find_in_code(deployment, base)
        if self.observe is not None and observed is not None:
            yield from self.observe(deployment, observed)
