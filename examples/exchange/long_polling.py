"""Long polling: a request is held open until there is an outcome, at a listener of its own. The book discourages it."""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from fiveways.client import ApiKey, Fiveways, Ledger

URL, WAITING = "http://127.0.0.1:8089", "http://127.0.0.1:8079"
SUBJECT = {"name": "subject", "valueReference": {"reference": "Patient/9990000018"}}
QUESTION = {"resourceType": "Parameters", "parameter": [SUBJECT]}


async def main() -> None:
    """Where to wait is said by the answer to the request; `also_at` says that this address is the deployment's own too."""
    access = ApiKey("ward-demo-key")
    with Ledger(Path("long-polling.sqlite")) as ledger:
        async with Fiveways(URL, access, ledger=ledger, long_poll=True, also_at=[WAITING]) as five:
            job = await five.submit("POST", "/held/RiskAssessment/$score", QUESTION)
            print("job", job.id)
            began = time.monotonic()
            outcome = await job.outcome(timedelta(minutes=1))
            print(outcome.status, outcome.json()["prediction"][0]["probabilityDecimal"], f"after {time.monotonic() - began:.1f} s")


asyncio.run(main())
