"""Stage 2 the other way round: the outcome is brought to its consumer (A64), signed. Polling works all the same.

POST {registered URL}
Fiveways-Signature: t=…,v1=…      over the body (`signing.py`)
Idempotency-Key: {job}            the same at every attempt
X-Request-ID, X-Correlation-ID    the request's
Content-Location: {status URL}
Fiveways-Status: 200              the outcome's own
Content-Type, and the outcome's body as the provider made it
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from fiveways.delivery.engine import Deliveries, Step
from fiveways.delivery.queue import Delivery, GiveUp, Queue
from fiveways.methods.exchange.service import Job, Jobs
from fiveways.methods.exchange.settings import Callback
from fiveways.methods.exchange.states import KNOWN

STATUS: Final = "Fiveways-Status"
EVENT: Final = "Fiveways-Event"
"""`ping`, where a call tells of nothing."""
Post = Callable[[Delivery, Mapping[str, str], Sequence[bytes]], Awaitable[None]]
"""Posts a delivery with further header fields, signed with these secrets; raises Retry or GiveUp."""


def queue_of(api: str) -> str:
    """The queue of an API's callbacks."""
    return f"exchange.callbacks.{api}"


async def promised(api: str, settings: Callback | None, job: Job, deliveries: Deliveries) -> tuple[Step, ...]:
    """What promises a call, to be written with the outcome; nothing where its consumer is not called back."""
    receiver = settings.consumers.get(job.application) if settings is not None else None
    if receiver is None:
        return ()
    promise = await deliveries.promise(queue_of(api), key=job.id, target=receiver.url, body=b"", correlation=job.correlation)
    return promise.steps


class Caller:
    """Calls the consumers of one API back."""

    def __init__(self, settings: Callback, secrets: Mapping[str, Sequence[bytes]], jobs: Jobs, post: Post) -> None:
        """`secrets`: what calls of each consumer are signed with."""
        self._settings = settings
        self._secrets = secrets
        self._jobs = jobs
        self._post = post

    async def __call__(self, delivery: Delivery) -> str:
        """Make a call. Raises Retry or GiveUp."""
        job = await self._jobs.find(delivery.key)
        if job is None or job.state not in KNOWN:
            return "its consumer wants no more of it"
        receiver = self._settings.consumers.get(job.application)
        if receiver is None:
            raise GiveUp("its consumer is not called back any more")
        fields = dict(job.fields)
        content_type = fields.get(b"content-type", b"application/octet-stream").decode("latin-1")
        made = replace(
            delivery,
            id=job.id,
            target=receiver.url,
            content_type=content_type,
            size=job.size,
            content=lambda: self._jobs.content(job),
        )
        headers = {"Content-Location": job.url, "X-Request-ID": job.request_id, STATUS: str(job.status)}
        if encoding := fields.get(b"content-encoding"):
            headers["Content-Encoding"] = encoding.decode("latin-1")
        await self._post(made, headers, self._secrets[job.application])
        return f"called back, status {job.status}"


def queue(api: str, settings: Callback, caller: Caller) -> Queue:
    """The queue of an API's callbacks."""
    return Queue(
        name=queue_of(api),
        handler=caller,
        attempts=2**31,  # time decides, not number
        patience=settings.keep_trying,
        first_wait=settings.first_wait,
        longest_wait=settings.longest_wait,
    )
