"""`fiveways transform`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from fiveways.cli.entries import AsJson, print_json
from fiveways.errors import FivewaysError
from fiveways.hl7v2 import batch, charsets
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import Transformed, to_fhir
from fiveways.methods.synchronous.transformation.v2.segment import Coverage
from fiveways.methods.synchronous.transformation.v2.table import Context

console = Console(highlight=False)


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HL7 v2: a message, several, or a batch; - for standard input.")],
    zone: Annotated[
        str, typer.Option("--zone", metavar="NAME", help="The sender's time zone, for times that say none.")
    ] = "Europe/London",
    charset: Annotated[
        str, typer.Option("--charset", metavar="NAME", help="The sender's character set, where MSH-18 names none: 8859/1.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a message is in FHIR, beside it, and what became of each of its fields.

    Fields that no table reads are listed, and so are those that could not be said, with why: nothing is lost without being told of.
    """
    try:
        context = Context(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FivewaysError(f"no time zone {zone!r}: expected a name such as Europe/London") from error
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    text, _ = charsets.decode(content, charset)
    for message in batch.parse(text).messages:
        done = to_fhir(message, context)
        if as_json:
            print_json({"bundle": done.bundle, "coverage": _counted(done.coverage)})
        else:
            _show(message, done)


def _show(message: Message, done: Transformed) -> None:
    beside = Table(f"{message.code}^{message.event} {message.control_id}", "FHIR R4", box=None, pad_edge=False, expand=True)
    segments = Text("\n".join(segment.text for segment in message.segments), overflow="fold")
    beside.add_row(segments, JSON.from_data(done.bundle))
    console.print(beside)
    coverage = done.coverage
    console.print(f"\n{coverage.mapped} values mapped, {len(coverage.unmapped)} not, {len(coverage.wrong)} wrong", style="bold")
    if coverage.unmapped:
        console.print(f"not mapped: {', '.join(coverage.unmapped)}", markup=False)
    for path, why in coverage.wrong:
        console.print(f"wrong: {path}: {why}", markup=False)


def _counted(coverage: Coverage) -> dict[str, object]:
    wrong = [{"path": path, "reason": why} for path, why in coverage.wrong]
    return {"mapped": coverage.mapped, "unmapped": coverage.unmapped, "wrong": wrong}
