"""What several commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fiveways.clock import moment_of

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Shown = dict[str, Any]

console = Console(highlight=False, soft_wrap=True)


def wide_console() -> Console:
    """A console for tables that are read by people and by programs alike: no cell is ever cut to the width of a window."""
    return Console(width=400, highlight=False, soft_wrap=True)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their headings."""
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    wide_console().print(table, markup=False)


def print_json(content: Any) -> None:
    """Anything, as JSON."""
    typer.echo(json.dumps(content, indent=2))


def print_found(found: Sequence[Shown], as_json: bool, nothing: str, columns: Sequence[str] = ()) -> None:
    """What was looked for, a row for each: all of it, or these columns. Where nothing was found, people are told so."""
    if as_json:
        print_json(found)
    elif not found:
        console.print(nothing)
    else:
        print_table(columns or list(found[0]), [[str(each[column]) for column in columns or each] for each in found])


def print_life(said: Shown, events: Sequence[Any], as_json: bool) -> None:
    """What is said of a thing, a line for each, and everything that has happened to it."""
    life = [
        {"at": moment(each.at), "happening": each.happening, "state": each.state, "by": each.by, "reason": each.reason}
        for each in events
    ]
    if as_json:
        print_json({**said, "events": life})
        return
    for name, value in said.items():
        for number, each in enumerate((value or ["-"]) if isinstance(value, list) else [value]):
            console.print(f"{'' if number else name:13}{'-' if each in ('', None) else each}", markup=False)
    print_table(list(life[0]), [list(each.values()) for each in life])


def moment(at: int) -> str:
    """A moment, in microseconds since the Unix epoch, for people."""
    return f"{moment_of(at):%Y-%m-%d %H:%M:%S} UTC"
