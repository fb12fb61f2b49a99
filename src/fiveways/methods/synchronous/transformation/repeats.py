"""Repeats of messages: one that comes again gets the answer that the first one got, and is not processed again.

A message's own id names it, not its request's. While the first is being processed a repeat waits for it. Where the process that had
it died, the repeat is processed, under the same Idempotency-Key: of a message that nobody has an answer to, its sender keeps
asking. Only answers that are final are kept: a failure that will pass is tried anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from fiveways.clock import Clock
from fiveways.errors import Conflict, Fault, KeyReused, StoreError
from fiveways.ledger.idempotency import Answered, Claim, Duplicates, Fresh
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.types import Interaction, Known, Outcome

LEASE: Final = timedelta(seconds=5)
"""For how long a claim is good that nobody renews: its process died."""
_LOOK: Final = 0.1


class Repeats:
    """Remembers the answers of one API's messages, for `keep`."""

    def __init__(self, api: str, duplicates: Duplicates, pseudonyms: Pseudonyms, clock: Clock, keep: timedelta) -> None:
        self._operation = f"{api} messages"
        self._duplicates = duplicates
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._keep = keep

    async def once(self, interaction: Interaction, known: Known, handle: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """What `handle` gives for the first message of its key, whose body is whole. Raises KeyReused for another message under its
        key, Conflict where the first takes too long, and what `handle` raises."""
        found = await self._begin(interaction.consumer.application, self._pseudonyms.of(known.key.encode()))
        if isinstance(found, Answered):
            if not found.same_request(known.fingerprint):
                raise KeyReused("Its own id was used before for another message; a new message has a new one")
            interaction.facts["duplicate"] = True
            answer = found.answer
            return Outcome(answer.status, answer.headers, answer.body)
        renewing = asyncio.create_task(self._renew(found))
        try:
            outcome = await handle()
        except BaseException:
            await self._duplicates.abandon(found)
            raise
        finally:
            renewing.cancel()
        await self._remember(found, known, outcome)
        return outcome

    async def _begin(self, consumer: str, key: str) -> Claim | Answered:
        until = self._clock.monotonic() + 2 * LEASE.total_seconds()
        while True:
            found = await self._duplicates.begin(consumer, self._operation, key, LEASE, self._keep, again=True)
            if isinstance(found, Fresh):
                return found.claim
            if isinstance(found, Answered):
                return found
            if self._clock.monotonic() >= until:
                raise Conflict("A message with this id is being processed; send it again shortly", headers={"Retry-After": "5"})
            await asyncio.sleep(_LOOK)

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            await self._duplicates.renew(claim, LEASE)

    async def _remember(self, claim: Claim, known: Known, outcome: Outcome) -> None:
        assert isinstance(outcome.body, bytes)
        if outcome.status >= 300:
            await self._duplicates.abandon(claim)
            return
        expires = self._clock.now() + self._keep
        try:
            await self._duplicates.complete(
                claim, known.fingerprint, outcome.status, outcome.headers, outcome.body, expires=expires
            )  # fmt: skip
        except StoreError as error:
            raise _NotRemembered from error


class _NotRemembered(Fault):
    """The message was processed, and its answer could not be kept: its sender is to send it again."""

    status, code, party, issue, display = 503, "SERVICE_UNAVAILABLE", "platform", "transient", "Service unavailable"
