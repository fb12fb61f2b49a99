"""What `fiveways mailbox` and `fiveways workflow` have in common: entries of the directory, asked for, changed and shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from fiveways.cli.options import at
from fiveways.cli.printing import Shown, console, moment
from fiveways.methods.messaging.administration import Actor, Administration, Kind
from fiveways.platform.register import register

Result = TypeVar("Result")

_PAGE = 1000


def administer(
    deployment: Path, data: Path | None, node: str, work: Callable[[Administration, Actor], Awaitable[Result]]
) -> Result:
    """Do some work on a deployment's directory, beside the running platform."""
    return at(register, deployment, data, node, lambda opened: work(*opened))


async def everything(administration: Administration, kind: Kind, organisation: str = "") -> list[Shown]:
    """All entries of a kind, in order of id."""
    found: list[Shown] = []
    more = True
    while more:
        after = found[-1]["id"] if found else ""
        page, more = await administration.page(kind, after=after, limit=_PAGE, organisation=organisation)
        found += page
    return found


def print_entry(shown: Shown) -> None:
    """One entry, a line for each thing that is known of it."""
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        console.print(f"{name.replace('_', ' '):{width}}{_text(name, value)}", markup=False)


def _text(name: str, value: Any) -> str:
    if name == "changed_at":
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(one_line, value)) or "-"
    if isinstance(value, dict):
        return one_line(value)
    return str(value) or "-"


def one_line(value: Any) -> str:
    """A member of a list: a certificate as `subject=CN=ward`, a mailbox by its id."""
    return ", ".join(f"{name}={_text(name, each)}" for name, each in value.items()) if isinstance(value, dict) else str(value)
