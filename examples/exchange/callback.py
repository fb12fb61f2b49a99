"""Callback: the outcome is brought, signed, to a server of ours. Whoever waits for it is woken; nobody asks meanwhile."""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from fiveways.client import ApiKey, Fiveways, Ledger, Receiver, serve_callbacks

URL, PORT = "http://127.0.0.1:8089", 8077
SUBJECT = {"name": "subject", "valueReference": {"reference": "Patient/9990000018"}}
QUESTION = {"resourceType": "Parameters", "parameter": [SUBJECT]}
SECRET = Path("secrets/callback").read_bytes()


async def main() -> None:
    """The receiver may well be a process of its own: what joins the two is the ledger."""
    with Ledger(Path("callback.sqlite")) as ledger:
        receiving = asyncio.create_task(serve_callbacks(Receiver(ledger, [SECRET], url=URL), port=PORT))
        async with Fiveways(URL, ApiKey("ward-demo-key"), ledger=ledger) as five:
            # callback=True: it is asked after all the same, since a callback may be lost, but every five minutes only.
            job = await five.submit("POST", "/called/RiskAssessment/$score", QUESTION, callback=True)
            print("job", job.id)
            outcome = await job.outcome(timedelta(minutes=1))
            print(outcome.status, outcome.json()["prediction"][0]["probabilityDecimal"])
            for _, happening, state, code, reason in ledger.history(job.id):
                print(f"{happening:8}{state:10}{code} {reason}".rstrip())
        receiving.cancel()
        await asyncio.wait([receiving])


asyncio.run(main())
