"""`fiveways trace`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fiveways.cli.options import DataFolder, DeploymentFile, data_folder, deployment_file
from fiveways.cli.printing import wide_console
from fiveways.clock import moment_of
from fiveways.errors import FivewaysError
from fiveways.platform.inspect import trace


def command(
    correlation: Annotated[str, typer.Argument(metavar="ID", help="A correlation, request or job id, or a fault's message id.")],
    deployment: DeploymentFile = Path("deployment.yaml"),
    data: DataFolder = None,
) -> None:
    """Print the timeline of everything that happened under one correlation id, across all methods and nodes."""
    file = deployment_file(deployment)
    events = asyncio.run(trace(file, data_folder(data, file), correlation))
    if not events:
        raise FivewaysError(f"nothing is recorded under {correlation}")
    table = Table("at (UTC)", "what", "who", "outcome", "ms", "message id", box=None, pad_edge=False)
    for event in events:
        at = moment_of(event.at).isoformat(timespec="milliseconds").removesuffix("+00:00")
        what = f"{event.api} {event.name}".strip() if event.kind == "interaction" else event.kind
        who = f"{event.application} ({event.organisation})" if event.organisation else event.application or "-"
        outcome = " ".join(str(part) for part in (event.status or "", event.outcome, event.party) if part)
        if (event.details or {}).get("duplicate"):
            outcome += " (answered from the first)"
        table.add_row(at, what, who, outcome, f"{event.duration_us / 1000:.1f}", event.id)
    wide_console().print(table)
