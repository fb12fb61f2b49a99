"""The rows of delivery, and what is asked of them.

    deliveries        one row a delivery: what is to go where
    delivery_events   what happened to it, in order of its life (`states.py`)
    delivery_queue    what is still to be attempted, in order: all that a worker reads
    delivery_leases   the keys that somebody works on just now, who, and until when
    delivery_slots    attempts under way at receivers that take only so many at once
    dead_letters      what waits for a person: all that a list of them reads

Of the rows of one key only the first has a `due` that comes; those behind it are put aside (`NEVER`) by whoever works on the key,
and the next is brought forward when the first has ended. So looking for work costs the same however many wait behind a receiver
that is down, and each row is put aside once at most. A promise only inserts: it waits for no lock, and no lock is taken in an order
that could meet another's. A row that is put aside has been seen behind another; one that was not seen is due by itself.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert

from fiveways.delivery.states import State, after
from fiveways.store.lives import appending
from fiveways.store.tables import PAYLOAD, metadata

NEVER = 2**62
"""A moment that does not come."""

_Position = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only in INTEGER

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary),
    Column("payload", Text, info=PAYLOAD),
    Column("correlation", Text, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("expires", BigInteger, nullable=False),
    Column("envelope", LargeBinary),  # what else the method that promised it must know, in its own words
)
_stored = deliveries.c.payload.is_not(None)
Index(None, deliveries.c.payload, sqlite_where=_stored, postgresql_where=_stored)

delivery_events = Table(
    "delivery_events",
    metadata,
    Column("delivery", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("happening", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),  # the node, or the person's account
    Column("reason", Text, nullable=False),
)

delivery_queue = Table(
    "delivery_queue",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=True),
    Column("queue", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("delivery", Text, nullable=False),
    Column("ready", BigInteger, nullable=False),  # when it may go, were it the first
    Column("due", BigInteger, nullable=False),  # when somebody is to look at it
    Column("attempts", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),  # when it was promised, or sent again
    Column("expires", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_delivery_queue_due", delivery_queue.c.queue, delivery_queue.c.due)
Index("ix_delivery_queue_expires", delivery_queue.c.queue, delivery_queue.c.expires)
Index("ix_delivery_queue_position", delivery_queue.c.queue, delivery_queue.c.key, delivery_queue.c.position)
Index("ix_delivery_queue_aside", delivery_queue.c.queue, delivery_queue.c.key, delivery_queue.c.due)
Index("ix_delivery_queue_delivery", delivery_queue.c.delivery, unique=True)

delivery_leases = Table(
    "delivery_leases",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("token", Text, nullable=False),  # of this holding and no other: the fence
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)

delivery_slots = Table(
    "delivery_slots",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("delivery", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
Index("ix_dead_letters_queue_at", dead_letters.c.queue, dead_letters.c.at)


def _text(name: str) -> BindParameter[str]:
    return bindparam(name, type_=Text)


def _moment(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


_id, _queue, _key, _token, _by, _reason = (_text(f"b_{name}") for name in ("id", "queue", "key", "token", "by", "reason"))
_now, _until, _at = (_moment(f"b_{name}") for name in ("now", "until", "at"))
_row, _event, _lease, _slot = delivery_queue.c, delivery_events.c, delivery_leases.c, delivery_slots.c


# --- promising ------------------------------------------------------------------------------------------------------------


def promise_if(condition: ColumnElement[bool]) -> postgresql.Insert:
    """A statement that keeps a delivery where `condition` holds, and where there is none of its id yet."""
    values = (bindparam(f"v_{column.name}", type_=column.type) for column in deliveries.columns)
    chosen = select(*values).where(condition)
    return insert(deliveries).from_select([column.name for column in deliveries.columns], chosen).on_conflict_do_nothing()


_given = {column.name: bindparam(f"v_{column.name}", type_=column.type) for column in deliveries.columns}
promise = insert(deliveries).values(_given).on_conflict_do_nothing()
"""Keep a delivery, where there is none of its id yet."""
_this = deliveries.c.id == _id
begin_life = (
    insert(delivery_events)
    .from_select(
        [column.name for column in delivery_events.columns],
        select(
            deliveries.c.id,
            literal(0),
            literal("promise"),
            literal(after(None, "promise").value),
            deliveries.c.at,
            _by,
            literal(""),
        ).where(_this),
    )
    .on_conflict_do_nothing()
)
_unattempted = ~exists().where(_event.delivery == _id, _event.number > 0)
_not_before = _moment("b_not_before")
queue_up = (
    insert(delivery_queue)
    .from_select(
        ["queue", "key", "delivery", "ready", "due", "attempts", "since", "expires"],
        select(
            deliveries.c.queue, deliveries.c.key, deliveries.c.id, _not_before, _not_before, literal(0), deliveries.c.at,
            deliveries.c.expires,
        ).where(_this, _unattempted),
    )
    .on_conflict_do_nothing(index_elements=[_row.delivery])
)  # fmt: skip
"""Queue a delivery behind those of its key, unless it is queued or something has happened to it already."""


_place_of: dict[str, Any] = {
    "queue": _text("v_queue"), "key": _text("v_key"), "delivery": _text("v_id"), "ready": _not_before, "due": _not_before,
    "attempts": literal(0), "since": _moment("v_at"), "expires": _moment("v_expires"),
}  # fmt: skip
_born: dict[str, Any] = {
    "delivery": _text("v_id"), "number": literal(0), "happening": literal("promise"),
    "state": literal(after(None, "promise").value), "at": _moment("v_at"), "by": _by, "reason": literal(""),
}  # fmt: skip
begin_new_life = insert(delivery_events).values(_born)
queue_up_new = insert(delivery_queue).values(_place_of)
"""The same as `begin_life` and `queue_up`, behind a guard: of a delivery that has been kept just now."""


# --- the lease of a key ---------------------------------------------------------------------------------------------------

_of_key = and_(_row.queue == _queue, _row.key == _key)
_mine = and_(_lease.queue == _queue, _lease.key == _key, _lease.token == _token)
_taking = insert(delivery_leases).values(queue=_queue, key=_key, token=_token, owner=_by, until=_until)
take_lease = _taking.on_conflict_do_update(
    index_elements=[_lease.queue, _lease.key],
    set_={name: _taking.excluded[name] for name in ("token", "owner", "until")},
    where=_lease.until <= _now,
)
"""Take a key that nobody holds, or nobody any more."""
keep_lease = update(delivery_leases).where(_mine, _lease.until > _now).values(until=_until)
"""Hold a key for longer; touches nothing where the lease has run out, or is another's: a fence for what follows it."""
_first = select(func.min(_row.position)).where(_of_key).scalar_subquery()
_unseen = and_(_of_key, _row.due < NEVER)  # few, and found by their index; `+ 0` keeps the one on positions out of it
put_aside = update(delivery_queue).where(_unseen, _row.position + 0 > _first).values(due=NEVER)
bring_forward = update(delivery_queue).where(_of_key, _row.position == _first, _row.due != _row.ready).values(due=_row.ready)
let_go_if_done = delete(delivery_leases).where(_mine, ~exists().where(_of_key))
let_go = delete(delivery_leases).where(_mine)

_newest = select(func.max(_event.number)).where(_event.delivery == _row.delivery).correlate(delivery_queue).scalar_subquery()
_place = ("delivery", "ready", "attempts", "since", "expires")
_content = ("target", "content_type", "size", "body", "payload", "envelope", "correlation", "at")
find_first = (
    select(
        _row.delivery, _row.ready, _row.attempts, _row.since, _row.expires, *(deliveries.c[name] for name in _content), _event.state
    )
    .join(deliveries, deliveries.c.id == _row.delivery)
    .join(delivery_events, and_(_event.delivery == _row.delivery, _event.number == _newest))
    .where(_of_key, _row.position == _first)
)
"""The first of a key, what it is, and where it is in its life."""
find_expired = select(_row.delivery).where(_of_key, _row.expires <= _now).order_by(_row.position).limit(100)


# --- what happens ---------------------------------------------------------------------------------------------------------


def append(happening: str, *states: State) -> postgresql.Insert:
    """A statement by which `happening` befalls a delivery that is in one of `states`; otherwise it touches nothing."""
    return appending(delivery_events, _event.delivery, happening, map(str, states), str(after(states[0], happening)))


claim = append("claim", State.WAITING)
deliver = append("deliver", State.HELD)
fail = append("fail", State.HELD)
lapse = append("lapse", State.HELD)
give_up = append("give up", State.HELD, State.WAITING)
expire = append("expire", State.WAITING)
mend = append("mend", State.DEAD)
resend = append("resend", State.DEAD)
discard = append("discard", State.DEAD, State.WAITING, State.HELD)

_queued = _row.delivery == _id
count_attempt = update(delivery_queue).where(_queued).values(attempts=_row.attempts + 1)
put_off = update(delivery_queue).where(_queued).values(ready=_until, due=_until)
block = update(delivery_queue).where(_queued).values(ready=NEVER, due=NEVER, expires=NEVER)
"""A dead letter stands in the way of what is behind it."""
leave_queue = delete(delivery_queue).where(_queued)
queue_again = (
    insert(delivery_queue)
    .from_select(
        ["queue", "key", "delivery", "ready", "due", "attempts", "since", "expires"],
        select(deliveries.c.queue, deliveries.c.key, deliveries.c.id, _at, _at, literal(0), _at, literal(NEVER)).where(_this),
    )
    .on_conflict_do_update(
        index_elements=[_row.delivery],
        set_={"ready": _at, "due": _at, "attempts": literal(0), "since": _at, "expires": literal(NEVER)},
    )
)
"""A dead letter goes again: where it stood in the way, or else behind what is queued under its key."""
look_again = update(delivery_queue).where(_queued).values(ready=_at, due=_at)
bury = insert(dead_letters).values(delivery=_id, queue=_queue, at=_at).on_conflict_do_nothing()
raise_up = delete(dead_letters).where(dead_letters.c.delivery == _id)
replace_content = (
    update(deliveries)
    .where(_this)
    .values({name: bindparam(f"v_{name}", type_=deliveries.c[name].type) for name in ("target", "size", "body", "payload")})
)


# --- receivers that take only so many at once -----------------------------------------------------------------------------

_receiver: BindParameter[str] = _text("b_receiver")
_number: BindParameter[int] = bindparam("b_number", type_=Integer)
slots_taken = select(_slot.number).where(_slot.receiver == _receiver, _slot.until > _now)
_slotting = insert(delivery_slots).values(receiver=_receiver, number=_number, token=_token, until=_until)
take_slot = _slotting.on_conflict_do_update(
    index_elements=[_slot.receiver, _slot.number],
    set_={name: _slotting.excluded[name] for name in ("token", "until")},
    where=_slot.until <= _now,
)
keep_slot = update(delivery_slots).where(_slot.receiver == _receiver, _slot.token == _token).values(until=_until)
free_slot = delete(delivery_slots).where(_slot.receiver == _receiver, _slot.token == _token)


# --- questions asked alone ------------------------------------------------------------------------------------------------

_most: BindParameter[int] = bindparam("b_most", type_=Integer)
_held = exists().where(_lease.queue == _row.queue, _lease.key == _row.key, _lease.until > _now)


def _keys(moment: ColumnElement[int]) -> Any:
    some = select(_row.key, moment.label("due")).where(_row.queue == _queue, moment <= _now, ~_held).order_by(moment).limit(1000)
    rows = some.subquery()
    return select(rows.c.key, func.min(rows.c.due)).group_by(rows.c.key).order_by(func.min(rows.c.due), rows.c.key).limit(_most)


find_due = _keys(_row.due)
"""Keys under which something is due and that nobody holds, those due for longest first."""
find_expiring = _keys(_row.expires)
find_soonest = select(func.min(_row.due).label("due"), func.min(_row.expires).label("expires")).where(_row.queue == _queue)
"""When something of a queue is due first, or was; and when something expires first. None where there is nothing."""
find_next = select(func.min(_row.due)).where(_row.queue == _queue, _row.due > _now)
"""When something will be due that is not yet."""
find_depth = select(func.count(), func.min(_row.since)).where(_row.queue == _queue, _row.ready < NEVER)
find_dead_count = select(func.count(), func.min(dead_letters.c.at)).where(dead_letters.c.queue == _queue)


def _among(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a queue is the one asked for, or one of those asked for: a name that ends in a dot stands for all that begin so,
    and none for all."""
    begins = func.substr(column, 1, func.length(_queue)) == _queue
    return or_(column == _queue, and_(or_(_queue == "", _queue.like("%.")), begins))


_shown = ("id", "queue", "key", "target", "content_type", "size", "correlation", "at")
find_dead = (
    select(*(deliveries.c[name] for name in _shown), dead_letters.c.at.label("died"), _event.reason)
    .join(dead_letters, dead_letters.c.delivery == deliveries.c.id)
    .join(delivery_events, _event.delivery == deliveries.c.id)
    .where(_event.number == select(func.max(_event.number)).where(_event.delivery == deliveries.c.id, _event.happening == "give up")
           .correlate(deliveries).scalar_subquery())
    .where(_among(dead_letters.c.queue))
    .order_by(dead_letters.c.at, dead_letters.c.delivery)
    .limit(_most)
)  # fmt: skip
"""Dead letters, oldest first, of the queues asked for, and why each was given up."""
_last = select(func.max(_event.number)).where(_event.delivery == deliveries.c.id).correlate(deliveries).scalar_subquery()
find_waiting = (
    select(*(deliveries.c[name] for name in _shown), _row.due, _row.attempts, _event.reason)
    .join(delivery_queue, _row.delivery == deliveries.c.id)
    .join(delivery_events, and_(_event.delivery == deliveries.c.id, _event.number == _last))
    .where(_among(_row.queue), _event.state.in_((State.WAITING.value, State.HELD.value)))
    .order_by(_row.position)
    .limit(_most)
)
"""What is still to be delivered, of the queues asked for, in order; when it is looked at, and why it was not delivered yet."""
find_delivery = select(deliveries).where(_this)
find_promised = select(deliveries.c.envelope, deliveries.c.at).where(_this)
find_events = select(delivery_events).where(_event.delivery == _id).order_by(_event.number)
find_ended = (
    select(deliveries.c.id, deliveries.c.payload)
    .where(
        deliveries.c.at <= _now,
        ~exists().where(_row.delivery == deliveries.c.id),
        ~exists().where(dead_letters.c.delivery == deliveries.c.id),
    )
    .order_by(deliveries.c.at)
    .limit(_most)
)
"""Deliveries from before a moment whose life has ended, oldest first."""
find_payloads = select(deliveries.c.id, deliveries.c.payload).where(deliveries.c.id.in_(bindparam("b_ids", expanding=True)))
forget_events = delete(delivery_events).where(_event.delivery == _id)
forget = delete(deliveries).where(_this)
