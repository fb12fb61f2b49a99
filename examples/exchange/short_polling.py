"""Short polling: ask for a score, go away, ask how far it is now and then. `--later` goes on with what an earlier run has begun."""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from fiveways.client import ApiKey, ClientError, Fiveways, Job, Ledger

URL = "http://127.0.0.1:8089"
SUBJECT = {"name": "subject", "valueReference": {"reference": "Patient/9990000018"}}
QUESTION = {"resourceType": "Parameters", "parameter": [SUBJECT]}


async def follow(job: Job) -> None:
    """Show how far it is, and at last the outcome, with the provider's own status."""
    try:
        async for step in job.progress():
            print(step.said)
        outcome = await job.outcome(timedelta(minutes=1))
        print(outcome.status, outcome.json()["prediction"][0]["probabilityDecimal"])
    except ClientError as why:
        print(why)


async def main() -> None:
    """Ask; then wait, or leave that to another run: the ledger knows what is open."""
    with Ledger(Path("short-polling.sqlite")) as ledger:
        async with Fiveways(URL, ApiKey("ward-demo-key"), ledger=ledger) as five:
            if "--later" in sys.argv:
                for job in await five.open_jobs():
                    await follow(job)
                return
            job = await five.submit("POST", "/polled/RiskAssessment/$score", QUESTION)
            print("job", job.id)
            if "--leave" not in sys.argv:
                await follow(job)


asyncio.run(main())
