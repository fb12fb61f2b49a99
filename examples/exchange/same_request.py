"""The same request in six ways, one after another. What differs is what the provider can do, and what the ward must have for it."""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from fiveways.client import Answer, ApiKey, Fiveways, Ledger, Listener, Mailbox, Message, Receiver, Schedule, serve_callbacks

URL, HELD, RECEIVER = "http://127.0.0.1:8089", "http://127.0.0.1:8079", 8077
SECRETS = {file.name: file.read_text() for file in Path("secrets").iterdir()}
PATIENCE = timedelta(minutes=1)
SCORE = "RiskAssessment/$score"
PATIENT = {"reference": "Patient/9990000018"}
QUESTION = {
    "resourceType": "Parameters",
    "parameter": [{"name": "subject", "valueReference": PATIENT}],
}


async def synchronous(five: Fiveways) -> Answer:
    """The provider answers at once."""
    return await five.call("POST", f"/at-once/{SCORE}", body=QUESTION)


async def sync_wrap(five: Fiveways) -> Answer:
    """The gateway polls, and the ward waits."""
    path, wait = f"/wrapped/{SCORE}", timedelta(seconds=10)
    return await five.call("POST", path, body=QUESTION, wait=wait)


async def short_polling(five: Fiveways) -> Answer:
    """The ward asks now and then."""
    job = await five.submit("POST", f"/polled/{SCORE}", QUESTION)
    return await job.outcome(PATIENCE)


async def callback(five: Fiveways) -> Answer:
    """The outcome is brought."""
    job = await five.submit("POST", f"/called/{SCORE}", QUESTION, callback=True)
    return await job.outcome(PATIENCE)


async def long_polling(five: Fiveways) -> Answer:
    """The ward holds a request open."""
    job = await five.submit("POST", f"/held/{SCORE}", QUESTION)
    return await job.outcome(PATIENCE)


async def mailbox(five: Fiveways) -> Answer:
    """The request is a message, and the outcome another."""
    content = json.dumps(QUESTION).encode()
    job = await five.submit_message("SCORES", content, workflow="RISK_SCORE")
    return await job.outcome(PATIENCE)


async def opened(stack: AsyncExitStack) -> Fiveways:
    """All that any of the six needs."""
    ledger = stack.enter_context(Ledger(Path("ward.sqlite")))
    key = ApiKey("ward-demo-key")

    # long polling: another address of the deployment's
    five = Fiveways(URL, key, ledger=ledger, long_poll=True, also_at=[HELD])
    await stack.enter_async_context(five)

    # callback: an HTTP server
    receiver = Receiver(ledger, [SECRETS["callback"].encode()], url=URL)
    background(stack, serve_callbacks(receiver, port=RECEIVER))

    # mailbox: somebody who looks into it
    ward = Mailbox(URL, "WARD", SECRETS["WARD"], SECRETS["shared-key"], ledger)
    five.attach(await stack.enter_async_context(ward))
    every = Schedule(every=timedelta(seconds=1), sandbox=True)
    background(stack, Listener(ward, ignore, schedule=every).run())
    return five


async def ignore(_: Message) -> None:
    """Whoever awaits the answer has it from the ledger."""


def background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Have something run until the end."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)


async def main() -> None:
    """Ask in each way, and show what came and when."""
    async with AsyncExitStack() as stack:
        five = await opened(stack)
        for way in (synchronous, sync_wrap, short_polling, callback, long_polling, mailbox):
            began = time.monotonic()
            answer = await way(five)
            risk = answer.json()["prediction"][0]["probabilityDecimal"]
            print(f"{way.__name__:15}{answer.status}  {risk}  {time.monotonic() - began:.1f} s")


asyncio.run(main())
