"""One question after a job: the status URL, and the outcome's where it sends us there."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from fiveways.client import fields
from fiveways.client.answer import Answer
from fiveways.client.caller import CORRELATION_ID, REQUEST_ID, Caller
from fiveways.client.transport import Asked, Pairs
from fiveways.client.verdict import Verdict, of_outcome, of_status
from fiveways.correlation import new_id

ACCEPT = ("Accept", "application/fhir+json, application/json;q=0.9, */*;q=0.5")


class Found(NamedTuple):
    """What a question brought. `asked`: how long the other side wants to be left alone."""

    verdict: Verdict
    answer: Answer
    asked: timedelta | None
    progress: str
    etag: str


async def ask(
    caller: Caller, url: str, correlation: str, *, etag: str = "", hold: timedelta | None = None, timeout: timedelta | None = None
) -> Found:
    """Ask once; `hold`: for how long the other side may hold the question until there is something new (`Prefer: wait`, RFC 7240).

    Raises Unavailable, Untrusted for an outcome that is somewhere else, TooLarge.
    """
    headers = [ACCEPT]
    if etag:
        headers.append(("If-None-Match", etag))
    if hold is not None:
        headers.append(("Prefer", f"wait={int(hold.total_seconds())}"))
    place = caller.origins.follow(url, caller.origins.base)
    answer = await caller.once(Asked("GET", place, headers), _ids(correlation), timeout=timeout)
    verdict = of_status(answer)
    if verdict is Verdict.ELSEWHERE:
        place = caller.origins.follow(answer.headers.get("location", url), place.url)
        answer = await caller.once(Asked("GET", place, [ACCEPT]), _ids(correlation), timeout=timeout)
        verdict = of_outcome(answer)
    return Found(
        verdict,
        answer,
        fields.retry_after(answer.headers.get("retry-after"), caller.clock.now()),
        fields.progress(answer.headers.get("x-progress")),
        answer.headers.get("etag", "") if answer.status == 202 else etag,
    )


def _ids(correlation: str) -> Pairs:
    return [(REQUEST_ID, new_id()), (CORRELATION_ID, correlation)]
