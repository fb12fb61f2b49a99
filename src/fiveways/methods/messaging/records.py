"""The rows of messaging, and what is asked of them.

    messages          one row a message, never changed
    message_events    what happened to it, in order of its life (`states.py`)
    message_chunks    its content: small chunks in the row, large ones in the payload store
    inbox             what waits to be collected, in order of arrival: what a list reads, and all that it reads

An inbox row goes when its message ends, so that listing costs the same however many messages are kept.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert as insert_new

from fiveways.methods.messaging.states import PLACE, State
from fiveways.store.database import Database
from fiveways.store.tables import PAYLOAD, metadata

_Position = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only in INTEGER

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("local_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("details", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_messages_local_id", messages.c.sender, messages.c.local_id, sqlite_where=messages.c.local_id != "",
      postgresql_where=messages.c.local_id != "")  # fmt: skip
Index("ix_messages_sender", messages.c.sender, messages.c.id)
Index("ix_messages_recipient", messages.c.recipient, messages.c.id)

message_events = Table(
    "message_events",
    metadata,
    Column("message", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

message_chunks = Table(
    "message_chunks",
    metadata,
    Column("message", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("body", LargeBinary),
    Column("payload", Text, info=PAYLOAD),
    sqlite_with_rowid=False,
)
Index(None, message_chunks.c.payload, sqlite_where=message_chunks.c.payload.is_not(None),
      postgresql_where=message_chunks.c.payload.is_not(None))  # fmt: skip

inbox = Table(
    "inbox",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=True),
    Column("mailbox", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index(None, inbox.c.mailbox, inbox.c.position)
Index("ix_inbox_message", inbox.c.message, unique=True)


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sender says of a message, beyond what it is found by; '' where nothing was said."""

    subject: str = ""
    file_name: str = ""
    partner_id: str = ""
    checksum: str = ""
    content_type: str = ""
    content_encoding: str = ""
    encrypted: bool = False
    compressed: bool = False
    linked: str = ""
    """The message that a report is about."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a message. `at` is in microseconds since the Unix epoch."""

    state: State
    at: int
    code: str = ""
    reason: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message as it is kept, and its life so far. `at` is in microseconds since the Unix epoch."""

    id: str
    sender: str
    recipient: str
    workflow: str
    local_id: str
    kind: str
    """DATA, or REPORT: what the platform tells a sender."""
    chunks: int
    at: int
    correlation: str
    details: Details
    events: tuple[Event, ...]

    @property
    def state(self) -> State:
        """Where it is: the newest event says so."""
        return self.events[-1].state

    def reached(self, state: State) -> int | None:
        """When it came to `state`, in microseconds; None where it did not."""
        return next((event.at for event in self.events if event.state is state), None)

    @property
    def failure(self) -> Event | None:
        """How it came to nothing; None where it did not."""
        return self.events[-1] if self.state in (State.ERROR, State.UNDELIVERABLE) else None


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a message's content: `body` where it is in the row, otherwise `payload` says where it is."""

    number: int
    size: int
    sha256: str
    body: bytes | None
    payload: str | None


class Draft(msgspec.Struct):
    """A message as its sender hands it in: to whom, what it is, and how many chunks there will be."""

    sender: str
    recipient: str
    workflow: str
    local_id: str
    chunks: int
    details: Details
    correlation: str


class Sent(msgspec.Struct, frozen=True):
    """What a sender is told: its message's id, and whether it is one that was sent before (`repeats.py`)."""

    id: str
    repeated: bool = False


class Listing(msgspec.Struct):
    """What waits in an inbox: message ids in order of arrival, the position to go on from, is there more, how many in all."""

    messages: list[str]
    last: int
    more: bool
    count: int


# --- statements -----------------------------------------------------------------------------------------------------------

_id: BindParameter[str] = bindparam("b_id", type_=Text)
_mailbox: BindParameter[str] = bindparam("b_mailbox", type_=Text)
count_chunks = select(func.count()).select_from(message_chunks).where(message_chunks.c.message == _id)
_chunks_here = count_chunks.scalar_subquery()
_arrived = exists().where(and_(message_events.c.message == _id, message_events.c.place >= PLACE[State.ACCEPTED]))
_complete = and_(messages.c.id == _id, messages.c.chunks == _chunks_here, ~_arrived)
_all_here = exists().where(messages.c.id == _id, messages.c.chunks <= _chunks_here)

add_message = insert(messages)
add_event = insert(message_events)
add_chunk = insert(message_chunks)
add_to_inbox = insert(inbox).values({name: bindparam(f"v_{name}", type_=Text) for name in ("mailbox", "message", "workflow")})

hold_upload = update(messages).where(messages.c.id == _id).values(chunks=messages.c.chunks)
"""A claim on a message that is still arriving, before what is written of it below: nodes that receive its last two chunks take
turns, and one sees both; nodes that receive its last chunk twice do, and one sees that it is whole; so do one that receives it and
one that gives the upload up. Each statement that follows looks for itself whether the upload goes on: what was read along
with the claim may be what was there before the wait for it (PostgreSQL)."""


def _put_chunk(*conditions: ColumnElement[bool]) -> postgresql.Insert:
    chunk = select(*(bindparam(f"v_{column.name}", type_=column.type) for column in message_chunks.columns)).where(*conditions)
    put = insert_new(message_chunks).from_select(message_chunks.columns.keys(), chunk)
    return put.on_conflict_do_update(
        index_elements=[message_chunks.c.message, message_chunks.c.number],
        set_={name: put.excluded[name] for name in ("size", "sha256", "body", "payload")},
    )


put_chunk = _put_chunk(~_arrived)
"""A chunk, in the place of one that was there; nothing where the message has arrived."""
put_chunk_unless_whole = _put_chunk(~_arrived, ~_all_here)
"""The same; nothing where all chunks are there, whether or not the message has arrived."""
deliver_if_whole = insert_new(inbox).from_select(
    ["mailbox", "message", "workflow"], select(messages.c.recipient, messages.c.id, messages.c.workflow).where(_complete)
)
_at: BindParameter[int] = bindparam("b_at", type_=BigInteger)
_reason: BindParameter[str] = bindparam("b_reason", type_=Text)


def append_event(message: Any, place: Any, state: Any, code: Any, reason: Any, *conditions: Any) -> postgresql.Insert:
    """A statement that appends an event (at `b_at`) to the message that `conditions` find, if any; values may be bound."""
    event = select(message, place, state, _at, code, reason).where(*conditions)
    return insert_new(message_events).from_select(["message", "place", "state", "at", "code", "reason"], event)


_nothing = literal("")
accept_if_whole = append_event(
    messages.c.id, literal(PLACE[State.ACCEPTED]), literal(State.ACCEPTED.value), _nothing, _nothing, _complete
)
abandon = append_event(
    messages.c.id, literal(PLACE[State.ERROR]), literal(State.ERROR.value), _nothing, _reason, messages.c.id == _id, ~_arrived
)
"""The end of an upload that was never completed."""
end = append_event(
    inbox.c.message,
    literal(PLACE[State.ACKNOWLEDGED]),
    bindparam("b_state", type_=Text),
    bindparam("b_code", type_=Text),
    _reason,
    inbox.c.message == _id,
    inbox.c.mailbox == _mailbox,
).on_conflict_do_nothing()
"""The end of a message that waits in an inbox, whichever it is."""
remove_chunk = delete(message_chunks).where(message_chunks.c.message == _id, message_chunks.c.number == bindparam("b_number"))
leave_inbox = delete(inbox).where(inbox.c.message == _id, inbox.c.mailbox == _mailbox)


# --- questions: asked in the transaction of what is written beside them, or alone -------------------------------------------

_after: BindParameter[int] = bindparam("b_after", type_=BigInteger)
_most: BindParameter[int] = bindparam("b_most", type_=Integer)
_life = message_events.c
with_life = select(messages, _life.state, _life.at.label("happened"), _life.code, _life.reason).join(
    message_events, _life.message == messages.c.id
)
"""A row for each event of each message; `messages_of` reads them."""

find_message = with_life.where(messages.c.id == _id).order_by(_life.place)
find_by_local_id = (
    with_life.where(
        messages.c.sender == bindparam("b_sender"), messages.c.local_id == bindparam("b_local_id"), messages.c.local_id != ""
    )
    .order_by(messages.c.id.desc(), _life.place)
    .limit(6)
)
"""Rows of the two newest messages that a sender has given a local id (a life has three events at most)."""
find_chunk = select(*(message_chunks.c[name] for name in ("number", "size", "sha256", "body", "payload"))).where(
    message_chunks.c.message == _id, message_chunks.c.number == bindparam("b_number", type_=Integer)
)
total_size = select(func.coalesce(func.sum(message_chunks.c.size), 0)).where(message_chunks.c.message == _id)
count = select(func.count()).select_from(inbox).where(inbox.c.mailbox == _mailbox)
"""How many messages wait in an inbox: counted one by one, so not for every request."""
position_of = select(inbox.c.position).where(inbox.c.message == _id)


def waiting(*conditions: ColumnElement[bool], first: bool = False) -> Select[Any]:
    """What waits in an inbox behind a position, in order of arrival; `conditions` are on `inbox.c.workflow`.

    `first`: only what is among the first `b_first` of all that meet them.
    """
    mine = (inbox.c.mailbox == _mailbox, *conditions)
    query = select(inbox.c.position, inbox.c.message).where(*mine, inbox.c.position > _after)
    if first:
        end = select(inbox.c.position).where(*mine).order_by(inbox.c.position).offset(_first).limit(1).correlate(None)
        query = query.where(inbox.c.position < func.coalesce(end.scalar_subquery(), _BEYOND))
    return query.order_by(inbox.c.position).limit(_most)


_first: BindParameter[int] = bindparam("b_first", type_=Integer)
_BEYOND = literal(2**63 - 1, BigInteger)
"""A position behind all others."""
all_waiting = waiting()
first_waiting = waiting(first=True)


_id_before: BindParameter[str] = bindparam("b_id_before", type_=Text)
_id_after: BindParameter[str] = bindparam("b_id_after", type_=Text)
find_unfinished = (
    select(messages.c.id, messages.c.at)
    .where(messages.c.id > _id_after, messages.c.id < _id_before, messages.c.chunks > 1)
    .where(~exists().where(and_(_life.message == messages.c.id, _life.place >= PLACE[State.ACCEPTED])))
    .order_by(messages.c.id)
    .limit(_most)
)
"""Uploads that were begun between two moments (`first_id`) and go on, oldest first."""
find_old = (
    select(messages.c.id)
    .where(messages.c.id < _id_before)
    .where(exists().where(and_(_life.message == messages.c.id, _life.place == PLACE[State.ACKNOWLEDGED])))
    .order_by(messages.c.id)
    .limit(_most)
    .with_for_update(of=messages, skip_locked=True)
)
"""Messages whose life has ended of ids before one, oldest first; those that another node is about to remove are left to it."""
find_removed = (
    select(message_chunks.c.message, message_chunks.c.number, message_chunks.c.payload)
    .where(message_chunks.c.message < _id_before)
    .where(~exists().where(messages.c.id == message_chunks.c.message))
    .order_by(message_chunks.c.message, message_chunks.c.number)
    .limit(_most)
)
"""Chunks of messages that are not there any more, of ids before one: their payloads are still to be removed."""


def event_row(message: str, state: State, at: int, code: str = "", reason: str = "") -> dict[str, Any]:
    """A row of `add_event`. `at`: microseconds since the Unix epoch."""
    return {"message": message, "place": PLACE[state], "state": state.value, "at": at, "code": code, "reason": reason}


def messages_of(rows: list[tuple[Any, ...]]) -> list[Message]:
    """The messages in rows of `find_message` or `find_by_local_id`, in their order."""
    lives: dict[str, tuple[tuple[Any, ...], list[Event]]] = {}
    for row in rows:
        lives.setdefault(row[0], (row, []))[1].append(Event(State(row[10]), row[11], row[12], row[13]))
    made = ((*row[:9], _details.decode(row[9]), tuple(events)) for row, events in lives.values())
    return [Message(*fields) for fields in made]


_details = msgspec.json.Decoder(Details)


async def remove_old(database: Database, before: str, most: int) -> int:
    """Remove messages whose life has ended of ids before one, `most` at once; how many. Chunks with a payload stay behind."""
    async with database.write() as connection:
        found = await connection.scalars(find_old, {"b_id_before": before, "b_most": most})
        ids = list(found.all())
        if ids:
            await connection.execute(
                delete(message_chunks).where(message_chunks.c.message.in_(ids), message_chunks.c.payload.is_(None))
            )
            await connection.execute(delete(message_events).where(message_events.c.message.in_(ids)))
            await connection.execute(delete(messages).where(messages.c.id.in_(ids)))
    return len(ids)


async def forget(database: Database, recipient: str | None) -> list[str]:
    """Remove all messages, or those of one recipient; the payloads that nothing refers to any more."""
    gone = select(messages.c.id)
    if recipient is not None:
        gone = gone.where(messages.c.recipient == recipient)
    async with database.write() as connection:
        payloads = select(message_chunks.c.payload).where(message_chunks.c.payload.is_not(None), message_chunks.c.message.in_(gone))
        found = list((await connection.scalars(payloads)).all())
        for table in (message_chunks, message_events, inbox):
            await connection.execute(delete(table).where(table.c.message.in_(gone)))
        await connection.execute(delete(messages).where(messages.c.id.in_(gone)))
    return found
