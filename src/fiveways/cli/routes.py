"""`fiveways routes`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from rich.table import Table

from fiveways.cli.options import DeploymentFile, deployment_file
from fiveways.cli.printing import wide_console
from fiveways.platform.platform import Platform


def command(deployment: DeploymentFile = Path("deployment.yaml")) -> None:
    """Print every API's operations with the policies around them, outermost first: what is printed is what runs."""
    table = Table("API", "base path", "operation", "policies, outermost first", box=None, pad_edge=False)
    for api, base, operation, policies in asyncio.run(_routes(deployment_file(deployment))):
        table.add_row(api, base, operation, policies)
    wide_console().print(table)


async def _routes(file: Path) -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as data:
        platform = await Platform.open(file, Path(data), work=False)
        try:
            rows = []
            for api in platform.running.compiled.apis:
                if api.name:
                    rows.append((api.name, api.base.decode(), "(all)", " → ".join(api.default.policies)))
                    declared = [
                        *api.named.items(),
                        *((f"{m.method} {m.route.name.rpartition(' ')[2]}", m.route) for m in api.matches),
                    ]
                    rows += [("", "", name, " → ".join(route.policies)) for name, route in declared if route.policies]
            return rows
        finally:
            await platform.close()
