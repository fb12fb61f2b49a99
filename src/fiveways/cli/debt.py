"""`fiveways debt`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fiveways.cli.options import DeploymentFile, deployment_file
from fiveways.cli.printing import print_json, print_table
from fiveways.platform.model import Deployment, load

console = Console(highlight=False, soft_wrap=True)
_SHOWN = ("api", "pattern", "owner", "reason", "target", "retire_by")


def command(
    deployment: DeploymentFile = Path("deployment.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    due: Annotated[int | None, typer.Option("--due", metavar="DAYS", help="Only what is due within so many days, or past.")] = None,
) -> None:
    """Print the estate's debt register: what each façade hides, who pays it off, what replaces it, and by when.

    What is due first stands first. Exit code 1 where something is past its day.
    """
    today = datetime.now(UTC).date()
    register = [each for each in _register(load(deployment_file(deployment))[0], today) if due is None or each["days_left"] <= due]
    if as_json:
        print_json(register)
    elif register:
        rows = [[*(each[key] for key in _SHOWN), _left(each["days_left"])] for each in register]
        print_table(("API", "pattern", "owner", "reason", "replaced by", "retire by", "left"), rows)
    else:
        console.print("no debt is recorded" if due is None else f"nothing is due within {due} days")
    if any(each["days_left"] < 0 for each in register):
        raise typer.Exit(1)


def _register(deployment: Deployment, today: date) -> list[dict[str, Any]]:
    found = [(name, api, api.debt) for name, api in deployment.apis.items() if api.debt is not None]
    return [
        {
            "api": name,
            "pattern": api.pattern,
            "owner": debt.owner,
            "reason": debt.reason,
            "target": debt.target,
            "retire_by": debt.retire_by.isoformat(),
            "days_left": (debt.retire_by - today).days,
        }
        for name, api, debt in sorted(found, key=lambda each: each[2].retire_by)
    ]


def _left(days: int) -> str:
    return f"{days} days" if days >= 0 else f"{-days} days PAST"
