"""A consumer that dies as `kill -9` has it, at a point that it is told.

python dying.py URL LEDGER POINT      noted, tried, sent, accepted, outcome (before it is noted), kept, or never
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from fiveways.client import Answer, Fiveways, Ledger, Pace, Request
from fiveways.client.caller import Caller
from fiveways.client.jobs import Followed, Jobs

POINT = sys.argv[3]


def die(*_: Any, **__: Any) -> NoReturn:
    """End here and now."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DyingLedger(Ledger):
    """Dies once a request is noted."""

    def open(self, *args: Any, **said: Any) -> Request:
        """Note it, and maybe die."""
        noted = super().open(*args, **said)
        return die() if POINT == "noted" else noted


begin, call, accepted, ended = Jobs.begin, Caller.call, Jobs.accepted, Jobs.ended


def dying_begin(self: Jobs, request: str) -> None:
    """Die once it is about to be sent."""
    begin(self, request)
    if POINT == "tried":
        die()


async def dying_call(self: Caller, *args: Any, **said: Any) -> Answer:
    """Die once it was answered."""
    answer = await call(self, *args, **said)
    return die() if POINT == "sent" else answer


def dying_accepted(self: Jobs, job: Followed) -> None:
    """Die once that it was taken is noted."""
    accepted(self, job)
    if POINT == "accepted":
        die()


def dying_ended(self: Jobs, request: str, answer: Answer, how: str) -> Answer:
    """Die when there is an outcome, before or after it is noted."""
    if POINT == "outcome":
        die()
    kept = ended(self, request, answer, how)
    return die() if POINT == "kept" else kept


async def main(url: str, ledger: Path) -> None:
    """Submit one job, and print its outcome."""
    Jobs.begin, Caller.call, Jobs.accepted, Jobs.ended = dying_begin, dying_call, dying_accepted, dying_ended  # type: ignore[method-assign]
    pace = Pace(timedelta(milliseconds=20), timedelta(milliseconds=50))
    with DyingLedger(ledger) as noted:
        async with Fiveways(url, ledger=noted, pace=pace) as five:
            job = await five.submit("POST", "/x", {"n": 1}, local_id="one")
            answer = await job.outcome(timedelta(seconds=10))
            print(answer.status, job.id, answer.text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
