"""`fiveways mailbox open`: what is still unanswered."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fiveways.cli.printing import wide_console
from fiveways.client.errors import ClientError
from fiveways.client.ledger import Ledger


def command(
    ledger: Annotated[Path, typer.Option("--ledger", metavar="FILE", help="The ledger of open requests.")] = Path("ledger.sqlite"),
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose answer has not come in time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a request.")] = False,
) -> None:
    """List the requests in a ledger that nobody has answered yet, of whatever method; the oldest first."""
    if not ledger.exists():
        raise ClientError(f"there is no ledger at {ledger}")
    with Ledger(ledger) as opened:
        late = opened.overdue()
        found = late if overdue else opened.waiting()
    if as_json:
        for request in found:
            typer.echo(json.dumps(dataclasses.asdict(request), default=lambda moment: moment.isoformat()))
        return
    table = Table(
        "opened (UTC)", "due (UTC)", "state", "method", "to", "workflow", "local id", "message id", box=None, pad_edge=False
    )
    for request in found:
        opened_at, due = (f"{at:%Y-%m-%d %H:%M}" if at else "-" for at in (request.opened_at, request.expected_by))
        state = f"[bold red]{request.state}[/]" if request in late else request.state
        names = (request.local_id, request.message_id or "-")
        table.add_row(opened_at, due, state, request.method, request.party, request.workflow or "-", *names)
    wide_console().print(table if found else "nothing is open")
