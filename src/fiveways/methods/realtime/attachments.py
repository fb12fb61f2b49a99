"""Attachments: what is too large for a message is kept in the payload store, and messages refer to it by its id."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from fiveways.clock import micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.errors import Forbidden, InvalidValue, NotFound
from fiveways.methods.realtime import records
from fiveways.methods.realtime.access import member_of
from fiveways.methods.realtime.participation import Participation
from fiveways.store.payloads import Payload, hashing, keep
from fiveways.types import Consumer

_LONGEST: Final = 255


class Attachment(NamedTuple):
    """What was put beside the messages of a channel. `at` is microseconds since the Unix epoch, `size` bytes."""

    id: str
    channel: str
    sender: str
    at: int
    name: str
    content_type: str
    size: int
    sha256: bytes
    body: bytes | None
    payload: str | None


class Attachments:
    """The attachments of every channel."""

    def __init__(self, deliveries: Deliveries, participation: Participation) -> None:
        self._deliveries = deliveries
        self._participation = participation

    async def put(
        self, consumer: Consumer, channel: str, content: AsyncIterator[bytes], name: str, content_type: str
    ) -> Attachment:
        """Keep something; durable on return. NotFound, Forbidden, InvalidValue, PayloadTooLarge and StoreError."""
        found = self._participation.find(channel)
        if not await self._participation.allowed(found.channel.settings.publishing, consumer, found):
            raise Forbidden("You may not publish in this channel")
        if len(name) > _LONGEST or len(content_type) > _LONGEST or not name.isprintable():
            raise InvalidValue(f"A name and a type have up to {_LONGEST} characters")
        digest = hashlib.sha256()
        most = self._participation.plan().settings.attachment
        kept = await keep(self._deliveries.payloads, hashing(content, digest), limit=most)
        size, body, ref = (kept.size, None, kept.ref) if isinstance(kept, Payload) else (len(kept), kept, None)
        attachment = Attachment(
            new_id(), channel, member_of(consumer), micros(self._deliveries.clock), name, content_type, size, digest.digest(), body,
            ref,
        )  # fmt: skip
        row: dict[str, Any] = {f"v_{name}": value for name, value in attachment._asdict().items()}
        await self._deliveries.group.submit(records.attach, row)
        return attachment

    async def find(self, consumer: Consumer, channel: str, id: str) -> Attachment:  # noqa: A002
        """An attachment of a channel that is open to a consumer. NotFound, Forbidden and StoreError."""
        await self._participation.joining(consumer, channel)
        rows = await self._deliveries.group.ask(records.find_attachment, {"b_channel": channel, "b_id": id})
        if not rows:
            raise NotFound("There is no such attachment in this channel")
        return Attachment(*rows[0])

    def content(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Its bytes."""
        return self._deliveries.content(attachment.body, attachment.payload)
