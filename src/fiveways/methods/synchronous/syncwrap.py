"""Sync-wrap (A17, D13): a back end that answers 202 and is polled, answered synchronously all the same, within a bounded wait.

The consumer says how long it waits (X-Sync-Wait, within the deployment's limits), or that it would rather poll itself (`Prefer:
respond-async`, RFC 7240): then the 202 passes, its Content-Location rewritten to the gateway's. An answer that is not there in time
is a 503 with the instruction to send the request again with the same X-Request-ID, and whoever does joins the work under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self
from weakref import WeakValueDictionary

import msgspec
from pydantic import Field, model_validator

from fiveways.clock import Clock, micros, micros_in
from fiveways.deployment.settings import Duration, Settings
from fiveways.errors import KeyReused, ProviderFaulty, ProviderUnavailable
from fiveways.fhir import asynchronous
from fiveways.ledger import replay
from fiveways.methods.synchronous.passthrough import PassThrough
from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import hashing
from fiveways.types import Headers, Interaction, Outcome

NAMESPACE: Final = "work"
_WAIT: Final = re.compile(rb"[0-9]{1,4}(\.[0-9]{1,3})?")
_OWN: Final = frozenset((b"x-sync-wait", b"prefer", b"cookie"))
_OF_BODY: Final = frozenset(
    (b"content-type", b"content-length", b"content-encoding", b"if-match", b"if-none-match", b"if-none-exist")
)
_AGAIN: Final = "The back end is still at work. Using the same 'X-Request-ID' header, retry your request after the time given."


class SyncWrapSettings(Settings):
    """How long consumers may wait, and how the back end is asked meanwhile."""

    wait: Duration = timedelta(seconds=10)
    """How long a consumer waits that does not say."""
    least: Duration = Field(default=timedelta(milliseconds=250), gt=timedelta(0))
    """The shortest wait that a consumer may ask for."""
    most: Duration = timedelta(seconds=59)
    """The longest."""
    first_poll: Duration = Field(default=timedelta(milliseconds=250), gt=timedelta(0))
    """How long after the 202 the back end is asked first; each time after that twice as long."""
    longest_pause: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0))
    """The longest time between two questions."""
    remember: Duration = timedelta(minutes=30)
    """For how long a request sent again, with the same X-Request-ID, joins the work that the first began."""

    @model_validator(mode="after")
    def _within(self) -> Self:
        if not self.least <= self.wait <= self.most:
            raise ValueError("expected least <= wait <= most")
        return self


class StillWorking(ProviderUnavailable):
    """The back end has not come to an end within the consumer's wait."""

    issue = "timeout"


class NotProcessed(ProviderFaulty):
    """The back end had accepted the request, and then could not process it."""

    status = 500


class Work(msgspec.Struct, frozen=True, array_like=True):
    """What is under way: the SHA-256 of the request that began it, where the back end tells of it, and the cookies it wants."""

    fingerprint: bytes
    location: str
    cookies: str


_work = msgspec.msgpack.Decoder(Work)


class SyncWrap:
    """The handler at the bottom of a sync-wrap API."""

    def __init__(
        self, name: str, at: str, through: PassThrough, settings: SyncWrapSettings, group: GroupWriter, clock: Clock
    ) -> None:
        """`name` and `at`: the API's, and its base path; `through` makes and sends requests to its back end. `group` writes down
        what is under way."""
        self._name = name
        self._at = at
        self._through = through
        self._settings = settings
        self._group = group
        self._clock = clock
        self._beginning: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Send the request, and wait for what comes of it; or join what an earlier one with the same id has begun."""
        until = self._clock.monotonic() + self._wait(interaction)
        if asynchronous.prefers_async(interaction.headers):
            outcome = await self._through.send(interaction, self._request(interaction))
            return await self._rewritten(outcome) if outcome.status == 202 else outcome
        key = self._key(interaction)
        if key is None:
            begun = await self._begin(interaction, None)
        else:
            async with self._alone(key, until):
                begun = await self._joined(interaction, key) or await self._begin(interaction, key)
        return begun if isinstance(begun, Outcome) else await self._awaited(interaction, begun, until)

    def _wait(self, interaction: Interaction) -> float:
        said = dict(interaction.headers).get(b"x-sync-wait", b"").strip()
        settings = self._settings
        if _WAIT.fullmatch(said) is None:
            return settings.wait.total_seconds()
        return min(max(float(said), settings.least.total_seconds()), settings.most.total_seconds())

    def _key(self, interaction: Interaction) -> bytes | None:
        """Under what a repeat is found; None where it cannot be told whose it is, or the consumer gave no id."""
        application, ids = interaction.consumer.application, interaction.correlation
        if not application or not ids.given:
            return None
        return hashlib.sha256(f"{application}\0{self._name}\0".encode() + ids.request_id).digest()

    @asynccontextmanager
    async def _alone(self, key: bytes, until: float) -> AsyncIterator[None]:
        """One at a time begins the work of a request: who comes meanwhile finds it, or has waited long enough (StillWorking)."""
        lock = self._beginning.get(key) or self._beginning.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(until - self._clock.monotonic()):
                await lock.acquire()
        except TimeoutError:
            raise StillWorking(_AGAIN, headers={"Retry-After": "5"}) from None
        try:
            yield
        finally:
            lock.release()

    # --- beginning and joining -------------------------------------------------------------------------------------------

    def _request(self, interaction: Interaction) -> UpstreamRequest:
        request = self._through.request(interaction)
        request.headers = [field for field in request.headers if field[0] not in _OWN]
        return request

    async def _begin(self, interaction: Interaction, key: bytes | None) -> Outcome | Work:
        """Send the request; its answer, or the work that it has begun, remembered."""
        request, digest = self._request(interaction), hashlib.sha256(_what(interaction))
        if interaction.body is not None:
            request.body = hashing(interaction.body, digest)
        request.headers.append((b"x-sync-wrapped", b"true"))
        outcome = await self._through.send(interaction, request)
        location = asynchronous.location(outcome.headers)
        if outcome.status != 202 or not location:
            return outcome
        await outcome.aclose()
        where = self._own(location, request.target)
        work = Work(digest.digest(), where, _cookies("", outcome.headers))
        if key is not None:
            until = micros(self._clock) + micros_in(self._settings.remember)
            await self._group.submit(replay.claim, replay.use(NAMESPACE, key, until, msgspec.msgpack.encode(work)))
        return work

    async def _joined(self, interaction: Interaction, key: bytes) -> Work | None:
        """The work under way for a request sent before. Raises KeyReused where that was another request."""
        asked = {"b_namespace": NAMESPACE, "b_value": key}
        rows = (await self._group.submit(replay.purpose_of, asked, synced=False)).rows
        if not rows:
            return None
        work = _work.decode(rows[0][0])
        digest = hashlib.sha256(_what(interaction))
        if interaction.body is not None:
            async for _ in hashing(interaction.body, digest):
                pass
        if digest.digest() != work.fingerprint:
            raise KeyReused("The X-Request-ID was used for another request")
        return work

    def _own(self, location: str, target: bytes) -> str:
        """Path and query of an address of the back end's own. Raises ProviderFaulty for any other."""
        where = asynchronous.own(location, self._through.url, target.decode("latin-1"))
        if where is None:
            raise ProviderFaulty("The back end says that its answer is somewhere else")
        return where

    async def _rewritten(self, outcome: Outcome) -> Outcome:
        """A 202 whose addresses are the gateway's."""
        try:
            headers = [field for each in outcome.headers if (field := self._ours(*each)) is not None]
        except ProviderFaulty:
            await outcome.aclose()
            raise
        if not any(name == b"preference-applied" for name, _ in headers):
            headers.append((b"preference-applied", b"respond-async"))
        outcome.headers = headers
        return outcome

    def _ours(self, name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
        """A header field with the gateway's address in it, where it has one; None for one that no consumer could reach."""
        if name not in (b"content-location", b"location"):
            return name, value
        url = self._through.url
        where = asynchronous.below(self._own(value.decode("latin-1"), f"{url.rstrip('/')}/".encode("latin-1")), url)
        return (name, (self._at + where).encode("latin-1")) if where is not None else None

    # --- waiting ---------------------------------------------------------------------------------------------------------

    async def _awaited(self, interaction: Interaction, work: Work, until: float) -> Outcome:
        """Ask the back end until it has come to an end, or the consumer's wait is over."""
        pause, cookies = self._settings.first_poll.total_seconds(), work.cookies
        headers = [field for field in self._request(interaction).headers if field[0] not in _OF_BODY]
        while (left := until - self._clock.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, self._settings.longest_pause.total_seconds())
            fields: Headers = [(b"cookie", cookies.encode("latin-1"))] if cookies else []
            outcome = await self._through.send(interaction, UpstreamRequest(b"GET", work.location.encode(), [*headers, *fields]))
            if outcome.status != 202:
                return await self._ended(outcome)
            cookies = _cookies(cookies, outcome.headers)
            await outcome.aclose()
        raise StillWorking(_AGAIN, headers={"Retry-After": "5"})

    @staticmethod
    async def _ended(outcome: Outcome) -> Outcome:
        """What the consumer is answered: what concerns the polling is not the consumer's."""
        if outcome.status in (401, 429):
            await outcome.aclose()
            raise ProviderUnavailable("The back end does not let its answer be fetched just now", headers={"Retry-After": "5"})
        if outcome.status == 422:
            await outcome.aclose()
            raise NotProcessed("The back end could not process what it had accepted")
        outcome.headers = [field for field in outcome.headers if field[0] != b"set-cookie"]
        return outcome


def _what(interaction: Interaction) -> bytes:
    return b"%b %b?%b\0" % (interaction.method.encode(), interaction.below, interaction.query)


def _cookies(before: str, headers: Headers) -> str:
    """The cookies to send after an answer: those sent before, and those that it sets (name and value only)."""
    kept = dict(pair.split("=", 1) for pair in before.split("; ") if "=" in pair)
    for name, value in headers:
        if name == b"set-cookie":
            key, equals, rest = value.decode("latin-1").partition(";")[0].partition("=")
            if equals and key.strip():
                kept[key.strip()] = rest.strip()
    return "; ".join(f"{key}={value}" for key, value in kept.items())
