"""A listener: polls a mailbox, gives each message to a handler, and acknowledges what the handler has dealt with (A3).

A handler gets each message at least once; `Message.id` tells it that it has seen one before. It gets none again once it has
returned and that was noted, even if the acknowledgement is still to be sent (`deliveries.py`). What it fails on is tried again,
ever less often, and is then a dead letter: kept whole, with the reason, in a folder, so that the inbox is not blocked (A45).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from fiveways.client.deliveries import Deliveries, Stage
from fiveways.client.errors import DeadLetter, Garbled, Gone, Unavailable
from fiveways.client.landing import land
from fiveways.client.lock import alone
from fiveways.client.mailbox import Mailbox
from fiveways.client.matching import match
from fiveways.client.message import Message
from fiveways.client.schedule import HANDSHAKE, Retry, Schedule

log = logging.getLogger(__name__)

Handler = Callable[[Message], Awaitable[None]]
"""Deals with a message. What it raises is the reason why it could not; DeadLetter says that it never will."""

REMEMBERED = timedelta(days=60)
"""How long an acknowledged message is remembered: longer than MESH keeps any."""


@dataclass(slots=True)
class Round:
    """What came of looking once."""

    found: int = 0
    """Messages that waited."""
    handled: int = 0
    put_off: int = 0
    """Messages that the handler failed on, or is not to be given yet."""
    dead: int = 0

    @property
    def moved(self) -> bool:
        """Whether there was anything to be done: a reason to look again soon."""
        return bool(self.handled or self.dead)


class Listener:
    """Listens to one mailbox. One process does at a time: another one with the same ledger is refused with AlreadyListening.

    `workflow` has it look at some messages only (`W`, `!W`, `W*`, …). `dead_letters` is a folder, by default beside the ledger;
    `keep_dead` leaves dead letters in the inbox too. A handler that takes longer than `patience` has failed.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        handler: Handler,
        *,
        schedule: Schedule | None = None,
        retry: Retry | None = None,
        workflow: str = "",
        dead_letters: Path | None = None,
        keep_dead: bool = False,
        patience: timedelta = timedelta(hours=1),
    ) -> None:
        self._mailbox = mailbox
        self._handler = handler
        self._ledger = mailbox.ledger
        self._deliveries = Deliveries(mailbox.ledger, mailbox.id)
        self._schedule = schedule or Schedule()
        self._retry = retry or Retry()
        self._workflow = workflow
        self._dead_letters = dead_letters or self._ledger.path.with_name(f"{self._ledger.path.name}.dead")
        self._keep_dead = keep_dead
        self._patience = patience
        self._lock = self._ledger.path.with_name(f"{self._ledger.path.name}.{mailbox.id}.lock")
        self._shaken: datetime | None = None

    async def run(self) -> None:
        """Listen until cancelled. Raises Denied where the mailbox does not let us in; anything else that fails is tried again."""
        with alone(self._lock):
            quiet = 0
            while True:
                began = self._ledger.clock.now()
                try:
                    quiet = 0 if (await self._look()).moved else quiet + 1
                except Unavailable as error:
                    quiet += 1
                    log.warning("mailbox %s: %s", self._mailbox.id, error)
                await self._rest(began + self._schedule.after(quiet))

    async def once(self) -> Round:
        """Look once, and deal with all that waits and is due."""
        with alone(self._lock):
            return await self._look()

    async def _look(self) -> Round:
        now = self._ledger.clock.now()
        if self._shaken is None or now - self._shaken >= HANDSHAKE:
            await self._mailbox.handshake()
            self._shaken = now
            self._deliveries.forget(REMEMBERED)
        seen = Round()
        async for page in self._mailbox.pages(self._workflow):
            for message_id in page:
                seen.found += 1
                await self._deal(message_id, seen)
        return seen

    async def _rest(self, until: datetime) -> None:
        """Wait until it is time to look again; meanwhile, try again what comes due."""
        while (now := self._ledger.clock.now()) < until:
            due = self._deliveries.next_due()
            wake = until if due is None else min(until, max(due, now))
            await asyncio.sleep((wake - now).total_seconds())
            try:
                for message_id in self._deliveries.due():
                    await self._deal(message_id, Round())
            except Unavailable as error:
                log.warning("mailbox %s: %s", self._mailbox.id, error)
                await asyncio.sleep((until - self._ledger.clock.now()).total_seconds())

    # --- one message -----------------------------------------------------------------------------------------------------

    async def _deal(self, message_id: str, seen: Round) -> None:
        known = self._deliveries.of(message_id)
        if known is not None and known.stage is not Stage.TRIED:
            seen.handled += known.stage is Stage.HANDLED
            if known.stage is not Stage.DEAD or not self._keep_dead:
                await self._acknowledge(message_id)
            return
        if known is not None and known.due > self._ledger.clock.time() * 1e6:
            seen.put_off += 1
            return
        if known is not None and known.attempts >= self._retry.attempts:  # the last attempt ended with the process that made it
            await self._bury(message_id, known.reason or "whoever handled it came to an end meanwhile", seen)
            return
        try:
            message = await self._mailbox.receive(message_id)
        except Gone:
            self._deliveries.drop(message_id)
            return
        except Garbled as error:
            await self._bury(message_id, str(error), seen)
            return
        try:
            await self._hand_over(message, seen)
        finally:
            message.close()

    async def _hand_over(self, message: Message, seen: Round) -> None:
        message.attempt = self._deliveries.begin(message.id)
        try:
            message.request = await asyncio.to_thread(match, self._ledger, message)
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._handler(message)
        except asyncio.CancelledError:
            self._deliveries.take_back(message.id)
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            log.warning("message %s, attempt %d: %s", message.id, message.attempt, reason)
            if isinstance(error, DeadLetter) or message.attempt >= self._retry.attempts:
                await self._bury(message.id, reason, seen, message)
            else:
                self._deliveries.put_off(message.id, self._ledger.clock.now() + self._retry.after(message.attempt), reason)
                seen.put_off += 1
            return
        self._deliveries.handled(message.id)
        seen.handled += 1
        log.info("message %s is handled", message.id)
        await self._acknowledge(message.id)

    async def _bury(self, message_id: str, reason: str, seen: Round, message: Message | None = None) -> None:
        """Keep a message as a dead letter, as it came; only then let it leave the inbox."""
        buried = message or await self._mailbox.receive(message_id, as_sent=True)
        try:
            known = self._deliveries.of(message_id)
            if known is None:
                self._deliveries.begin(message_id)
            self._dead_letters.mkdir(parents=True, exist_ok=True, mode=0o700)
            attempts = known.attempts if known is not None else 0
            await asyncio.to_thread(land, buried, self._dead_letters, attempts=attempts, reason=reason)
        finally:
            if message is None:
                buried.close()
        self._deliveries.dead(message_id, reason)
        seen.dead += 1
        log.error("message %s is a dead letter: %s", message_id, reason)
        if not self._keep_dead:
            await self._acknowledge(message_id)

    async def _acknowledge(self, message_id: str) -> None:
        with suppress(Gone):
            await self._mailbox.acknowledge(message_id)
        self._deliveries.over(message_id)
