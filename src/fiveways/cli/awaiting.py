"""`fiveways await`: the outcomes of what was submitted."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fiveways.cli import consumer
from fiveways.cli.consumer import STILL_RUNNING
from fiveways.client.errors import ClientError
from fiveways.client.ledger import Ledger

if TYPE_CHECKING:
    from fiveways.client.answer import Answer
    from fiveways.client.fiveways import Fiveways
    from fiveways.client.job import Job


def command(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Jobs, by their ids or local ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open at the deployment.")] = False,
    url: consumer.Url = "",
    wait: Annotated[str, typer.Option("--wait", "--timeout", metavar="DURATION", help="How long to wait.")] = "1m",
    progress: consumer.Progress = False,
    api_key: consumer.ApiKeyOf = "",
    client_id: consumer.ClientId = "",
    key: consumer.Key = None,
    kid: consumer.Kid = "",
    token_url: consumer.TokenUrl = "",
    ca: consumer.Ca = None,
    cert: consumer.Cert = None,
    cert_key: consumer.CertKey = None,
    ledger: consumer.LedgerFile = Path("ledger.sqlite"),
    include: consumer.Include = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the body to this file; of several, a folder.")
    ] = None,
) -> None:
    """Wait for the outcomes of jobs that `fiveways submit` has made.

    One job's outcome is printed; of several, or with --all, there is a line of JSON for each as it comes: job, local id, status,
    and the file of its body with --output. Outcomes are kept in the ledger: asked for again, they are there at once.

    Exit code 0 where every outcome is a 2xx, 1 where one is not or there is none to come, 3 where one is still running.

      fiveways await bed-7 --wait 10m --progress
      fiveways await --all --output outcomes/
    """
    if bool(jobs) == everything:
        raise ClientError("which jobs? Name some, or say --all")
    if not ledger.exists():
        raise ClientError(f"there is no ledger at {ledger}")
    known_as = consumer.access(api_key, client_id, key, kid, token_url, ca, cert, cert_key)
    patience = consumer.duration("--wait", wait)

    async def work() -> int:
        with Ledger(ledger) as noted:
            async with consumer.deployment(url, known_as, noted) as five:
                found = await five.open_jobs() if everything else [five.job(name) for name in jobs or ()]
                if len(found) != 1 or everything:
                    return await _several(five, found, patience, output)
                answer = await consumer.outcome(found[0], patience, progress)
                if answer is None:
                    typer.echo(f"{found[0].id} is still running", err=True)
                    return STILL_RUNNING
                return consumer.show(answer, include, output)

    consumer.run(work)


async def _several(five: Fiveways, jobs: list[Job], patience: timedelta, folder: Path | None) -> int:
    left, code = len({job.id for job in jobs}), 0
    async for job, found in five.outcomes(jobs, patience):
        left -= 1
        line = await asyncio.to_thread(_line, job, found, folder)
        typer.echo(json.dumps(line))
        code = max(code, 1 if isinstance(found, ClientError) or not found.ok else 0)
    if left:
        typer.echo(f"{left} still running", err=True)
        return STILL_RUNNING
    return code


def _line(job: Job, found: Answer | ClientError, folder: Path | None) -> dict[str, str | int]:
    line: dict[str, str | int] = {"job": job.id, "local_id": job.local_id}
    if isinstance(found, ClientError):
        return {**line, "error": str(found)}
    line["status"] = found.status
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / job.id
        file.write_bytes(found.content)
        line["file"] = str(file)
    return line
