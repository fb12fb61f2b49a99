"""Submitting a job: it is noted, sent under the id that it was noted under, and followed where the other side says.

noted ──▶ tried ──▶ 202 and where to ask ──▶ noted: it runs
             │  └─▶ any other answer      ──▶ noted: that is the outcome
             └────▶ no answer, or one that passes (429, 503, …): Unavailable; submitting it again goes on here
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit

from fiveways.client import fields
from fiveways.client.answer import Answer
from fiveways.client.caller import CORRELATION_ID, REQUEST_ID, Caller
from fiveways.client.errors import ClientError, Denied, TooLarge, Unavailable, Untrusted
from fiveways.client.following import Following
from fiveways.client.jobs import Followed
from fiveways.client.ledger import EXCHANGE, Request
from fiveways.client.pace import Pace
from fiveways.client.resending import PASSING
from fiveways.client.states import State
from fiveways.client.transport import Asked
from fiveways.clock import micros, micros_in
from fiveways.correlation import new_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is said of a job when it is submitted, besides the request itself."""

    application: str = ""
    """As which of our applications."""
    local_id: str = ""
    label: str = ""
    correlation_id: str = ""
    expect_within: timedelta | None = None
    callback: bool = False
    timeout: timedelta | None = None


async def submit(caller: Caller, following: Following, pace: Pace, asked: Asked, terms: Terms) -> str:
    """Submit a job; its id. What was submitted under this local id before is not submitted again."""
    digest = await asked.body.digest(asked.method, asked.place.url)
    request = await asyncio.to_thread(_noted, following, caller.origins.origin, asked, digest, terms)
    followed = await asyncio.to_thread(following.jobs.followed, request.id)
    if request.state not in (State.OPEN, State.OVERDUE) or (followed is not None and request.state is State.OVERDUE):
        if followed is not None and request.state in (State.SENT, State.OVERDUE):
            following.pool.follow(followed, request.correlation)
        return request.id
    await asyncio.to_thread(following.jobs.begin, request.id)
    ids = [(REQUEST_ID, request.id), (CORRELATION_ID, request.correlation)]
    asked = replace(asked, headers=[*asked.headers, ("Prefer", "respond-async")])
    try:
        answer = await caller.call(asked, ids, timeout=terms.timeout)
    except (Unavailable, Denied, TooLarge):
        raise
    except ClientError as error:
        await asyncio.to_thread(following.jobs.failed, request.id, "unsent", str(error))
        raise
    await _answered(caller, following, pace, asked, request, answer, terms.callback)
    return request.id


def _noted(following: Following, party: str, asked: Asked, digest: str, terms: Terms) -> Request:
    # Paths may name patients: of the path, only where the API is is noted as it stands.
    first = urlsplit(asked.place.url).path.split("/")[1]
    return following.ledger.open(
        EXCHANGE,
        party,
        own=terms.application,
        local_id=terms.local_id,
        workflow=f"{asked.method} /{first}",
        correlation=terms.correlation_id or new_id(),
        label=terms.label,
        digest=digest,
        answer_within=terms.expect_within,
    )


async def _answered(
    caller: Caller, following: Following, pace: Pace, asked: Asked, request: Request, answer: Answer, callback: bool
) -> None:
    said = answer.headers
    location = said.get("content-location") or said.get("location") or ""
    if answer.status == 202 and (location or callback):
        wait = fields.retry_after(said.get("retry-after"), caller.clock.now())
        due = micros(caller.clock) + micros_in(timedelta(seconds=pace.after(0, wait, slow=callback)))
        try:
            status_url = caller.origins.follow(location, asked.place.url).url if location else ""
        except Untrusted as error:
            await asyncio.to_thread(following.jobs.failed, request.id, "untrusted", str(error))
            raise
        monitor = _monitor(caller, asked, answer, wanted=following.long_poll)
        job = Followed(
            request.id, status_url, monitor, callback, due, said.get("etag", ""), fields.progress(said.get("x-progress"))
        )
        await asyncio.to_thread(following.jobs.accepted, job)
        following.pool.follow(job, request.correlation)
    elif answer.status in PASSING:
        raise Unavailable(f"it was not taken ({answer.status}), and can be submitted again as local_id={request.local_id!r}")
    elif answer.status >= 400:
        await asyncio.to_thread(following.jobs.refused, request.id, answer)
    else:
        await asyncio.to_thread(following.jobs.ended, request.id, answer, "at once")


def _monitor(caller: Caller, asked: Asked, answer: Answer, *, wanted: bool) -> str:
    target = fields.linked(answer.headers.all("link"), "monitor")
    try:
        return caller.origins.follow(target, asked.place.url).url if target else ""
    except Untrusted as error:
        if wanted:
            log.warning("there are no long polls: %s", error)
        return ""
