"""A provider that works in batches: it takes requests by day, scores them by night, and reports what came of each.

python reported.py ask        the ward asks, twice; nobody waits
python reported.py batch      the provider's batch reports
python reported.py collect    the ward collects what has come of its requests
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from fiveways.client import Answer, ApiKey, Fiveways, Ledger

URL = "http://127.0.0.1:8089"
FILES = sorted(Path("batch").glob("*.json"))
"""What `provider.py` has noted; each is called as its job is."""


async def ask(five: Fiveways) -> None:
    """The local id is the ward's own: asking again for the same bed has no second effect."""
    for bed, number in (("bed-7", "9990000018"), ("bed-8", "9990000026")):
        subject = {"name": "subject", "valueReference": {"reference": f"Patient/{number}"}}
        question = {"resourceType": "Parameters", "parameter": [subject]}
        job = await five.submit("POST", "/reported/RiskAssessment/$score", question, local_id=bed)
        print(job.local_id, job.state)


async def batch(five: Fiveways) -> None:
    """What was noted is scored and reported. A report that comes twice is refused (409), and nothing is lost by that."""
    for file in FILES:
        subject = json.loads(file.read_text())["parameter"][0]["valueReference"]
        prediction = [{"probabilityDecimal": 0.12}]
        scored = {"resourceType": "RiskAssessment", "status": "final", "subject": subject, "prediction": prediction}
        outcome = f"/reported/_jobs/{file.stem}/outcome"
        answer = await five.call("PUT", outcome, body=scored, headers={"Fiveways-Status": "201"})
        print("reported", answer.status)
        if answer.ok or answer.status == 409:
            file.unlink()


async def collect(five: Fiveways) -> None:
    """In the order in which they come; what has not come after some seconds is still open, and may be collected tomorrow."""
    async for job, outcome in five.outcomes(await five.open_jobs(), timedelta(seconds=20)):
        print(job.local_id, f"{outcome.status} {outcome.text}" if isinstance(outcome, Answer) else outcome)


async def main(command: str) -> None:
    """The ward and the provider are two applications, each with a key of its own."""
    if command == "batch":
        async with Fiveways(URL, ApiKey("scores-demo-key")) as five:
            await batch(five)
        return
    with Ledger(Path("reported.sqlite")) as ledger:
        async with Fiveways(URL, ApiKey("ward-demo-key"), ledger=ledger) as five:
            await (ask(five) if command == "ask" else collect(five))


asyncio.run(main(sys.argv[1]))
