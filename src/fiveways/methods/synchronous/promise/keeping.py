"""Keeping: each promise of an API is delivered, through the same resilience, audit and policies as any request to its back end.

| The provider's answer | |
|---|---|
| 2xx | delivered |
| 401, 403, 408, 425, 429, 5xx, none | another attempt, after Retry-After where the provider says it: it will be otherwise one day |
| any other | a dead letter: the provider will not take this one |

Every attempt bears the promise's id as Idempotency-Key: a provider that looks at it does nothing twice, though a node died between
its answer and our knowing of it. While its breaker is open nothing is attempted, and nothing written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

from fiveways.clock import Clock
from fiveways.delivery import envelope
from fiveways.delivery.outbound import AGAIN, retry_after
from fiveways.delivery.queue import Capacity, Delivery, GiveUp, Queue, Retry
from fiveways.errors import Fault, ProviderFaulty
from fiveways.methods.synchronous import paths
from fiveways.methods.synchronous.answer import whole
from fiveways.methods.synchronous.api import Api
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.methods.synchronous.promise.accepting import queue_of
from fiveways.methods.synchronous.promise.outcome import Answered, Tell
from fiveways.methods.synchronous.promise.settings import OutcomeSettings, PromiseSettings
from fiveways.types import Outcome

_OURS: Final = frozenset((401, 403))
"""Statuses that are of the gateway, which the provider does not let in just now, and not of what it is brought."""
_LONG: Final = 64 * 1024
"""Bytes of an answer that are read, so that its connection may be used again, and that may be told."""


class Keeping:
    """Delivers what was promised in the name of one API."""

    def __init__(self, api: Api, clock: Clock, outcome: OutcomeSettings | None = None, tell: Tell | None = None) -> None:
        """`tell`: what tells of answers as `outcome` has it."""
        self._api = api
        self._clock = clock
        self._outcome = outcome
        self._tell = tell

    async def __call__(self, delivery: Delivery) -> str:
        """Make an attempt; what the provider said. Raises Retry or GiveUp."""
        kept = envelope.decode(delivery.envelope)
        body: AsyncIterator[bytes] | None = delivery.content() if delivery.size else None
        length = delivery.size if body is not None else None
        api = self._api
        if delivery.target[:1] not in ("", "/", "?") or not delivery.target.isascii():  # a person may have mended it so
            raise GiveUp("its target is no path below the API's")
        interaction = kept.interaction(api.name, api.base, delivery.target, delivery.id, body, length, self._clock.monotonic())
        try:
            paths.check(interaction.path, interaction.query)
        except Fault as fault:
            raise GiveUp(fault.diagnostics) from None
        interaction.facts["promise"] = delivery.id
        interaction.facts["attempt"] = delivery.attempt
        route = interaction.route = api.route(interaction)
        assert route.inner is not None
        outcome = await route.inner(interaction)
        said = b""
        with suppress(Fault):
            said = await whole(outcome.body, _LONG, ProviderFaulty())
        conclusion = self._conclusion(outcome)
        if self._outcome is not None and self._tell is not None and kept.application in self._outcome.to:
            content_type = dict(outcome.headers).get(b"content-type", b"").decode("latin-1")
            correlation = (kept.correlation_id or kept.request_id).decode("latin-1")
            told = self._outcome, kept.application, delivery.id, correlation, outcome.status, content_type, said
            await self._tell(Answered(*told))
        return conclusion

    def _conclusion(self, outcome: Outcome) -> str:
        status, fault = outcome.status, outcome.fault
        said = f"answered {status}" if fault is None else f"{fault.code}: {fault.diagnostics}"
        if 200 <= status < 300:
            return said
        if status in AGAIN or status in _OURS or status >= 500:
            asked = dict(outcome.headers).get(b"retry-after")
            raise Retry(said, retry_after(asked.decode("latin-1") if asked is not None else None, self._clock.now()))
        raise GiveUp(said)


def queue(
    api: Api, settings: PromiseSettings, url: str, longest: timedelta, breaker: Breaker, clock: Clock, tell: Tell | None
) -> Queue:
    """The queue of an API's promises. `url`: the provider's; `longest`: how long an attempt may take."""
    said = settings.capacity
    capacity = Capacity(url, said.rate, said.at_once) if said is not None else None
    return Queue(
        name=queue_of(api.name),
        handler=Keeping(api, clock, settings.outcome, tell),
        attempts=2**31,  # a provider may be down for days: time decides, not number
        patience=settings.keep_trying,
        first_wait=settings.first_wait,
        longest_wait=settings.longest_wait,
        time_limit=longest + timedelta(seconds=5),
        concurrency=settings.keys_at_once,
        blocking=settings.after_failure == "wait",
        capacity=lambda delivery: capacity,
        room=breaker.room,
    )
