"""What `fiveways mailbox` and `fiveways workflow` have in common: entries of the directory, asked for, changed and shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from fiveways.cli.options import data_folder, deployment_file, wide_console
from fiveways.clock import moment_of
from fiveways.methods.messaging.administration import Actor, Administration, Kind
from fiveways.platform.register import register

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Result = TypeVar("Result")
Shown = dict[str, Any]

_PAGE = 1000
console = Console(highlight=False, soft_wrap=True)


def administer(
    deployment: Path, data: Path | None, node: str, work: Callable[[Administration, Actor], Awaitable[Result]]
) -> Result:
    """Do some work on a deployment's directory, beside the running platform."""
    file = deployment_file(deployment)

    async def administered() -> Result:
        async with register(file, data_folder(data, file), node) as (administration, actor):
            return await work(administration, actor)

    return asyncio.run(administered())


async def everything(administration: Administration, kind: Kind, organisation: str = "") -> list[Shown]:
    """All entries of a kind, in order of id."""
    found: list[Shown] = []
    more = True
    while more:
        after = found[-1]["id"] if found else ""
        page, more = await administration.page(kind, after=after, limit=_PAGE, organisation=organisation)
        found += page
    return found


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their headings."""
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    wide_console().print(table, markup=False)


def print_entry(shown: Shown) -> None:
    """One entry, a line for each thing that is known of it."""
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        console.print(f"{name.replace('_', ' '):{width}}{_text(name, value)}", markup=False)


def print_json(content: Any) -> None:
    """Anything, as JSON."""
    typer.echo(json.dumps(content, indent=2))


def moment(at: int) -> str:
    """A moment, in microseconds since the Unix epoch, for people."""
    return f"{moment_of(at):%Y-%m-%d %H:%M:%S} UTC"


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
