"""`fiveways submit`: ask for something that takes a while."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fiveways.cli import consumer
from fiveways.cli.consumer import STILL_RUNNING
from fiveways.client.ledger import Ledger


def command(
    method: consumer.Method,
    path: consumer.PathOf,
    url: consumer.Url = "",
    body: consumer.BodyOf = "",
    header: consumer.HeaderOf = None,
    local_id: Annotated[
        str, typer.Option("--local-id", metavar="ID", help="What you call it: submitted again under this, it is not done twice.")
    ] = "",
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What you know it by. No names of patients.")] = "",
    expect_within: Annotated[
        str, typer.Option("--expect-within", metavar="DURATION", help="When its outcome is due; then it is overdue.")
    ] = "",
    callback: Annotated[bool, typer.Option("--callback", help="Its outcome is to be brought: ask after it seldom.")] = False,
    wait: Annotated[str, typer.Option("--wait", metavar="DURATION", help="Wait so long for the outcome, and print it.")] = "",
    progress: consumer.Progress = False,
    api_key: consumer.ApiKeyOf = "",
    client_id: consumer.ClientId = "",
    key: consumer.Key = None,
    kid: consumer.Kid = "",
    token_url: consumer.TokenUrl = "",
    ca: consumer.Ca = None,
    cert: consumer.Cert = None,
    cert_key: consumer.CertKey = None,
    timeout: consumer.Timeout = "30s",
    ledger: consumer.LedgerFile = Path("ledger.sqlite"),
    include: consumer.Include = False,
    output: consumer.Output = None,
) -> None:
    """Submit a job (Prefer: respond-async) and print its id; with --wait, print its outcome.

    The job is in the ledger before it is sent, so that nothing is lost if this ends in the middle: the same command with the same
    --local-id sends it under the same X-Request-ID, or not at all where the deployment has it. `fiveways await` has its outcome.

    Exit code 0 where it was taken or its outcome is a 2xx, 1 for any other, 3 where it is still running when --wait is over.

      fiveways submit POST '/risk/FHIR/R4/RiskAssessment/$score' --body @parameters.json --local-id bed-7 --wait 2m --progress
    """
    known_as = consumer.access(api_key, client_id, key, kid, token_url, ca, cert, cert_key)
    longest = consumer.duration("--timeout", timeout)
    due = consumer.duration("--expect-within", expect_within) if expect_within else None
    patience = consumer.duration("--wait", wait) if wait else None
    content, fields = consumer.request(body, header)

    async def work() -> int:
        with Ledger(ledger) as noted:
            async with consumer.deployment(url, known_as, noted) as five:
                job = await five.submit(
                    method,
                    path,
                    content,
                    headers=fields,
                    timeout=longest,
                    local_id=local_id,
                    label=label,
                    expect_within=due,
                    callback=callback,
                )
                if patience is None:
                    typer.echo(job.id)
                    return 0
                answer = await consumer.outcome(job, patience, progress)
                if answer is None:
                    typer.echo(f"still running: fiveways await {job.id}", err=True)
                    return STILL_RUNNING
                return consumer.show(answer, include, output)

    consumer.run(work)
