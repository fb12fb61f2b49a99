"""The rows of transfers, and what is asked of them.

    bulk_transfers         one row a transfer: a file that a feed's partner has sent, and what was found of it
    bulk_transfer_events   what happened to it, in order of its life (`states.py`)
    bulk_set_aside         its bad records, until somebody has mended or dropped them
    bulk_batches           the pieces in which its good records go to each of the feed's sinks

How it is worked on is delivery's: a transfer is a delivery of the same id, in the queue of all transfers, in order per feed.
Files, by whatever names, are in `file_records.py`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
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
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert

from fiveways.delivery.records import deliveries, delivery_queue
from fiveways.methods.bulk.file_records import find_orphan
from fiveways.methods.bulk.states import COMING, ENDED, State, after, before
from fiveways.store.lives import appending
from fiveways.store.tables import metadata

transfers = Table(
    "bulk_transfers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("content", Text),  # as it was uploaded; NULL while nothing of it has come
    Column("feed", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("at", BigInteger, nullable=False),  # when it was begun
    Column("changed", BigInteger, nullable=False),  # when something of it last came
    Column("arrived", Integer, nullable=False),  # 1: its file is whole
    Column("size", BigInteger, nullable=False),
    Column("sequence", BigInteger),
    Column("blake3", LargeBinary),
    Column("claims", LargeBinary),  # what its sender says of it: `agreement.Claims`
    Column("records", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("set_aside", BigInteger, nullable=False),
    Column("reasons", LargeBinary),  # why it was rejected, or what else is to be said: a list of texts
    Column("good", Text),  # the content that has its good records
    Column("examination", LargeBinary),  # what quality control found, for reports: JSON, compressed
    Column("receipt", Text, nullable=False),  # the signed receipt
)
Index("ix_bulk_transfers_feed", transfers.c.feed, transfers.c.at)
Index("ix_bulk_transfers_blake3", transfers.c.blake3)
Index("ix_bulk_transfers_good", transfers.c.good)
Index("ix_bulk_transfers_content", transfers.c.content)

events = Table(
    "bulk_transfer_events",
    metadata,
    Column("transfer", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("happening", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),  # the node, the partner, or the person's account
    Column("reason", Text, nullable=False),
)
Index("ix_bulk_transfer_events_at", events.c.at)

set_aside = Table(
    "bulk_set_aside",
    metadata,
    Column("transfer", Text, primary_key=True),
    Column("record", BigInteger, primary_key=True, autoincrement=False),  # from 1, in the file
    Column("line", BigInteger, nullable=False),  # from 1; 0 where the format has none
    Column("reasons", LargeBinary, nullable=False),  # the rules that it broke: JSON
    Column("raw", LargeBinary, nullable=False),  # as it came, sealed
    Column("mended", LargeBinary),  # as somebody has mended it, sealed
    Column("state", Text, nullable=False),  # open, mended, released, dropped
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
Index("ix_bulk_set_aside_state", set_aside.c.transfer, set_aside.c.state)

batches = Table(
    "bulk_batches",
    metadata,
    Column("transfer", Text, primary_key=True),
    Column("sink", Integer, primary_key=True, autoincrement=False),  # its place in the feed's deliver_to
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1; those of mended records go on from there
    Column("content", Text, nullable=False),  # what it is a piece of
    Column("head", BigInteger, nullable=False),  # bytes from the content's beginning that every batch begins with: a header
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),  # when; 0 while it is not
)
Index("ix_bulk_batches_content", batches.c.content)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_transfer, _event, _aside, _batch = transfers.c, events.c, set_aside.c, batches.c
_id, _feed, _by, _reason = (_text(f"b_{name}") for name in ("id", "feed", "by", "reason"))
_at = _number("b_at")
_this = _transfer.id == _id
_newest = select(func.max(_event.number)).where(_event.transfer == _transfer.id).correlate(transfers).scalar_subquery()
MOST: Final = 200
"""Transfers that are looked at at a time."""


def _values(table: Table) -> dict[str, Any]:
    return {column.name: bindparam(f"v_{column.name}", type_=column.type) for column in table.columns}


begin = insert(transfers).values(_values(transfers)).on_conflict_do_nothing()
"""A transfer, where there is none of its id yet."""


def born(happening: str) -> postgresql.Insert:
    """A statement that writes the first event of a transfer that has none."""
    values = {
        "transfer": _id, "number": literal(0), "happening": literal(happening), "state": literal(after(None, happening).value),
        "at": _at, "by": _by, "reason": literal(""),
    }  # fmt: skip
    return insert(events).values(values).on_conflict_do_nothing()


begin_life, announce_life = born("begin"), born("announce")


def append(happening: str) -> postgresql.Insert:
    """A statement by which `happening` befalls a transfer, in any of the states in which it can; otherwise it touches nothing."""
    states = before(happening)
    return appending(events, _event.transfer, happening, map(str, states), str(after(states[0], happening)))


HAPPENINGS: Final = {
    happening: append(happening)
    for happening in (
        "begin",
        "receive",
        "expire",
        "verify",
        "examine",
        "release",
        "release_part",
        "reject",
        "resubmit",
        "mend",
        "collect",
    )
}
"""What may befall a transfer, as statements."""


def _knowing(*columns: str) -> Any:
    return update(transfers).where(_this).values({name: bindparam(f"v_{name}", type_=_transfer[name].type) for name in columns})


know_arrival = _knowing("content", "arrived", "size", "changed", "sequence")
know_claims = _knowing("claims", "changed")
know_digest = _knowing("blake3")
know_verdict = _knowing("records", "accepted", "set_aside", "reasons", "good", "examination", "receipt")
know_progress = _knowing("records", "set_aside")
know_mended = _knowing("accepted", "set_aside", "receipt")

find: Select[Any] = (
    select(*transfers.columns, _event.state, _event.number, _event.at.label("since"))
    .join(events, _event.transfer == _transfer.id)
    .where(_this, _event.number == _newest)
)
"""A transfer and where it is in its life."""


def _in(states: frozenset[State]) -> Any:
    return or_(*(_event.state == state.value for state in sorted(states)))


find_coming = (
    select(*transfers.columns, _event.state, _event.number, _event.at.label("since"))
    .join(events, _event.transfer == _transfer.id)
    .where(_transfer.feed == _feed, _event.number == _newest, _in(COMING), _transfer.id > _text("b_after"))
    .order_by(_transfer.id)
    .limit(MOST)
)
"""Those of a feed that are not known to be complete."""
find_awaited = (
    select(_transfer.name)
    .join(events, _event.transfer == _transfer.id)
    .where(_transfer.feed == _feed, _event.number == _newest, _in(COMING), _transfer.arrived == 0)
)
"""The names of those of which no file has come."""
find_said = (
    select(_transfer.claims)
    .where(_transfer.feed == _feed, _transfer.name == _text("b_name"), _transfer.claims.is_not(None))
    .order_by(_transfer.id.desc())
    .limit(8)
)
"""What was said of the newest files of a name."""
find_by_content = (
    select(_transfer.id).where(_transfer.feed == _feed, _transfer.content == _text("b_content")).order_by(_transfer.id.desc())
)
find_by_name = (
    select(_transfer.id)
    .join(events, _event.transfer == _transfer.id)
    .where(_transfer.feed == _feed, _transfer.name == _text("b_name"), _event.number == _newest, _in(COMING))
    .order_by(_transfer.id.desc())
    .limit(1)
)
_had = or_(*(_event.state == state.value for state in (State.RELEASED, State.PART_RELEASED, State.COLLECTED)))
find_same = (
    select(_transfer.id)
    .join(events, _event.transfer == _transfer.id)
    .where(
        _transfer.feed == _feed, _transfer.blake3 == bindparam("b_blake3", type_=LargeBinary), _transfer.id != _id,
        _event.number == _newest, _had,
    )
    .limit(1)
)  # fmt: skip
"""A transfer of the feed with the same content, which was released before."""
find_sequences = (
    select(_transfer.sequence)
    .where(_transfer.feed == _feed, _transfer.sequence.is_not(None), _transfer.arrived == 1, _transfer.id != _id)
    .order_by(_transfer.sequence.desc())
    .limit(10_000)
)
find_earlier = (
    select(_transfer.id, _transfer.at, _transfer.examination)
    .where(_transfer.feed == _feed, _transfer.id < _id, _transfer.examination.is_not(None))
    .order_by(_transfer.id.desc())
    .limit(bindparam("b_most", type_=Integer))
)
find_last = select(func.max(_transfer.changed)).where(_transfer.feed == _feed, _transfer.arrived == 1)
find_events = select(events).where(_event.transfer == _id).order_by(_event.number)
find_old = (
    select(_transfer.id)
    .join(events, _event.transfer == _transfer.id)
    .where(_transfer.feed == _feed, _transfer.changed < _at, _event.number == _newest, _in(ENDED))
    .limit(MOST)
)
_listed = ("id", "feed", "partner", "name", "correlation", "at", "size", "sequence", "records", "accepted", "set_aside", "reasons")
find_listed = (
    select(*(_transfer[name] for name in _listed), _event.state, _event.at.label("since"))
    .join(events, _event.transfer == _transfer.id)
    .where(_event.number == _newest, or_(_feed == "", _transfer.feed == _feed), or_(_reason == "", _event.state == _reason))
    .order_by(_transfer.at.desc(), _transfer.id.desc())
    .limit(bindparam("b_most", type_=Integer))
)

put_aside = insert(set_aside).values(_values(set_aside)).on_conflict_do_nothing()
forget_aside = delete(set_aside).where(_aside.transfer == _id)
find_aside = (
    select(set_aside)
    .where(_aside.transfer == _id, _aside.record > _number("b_after"), or_(_reason == "", _aside.state == _reason))
    .order_by(_aside.record)
    .limit(bindparam("b_most", type_=Integer))
)
find_one_aside = select(set_aside).where(_aside.transfer == _id, _aside.record == _number("b_record"))
change_aside = (
    update(set_aside)
    .where(_aside.transfer == _id, _aside.record == _number("b_record"), _aside.state == _text("b_from"))
    .values(mended=bindparam("v_mended", type_=LargeBinary), state=_text("v_state"), by=_by, why=_text("v_why"), at=_at)
)
know_reasons = (
    update(set_aside)
    .where(_aside.transfer == _id, _aside.record == _number("b_record"))
    .values(reasons=bindparam("v_reasons", type_=LargeBinary))
)

add_batch = insert(batches).values(_values(batches)).on_conflict_do_nothing()
find_batch = select(batches).where(
    and_(_batch.transfer == _id, _batch.sink == _number("b_sink"), _batch.number == _number("b_number"))
)
find_batches = select(batches).where(_batch.transfer == _id).order_by(_batch.sink, _batch.number)
delivered = (
    update(batches)
    .where(_batch.transfer == _id, _batch.sink == _number("b_sink"), _batch.number == _number("b_number"))
    .values(delivered=_at)
)
count_undelivered = select(func.count()).select_from(batches).where(_batch.transfer == _id, _batch.delivered == 0)
forget_batches = delete(batches).where(_batch.transfer == _id)

forget_events = delete(events).where(_event.transfer == _id)
forget = delete(transfers).where(_this)
KEEPING: Final = (_transfer.content, _transfer.good, _batch.content)
"""Columns that name contents which are not to be purged."""
_arriving = exists().where(
    delivery_queue.c.queue == _text("b_queue"),
    delivery_queue.c.delivery == deliveries.c.id,
    deliveries.c.envelope == bindparam("b_envelope", type_=LargeBinary),
)
find_unneeded = find_orphan(*KEEPING).where(~_arriving)
"""The content `b_id`, where it is whole and nobody names it, not even as a file that has come and was not looked at yet."""
