"""How a job is told of on the wire: FHIR's asynchronous pattern, or the same with plain JSON (FHIR R4 §3.1.11)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

import msgspec

from fiveways.clock import Clock, micros
from fiveways.fhir.outcome import CONTENT_TYPE, information
from fiveways.methods.exchange.announcing import Announcement
from fiveways.methods.exchange.service import Job
from fiveways.methods.exchange.settings import Polling
from fiveways.methods.exchange.states import State
from fiveways.types import Headers, Outcome

LONGEST_PROGRESS: Final = 99
"""Characters of X-Progress."""


class Answers:
    """Answers about the jobs of one API."""

    def __init__(
        self, poll: Polling, announcement: Announcement, clock: Clock, *, fhir: bool, monitor: Callable[[Job], str] | None = None
    ) -> None:
        """`monitor`: where a job may be waited for."""
        self._first, self._longest = poll.first.total_seconds(), poll.longest.total_seconds()
        self._announcement = announcement
        self._clock = clock
        self._fhir = fhir
        self._monitor = monitor

    def pause(self, job: Job) -> int:
        """Seconds until it is worth asking again: a quarter of the job's age, so that who waits long asks seldom (A54)."""
        age = (micros(self._clock) - job.at) / 1e6
        return math.ceil(min(self._longest, max(self._first, age / 4)))

    def accepted(self, job: Job) -> Outcome:
        """The answer to the request that began it."""
        headers: Headers = [(b"content-location", job.url.encode("latin-1")), (b"preference-applied", b"respond-async")]
        return self._pending(job, headers)

    def pending(self, job: Job) -> Outcome:
        """The answer while there is no outcome."""
        return self._pending(job, [])

    def unchanged(self, job: Job) -> Outcome:
        """The answer to who knows all that is to be known."""
        headers: Headers = [(b"etag", etag(job)), (b"retry-after", b"%d" % self.pause(job)), (b"cache-control", b"no-cache")]
        return Outcome(304, headers + self._announcement.fields(), b"")

    def cancelled(self, job: Job) -> Outcome:
        """The answer to who wants no more of it."""
        return self._told(job, 202, [], "Cancelled")

    def final(self, headers: Headers) -> Headers:
        """The header fields of an answer that has the outcome, or leads to it."""
        return headers + self._announcement.fields()

    def _pending(self, job: Job, headers: Headers) -> Outcome:
        said = progress(job)
        headers = [*headers, (b"retry-after", b"%d" % self.pause(job)), (b"x-progress", said.encode("latin-1", "replace")),
                   (b"etag", etag(job))]  # fmt: skip
        if self._monitor is not None:
            headers.append((b"link", b'<%b>; rel="monitor"' % self._monitor(job).encode("latin-1")))
        return self._told(job, 202, headers, said)

    def _told(self, job: Job, status: int, headers: Headers, said: str) -> Outcome:
        if self._fhir:
            content_type, body = CONTENT_TYPE, information(said, job.id)
        else:
            document: dict[str, Any] = {"job": job.id, "state": job.state.value, "progress": said, "status_url": job.url}
            content_type, body = b"application/json", msgspec.json.encode(document)
        always: Headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-cache"),
        ]
        return Outcome(status, always + headers + self._announcement.fields(), body)


def progress(job: Job) -> str:
    """How far it is, in words: the back end's, where it says something."""
    said = {State.SUBMITTED: "accepted", State.RUNNING: "in progress"}.get(job.state, job.state.value)
    return (job.progress or said)[:LONGEST_PROGRESS]


def etag(job: Job) -> bytes:
    """What is another where there is something new to be told: the state, and how far it is."""
    return b'W/"%d-%08x"' % (job.number, crc32(job.progress.encode()))
