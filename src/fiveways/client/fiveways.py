"""A deployment of Fiveways, or whatever speaks as one does, from the side of whoever calls it.

call    the answer at once               submit  a job, whose outcome follows
stream  the answer's body into a file    job, open_jobs, outcomes  what was submitted before, by another process too
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyreqwest.http import Url

from fiveways.client.access import Access, every
from fiveways.client.answer import Answer
from fiveways.client.body import Body
from fiveways.client.caller import CORRELATION_ID, REQUEST_ID, Caller
from fiveways.client.downloading import into
from fiveways.client.errors import ClientError
from fiveways.client.following import Following
from fiveways.client.job import Job
from fiveways.client.ledger import EXCHANGE, MESSAGING, Ledger
from fiveways.client.origins import Origins, Place
from fiveways.client.pace import Pace
from fiveways.client.resending import Resend
from fiveways.client.submitting import Terms, submit
from fiveways.client.transport import Asked, Pairs
from fiveways.clock import SystemClock
from fiveways.correlation import is_guid, new_id

if TYPE_CHECKING:
    from fiveways.client.mailbox import Mailbox

LARGEST = 32 * 1024 * 1024
"""Bytes of an answer's body, unless said otherwise."""
Headers = Mapping[str, str] | Sequence[tuple[str, str]]
Query = Mapping[str, str | int | Sequence[str]] | Sequence[tuple[str, str]]


class Fiveways:
    """The deployment at `url`, one object for all requests to it; close it, or use it as an async context manager.

    `access` is one of `access.py`, or several. Jobs need a `ledger`; `application` says as which of our applications they are
    made, if several share it. `timeout` bounds every call, its repeats included. `also_at`: further addresses of the deployment
    itself, such as its listener for long polls, which are shown our credentials. `trusted_origins`: others to which status and
    outcome may be moved, which are not. Nothing else is followed.
    """

    def __init__(
        self,
        url: str,
        access: Access | Sequence[Access] | None = None,
        *,
        ledger: Ledger | None = None,
        application: str = "",
        timeout: timedelta = timedelta(seconds=30),
        largest: int = LARGEST,
        resend: Resend | None = None,
        pace: Pace | None = None,
        long_poll: bool = False,
        also_at: Iterable[str] = (),
        trusted_origins: Iterable[str] = (),
    ) -> None:
        self.ledger = ledger
        self._application, self._pace = application, pace or Pace()
        clock = ledger.clock if ledger is not None else SystemClock()
        origins = Origins(url, also_at, trusted_origins)
        self._caller = Caller(origins, every(access), clock, resend or Resend(), timeout, largest)
        self._mailbox: Mailbox | None = None
        self._jobs = Following(self._caller, ledger, self._pace, long_poll=long_poll) if ledger is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Follow no jobs any more, and let go of the connections; jobs go on at the other side."""
        if self._jobs is not None:
            await self._jobs.pool.close()
        await self._caller.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Headers = (),
        query: Query = (),
        timeout: timedelta | None = None,
        wait: timedelta | None = None,
        request_id: str = "",
        correlation_id: str = "",
    ) -> Answer:
        """Call, and have the answer, whatever its status. Raises Unavailable where there is none in time, TooLarge, Denied for no
        token.

        It is sent again only where that is safe, always with the same X-Request-ID. Give it a `request_id` (a GUID) of yours to
        send it again yourself. `wait`: how long a sync-wrap may take to have the outcome; one that has not is asked again until
        `timeout`.
        """
        asked = self._asked(method, path, body, headers, query)
        return await self._caller.call(asked, _ids(request_id, correlation_id), timeout=timeout, wait=wait)

    async def stream(
        self,
        method: str,
        path: str,
        target: Path,
        *,
        body: Any = None,
        headers: Headers = (),
        query: Query = (),
        timeout: timedelta | None = None,
        largest: int | None = None,
        request_id: str = "",
        correlation_id: str = "",
    ) -> Answer:
        """Call, and have the body of a 2xx in the file `target`, whole or not at all; any other answer as from `call`.

        `timeout` is for the beginning of the answer, and then for each piece of it; `largest` is in bytes.
        """
        asked = self._asked(method, path, body, headers, query)
        ids = _ids(request_id, correlation_id)
        patience = timeout or self._caller.timeout
        return await self._caller.call(asked, ids, timeout=timeout, read=into(target, ids, patience, largest, self._caller.largest))

    # --- jobs -------------------------------------------------------------------------------------------------------------

    async def submit(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Headers = (),
        query: Query = (),
        timeout: timedelta | None = None,
        local_id: str = "",
        label: str = "",
        correlation_id: str = "",
        expect_within: timedelta | None = None,
        callback: bool = False,
    ) -> Job:
        """Ask for something that takes a while: the job, which is over already if the answer came at once.

        It is in the ledger before it is sent. After Unavailable or a crash, the same call with the same `local_id` goes on: it is
        sent under the same X-Request-ID, or not at all where the other side has it. `expect_within`: when the outcome is due.
        `callback`: it is expected to be brought (`callbacks.py`), and asked after seldom. Raises LocalIdReused where `local_id`
        names another request.
        """
        terms = Terms(self._application, local_id, label, correlation_id, expect_within, callback, timeout)
        asked = self._asked(method, path, body, headers, query)
        return Job(self._following, await submit(self._caller, self._following, self._pace, asked, terms))

    def attach(self, mailbox: Mailbox) -> None:
        """Have messages go out from this mailbox of ours. Raises ClientError where its ledger is another one."""
        if mailbox.ledger.path.absolute() != self._following.ledger.path.absolute():
            raise ClientError("the mailbox has another ledger")
        self._mailbox = mailbox

    async def submit_message(
        self,
        recipient: str,
        content: bytes | Path,
        *,
        workflow: str,
        local_id: str = "",
        answer_within: timedelta = timedelta(days=5),
        correlation_id: str = "",
        label: str = "",
    ) -> Job:
        """Send a message from the mailbox that is attached: a job whose outcome is the content of its first answer, as a 200.

        A `Listener` on that mailbox finds the answer, here or in another process: without one nothing is ever answered. A message
        that did not get through is Refused. Otherwise as `Mailbox.send`.
        """
        if self._mailbox is None:
            raise ClientError("there is no mailbox: attach(mailbox)")
        request = await self._mailbox.send(
            recipient,
            content,
            workflow=workflow,
            local_id=local_id,
            answer_within=answer_within,
            correlation=correlation_id,
            label=label,
            keep_answer=True,
        )
        return Job(self._following, request.id)

    def job(self, id_: str) -> Job:
        """A job by its id, or by what we call it, whenever it was submitted. Raises ClientError where the ledger has none."""
        mailboxes = [(MESSAGING, self._mailbox.id)] if self._mailbox is not None else []
        return Job(self._following, self._following.find(id_, (EXCHANGE, self._application), *mailboxes).id)

    async def open_jobs(self) -> list[Job]:
        """Jobs at this deployment that have not come to their end, the oldest first."""
        found = await asyncio.to_thread(self._following.jobs.open, self._caller.origins.origin)
        return [Job(self._following, request.id) for request in found]

    async def outcomes(
        self, jobs: Iterable[Job], timeout: timedelta | None = None
    ) -> AsyncIterator[tuple[Job, Answer | ClientError]]:
        """Each job with its outcome, or with why there is none, in the order in which they come; until `timeout` is over."""
        async for job, found in self._following.outcomes({job.id: job for job in jobs}, timeout):
            yield job, found

    @property
    def _following(self) -> Following:
        if self._jobs is None:
            raise ClientError("jobs need a ledger: Fiveways(…, ledger=Ledger(…))")
        return self._jobs

    def _asked(self, method: str, path: str, body: Any, headers: Headers, query: Query) -> Asked:
        place = self._caller.origins.at(path)
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        if pairs:
            place = Place(str(Url(place.url).extend_query(pairs)), place.own)
        content = Body(body)
        said: Pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in said}
        if names & {REQUEST_ID.lower(), CORRELATION_ID.lower()}:
            raise ClientError("request_id= and correlation_id= say the ids, not header fields")
        if content.kind and "content-type" not in names:
            said.append(("Content-Type", content.kind))
        return Asked(method.upper(), place, said, content)


def _ids(request_id: str, correlation_id: str) -> Pairs:
    if request_id and not is_guid(request_id.encode()):
        raise ClientError("a request id is a GUID")
    return [(REQUEST_ID, request_id or new_id()), (CORRELATION_ID, correlation_id or new_id())]
