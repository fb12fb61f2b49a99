"""Whoever is not there is told in another way, and what is said becomes part of the record: both are deliveries.

realtime.reach    a participant has had messages waiting for too long: their mailbox, or a webhook, is told how many and where
realtime.record   a message of a conversation, as a FHIR Communication, for the server that keeps the record
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from fiveways.clock import micros, micros_in
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries, Promise
from fiveways.delivery.queue import Delivery, GiveUp, Queue
from fiveways.methods.realtime import records, transcript
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.service import RECORDED
from fiveways.methods.realtime.settings import ChannelSettings, Reach

REACH: Final = "realtime.reach"
_AGO: Final = 3_600_000_000
"""Microseconds: how far back is looked, again and again, for who is to be told."""
_RECORDED: Final = ("say", "correct", "retract")

Post = Callable[[Delivery, Mapping[str, str], Sequence[bytes]], Awaitable[None]]
"""Posts a delivery to its target: header fields, and what to sign it with."""
Mail = Callable[[Reach, str, "Waiting"], Awaitable[str]]
"""Sends a message to a mailbox, about what waits for its owner; the id of the message."""
Kinds = Callable[[], Mapping[str, ChannelSettings]]
Secrets = Callable[[str, str], Sequence[bytes]]
"""What a kind's `reach` or `record` is signed with."""


class Waiting(msgspec.Struct, frozen=True):
    """What waits for a participant: `messages` in a conversation, up to the number `offset`. `id` is that of the delivery."""

    id: str
    kind: str
    channel: str
    participant: str
    messages: int
    offset: int


_waiting: Final = msgspec.json.Decoder(Waiting).decode


class Reaching:
    """What goes out of conversations."""

    def __init__(self, deliveries: Deliveries, kinds: Kinds, post: Post, mail: Mail, secrets: Secrets) -> None:
        self._deliveries = deliveries
        self._kinds = kinds
        self._post = post
        self._mail = mail
        self._secrets = secrets
        self._looked = False

    # --- promising -------------------------------------------------------------------------------------------------------

    async def recorded(self, kind: str, settings: ChannelSettings, message: Message) -> Promise | None:
        """What has to be written with a message, for it to become part of the record; None where it does not."""
        if settings.record is None or message.happening not in _RECORDED:
            return None
        rows = await self._deliveries.group.ask(records.find_members, {"b_channel": message.channel})
        body = msgspec.json.encode(transcript.communication(message, [row[1] for row in rows]))
        return await self._deliveries.promise(
            RECORDED, target=f"{settings.record.fhir.rstrip('/')}/Communication", key=message.channel, body=body, id=message.id,
            content_type="application/fhir+json", correlation=message.correlation, envelope=kind.encode(),
        )  # fmt: skip

    async def look(self) -> None:
        """Promise that those are told for whom messages have waited for too long. StoreError."""
        for kind, settings in self._kinds().items():
            if settings.reach is not None:
                await self._look(kind, settings.reach)
        self._looked = True

    async def _look(self, kind: str, reach: Reach) -> None:
        now, group = micros(self._deliveries.clock), self._deliveries.group
        since = now - micros_in(reach.after) - _AGO if self._looked else 0  # what is older was found before
        asked = {"b_kind": kind, "b_at": now - micros_in(reach.after), "b_since": since, "b_most": records.MOST}
        rows = (await group.submit(records.find_unreached, asked, synced=False)).rows
        for channel, member, _, newest, count in rows:
            if reach.mailbox is not None and member not in reach.mailbox:
                continue
            waiting = Waiting(new_id(), kind, channel, member, count, newest)
            promise = await self._deliveries.promise(
                REACH, target=reach.url or "mailbox:", key=f"{channel} {member}", body=msgspec.json.encode(waiting), id=waiting.id,
                envelope=kind.encode(),
            )  # fmt: skip
            step = (records.reach, {"b_channel": channel, "b_member": member, "v_number": newest})
            if len(await group.transact(step, *promise.steps, guarded=1)) > 1:
                self._deliveries.wake(REACH)

    # --- delivering ------------------------------------------------------------------------------------------------------

    async def tell(self, delivery: Delivery) -> str | None:
        """Tell somebody what waits for them."""
        waiting = _waiting(b"".join([piece async for piece in delivery.content()]))
        settings = self._kinds().get(waiting.kind)
        if settings is None or settings.reach is None:
            raise GiveUp("nobody is to be told any more")
        if await self._has(waiting):
            return "they have it by now"
        reach = settings.reach
        if reach.mailbox is None:
            await self._post(delivery, {"x-fiveways-event": REACH}, self._secrets(waiting.kind, "reach"))
            return None
        mailbox = reach.mailbox.get(waiting.participant)
        if mailbox is None:
            raise GiveUp("the participant has no mailbox any more")
        return await self._mail(reach, mailbox, waiting)

    async def record(self, delivery: Delivery) -> None:
        """Have a message become part of the record; where it is already, nothing is written again."""
        kind = delivery.envelope.decode()
        fields = {"if-none-exist": f"identifier={transcript.SYSTEM}|urn:uuid:{delivery.id}", "prefer": "return=minimal"}
        await self._post(delivery, fields, self._secrets(kind, "record"))

    async def _has(self, waiting: Waiting) -> bool:
        asked: dict[str, Any] = {"b_channel": waiting.channel, "b_member": waiting.participant}
        rows = await self._deliveries.group.ask(records.find_member, asked)
        return not rows or rows[0][0] >= waiting.offset


def queues(reaching: Reaching) -> list[Queue]:
    """What is to be delivered."""
    return [
        Queue(name=REACH, handler=reaching.tell, patience=timedelta(days=3)),
        Queue(name=RECORDED, handler=_recording(reaching), attempts=2**31, patience=timedelta(days=30), blocking=True),
    ]


def _recording(reaching: Reaching) -> Callable[[Delivery], Awaitable[str | None]]:
    async def record(delivery: Delivery) -> str | None:
        await reaching.record(delivery)
        return None

    return record
