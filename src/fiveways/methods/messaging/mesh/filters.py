"""`workflow_filter` of an inbox: `W`, `!W`, `W*`, `!W*`, `*W*`, `!*W*`, as conditions on its rows (case counts)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Select, Text, bindparam, func

from fiveways.methods.messaging.records import inbox, waiting

_sought: BindParameter[str] = bindparam("b_sought", type_=Text)
_begins = func.substr(inbox.c.workflow, 1, func.length(_sought)) == _sought
_contains = func.replace(inbox.c.workflow, _sought, "") != inbox.c.workflow
_CONDITIONS = {"": inbox.c.workflow == _sought, "begins": _begins, "contains": _contains}
_QUESTIONS: dict[tuple[str, bool, bool], Select[Any]] = {
    (kind, negated, first): waiting(~condition if negated else condition, first=first)
    for kind, condition in _CONDITIONS.items()
    for negated in (False, True)
    for first in (False, True)
}
"""Made once, so that each is compiled once."""


def question(expression: str, *, first: bool = False) -> tuple[Select[Any], dict[str, Any]]:
    """The question for what waits and meets a filter, and the parameters it needs besides. `first`: of that the first only
    (`records.waiting`)."""
    sought = expression.strip()
    negated = sought.startswith("!")
    sought = sought.removeprefix("!")
    kind = ""
    if sought.startswith("*"):
        kind, sought = "contains", sought[1:].removesuffix("*")
    elif sought.endswith("*"):
        kind, sought = "begins", sought[:-1]
    if not sought and kind:  # everything begins with nothing, and contains it
        kind = "begins"
    return _QUESTIONS[kind, negated, first], {"b_sought": sought}
