"""The webhook on arrival: a receiver that asks for it is told of each message, so that polling is a choice.

What tells of a message is promised in the transaction that puts the message into its inbox (`delivery/`): where there is the one,
there is the other, whoever dies in between. It is delivered at least once, and in order of arrival for each mailbox. It says what
there is to collect and where; never content, nor what a sender has written of it (subject, file name), which may be of a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from pydantic import Field
from sqlalchemy import BigInteger, BindParameter, Text, and_, bindparam, exists, func, select

from fiveways.clock import moment_of
from fiveways.delivery.engine import Deliveries, Promise, Step
from fiveways.delivery.queue import Capacity, Delivery, GiveUp, Handler, Queue
from fiveways.delivery.records import promise_if
from fiveways.delivery.settings import CapacitySettings
from fiveways.deployment.settings import Reference, Settings
from fiveways.methods.messaging import records
from fiveways.methods.messaging.records import Message
from fiveways.signing import SHORTEST

QUEUE = "messaging.webhook"

WebhookUrl = Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=2000)]


class WebhookSettings(Settings):
    """Whom to tell when a message arrives, so that they need not poll."""

    url: WebhookUrl
    """What is posted to; `outbound:` must allow it."""
    secrets: tuple[Reference, ...] = Field(min_length=1, max_length=10)
    """What calls are signed with: one, or several while one takes another's place. At least 16 bytes each."""
    capacity: CapacitySettings | None = None
    """What the receiver takes, where it is not to be told of everything at once. Mailboxes with the same URL share it."""


class Webhook:
    """A mailbox's webhook as it runs. ValueError for a secret that is too short."""

    __slots__ = ("capacity", "secrets", "url")

    def __init__(self, settings: WebhookSettings, secrets: Sequence[bytes]) -> None:
        if any(len(secret) < SHORTEST for secret in secrets):
            raise ValueError(f"a webhook's secret has {SHORTEST} bytes or more")
        self.url = settings.url
        self.secrets = tuple(secrets)
        said = settings.capacity
        self.capacity = Capacity(settings.url, said.rate, said.at_once) if said is not None else None


Find = Callable[[str], Webhook | None]
"""The webhook of a mailbox, if it has one just now."""


class Arrival(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a receiver is told, in JSON."""

    event: str
    message_id: str
    mailbox: str
    workflow_id: str
    kind: str
    """DATA, or REPORT: what the platform tells a sender."""
    chunks: int
    accepted: str
    """When it came to be in the inbox."""
    download: str
    """Where it is collected, at the address that the mailbox is used at."""
    sender: str = ""
    local_id: str = ""
    correlation_id: str = ""
    size: int | None = None
    """Bytes of its content; not there where its last chunks came at the same moment."""


_id: BindParameter[str] = bindparam("b_message", type_=Text)
_size: BindParameter[int] = bindparam("b_size", type_=BigInteger)
_waits = exists().where(records.inbox.c.message == _id)
_if_whole = promise_if(_waits)
_here = select(func.sum(records.message_chunks.c.size)).where(records.message_chunks.c.message == _id).scalar_subquery()
_if_whole_of_size = promise_if(and_(_waits, _here == _size))
"""The size that is told was added up before the transaction, and chunks may have come since: then it is left out."""


class Arrivals:
    """Promises to tell of arrivals. `find`: whose; `within`: how long a message waits, after which nobody need be told."""

    def __init__(self, deliveries: Deliveries, find: Find, within: timedelta) -> None:
        self._deliveries = deliveries
        self._find = find
        self._within = within

    async def of(self, steps: Sequence[tuple[Any, Any]]) -> list[Step]:
        """What tells of the messages that `steps` put into inboxes, to be written with them, after them; then `wake`."""
        promised: list[Step] = []
        message: Mapping[str, Any] = {}
        size = 0
        for statement, row in steps:
            if statement is records.add_message:
                message, size = row, 0
            elif statement is records.add_chunk:
                size = row["size"]
            elif statement is records.add_to_inbox and (hook := self._find(row["v_mailbox"])) is not None:
                arrival = _arrival(message, message["at"], size)
                promised += (await self._promise(hook, arrival, message["at"])).steps
        return promised

    async def when_whole(self, message: Message, at: int, size: int) -> list[Step]:
        """The same for a message of several chunks, if those steps before complete it. `size`: bytes of all chunks, this
        one included, as far as they are known; `at`: microseconds since the Unix epoch."""
        hook = self._find(message.recipient)
        if hook is None:
            return []
        arrival = _arrival(msgspec.structs.asdict(message), at, size)
        bound = {"b_message": message.id, "b_size": size}
        exact = await self._promise(hook, arrival, at, condition=_if_whole_of_size, parameters=bound)
        plain = msgspec.structs.replace(arrival, size=None)
        otherwise = await self._promise(hook, plain, at, condition=_if_whole, parameters=bound)
        return [exact.steps[0], *otherwise.steps]

    def wake(self) -> None:
        """What was promised is committed."""
        self._deliveries.wake(QUEUE)

    async def _promise(self, hook: Webhook, arrival: Arrival, at: int, **conditions: Any) -> Promise:
        return await self._deliveries.promise(
            QUEUE,
            key=arrival.mailbox,
            target=hook.url,
            body=msgspec.json.encode(arrival),
            correlation=arrival.correlation_id,
            expires_at=moment_of(at) + self._within,
            id=f"{arrival.message_id}:webhook",
            **conditions,
        )


def _arrival(message: Mapping[str, Any], at: int, size: int) -> Arrival:
    return Arrival(
        event="message.arrived",
        message_id=message["id"],
        mailbox=message["recipient"],
        workflow_id=message["workflow"],
        kind=message["kind"],
        chunks=message["chunks"],
        accepted=moment_of(at).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        download=f"/messageexchange/{message['recipient']}/inbox/{message['id']}",
        sender=message["sender"],
        local_id=message["local_id"],
        correlation_id=message["correlation"],
        size=size,
    )


def queue(find: Find, post: Handler) -> Queue:
    """How arrivals are told: `post` does it, for as long as the mailbox has a webhook."""

    async def tell(delivery: Delivery) -> None:
        if find(delivery.key) is None:
            raise GiveUp("the mailbox has no webhook any more")
        await post(delivery)

    def capacity(delivery: Delivery) -> Capacity | None:
        hook = find(delivery.key)
        return hook.capacity if hook is not None else None

    return Queue(
        name=QUEUE,
        handler=tell,
        attempts=_UNTIL_PATIENCE_ENDS,
        longest_wait=timedelta(minutes=5),
        lease=timedelta(seconds=10),
        capacity=capacity,
    )


_UNTIL_PATIENCE_ENDS = 10_000
"""Attempts: a receiver that is down for the night is told of everything in the morning; a queue's three days end it."""
