"""The rows of errands, and what is asked of them.

bulk_errand_files    one row a file that was seen where an errand takes from: of one path, size and time
bulk_errand_events   what happened to it, in order of its life (`states.py`)
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Select,
    Table,
    Text,
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

from fiveways.methods.bulk.errands.states import ENDED, after, before
from fiveways.store.lives import appending
from fiveways.store.tables import metadata

files = Table(
    "bulk_errand_files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("errand", Text, nullable=False),
    Column("path", Text, nullable=False),  # where it comes from
    Column("size", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),  # seconds since the Unix epoch
    Column("at", BigInteger, nullable=False),  # when it was first seen so
    Column("last_seen", BigInteger, nullable=False),  # when it was, to the day or so
    Column("offset", BigInteger, nullable=False),  # bytes that are durable here of what is being fetched
    Column("prefix", Text, nullable=False),  # their SHA-256
    Column("tail", Text, nullable=False),  # and that of the last of them
    Column("digest", Text, nullable=False),  # SHA-256 of the whole, once it is known
    Column("target", Text, nullable=False),  # where it is brought
    Column("cipher", Text, nullable=False),  # how the connection was secured by which it came there
    Column("host_key", Text, nullable=False),
)
Index("ix_bulk_errand_files_errand", files.c.errand, files.c.path)

events = Table(
    "bulk_errand_events",
    metadata,
    Column("file", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("happening", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),  # the node
    Column("reason", Text, nullable=False),
)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


def _moment(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_file, _event = files.c, events.c
_id, _errand, _by, _path = (_text(f"b_{name}") for name in ("id", "errand", "by", "path"))
_before = _moment("b_before")
_most = bindparam("b_most", type_=Integer)
_newest = select(func.max(_event.number)).where(_event.file == _file.id).correlate(files).scalar_subquery()

see = insert(files).values({c.name: bindparam(f"v_{c.name}", type_=c.type) for c in files.columns}).on_conflict_do_nothing()
"""A file, where it is not known yet."""
_born: dict[str, Any] = {
    "file": _text("v_id"), "number": literal(0), "happening": literal("see"),
    "state": literal(after(None, "see").value), "at": _moment("v_at"), "by": _by, "reason": literal(""),
}  # fmt: skip
begin_life = insert(events).values(_born).on_conflict_do_nothing()
"""Its first event."""


def append(happening: str) -> postgresql.Insert:
    """A statement by which `happening` befalls a file, in any of the states in which it can; otherwise it touches nothing."""
    states = before(happening)
    return appending(events, _event.file, happening, map(str, states), str(after(states[0], happening)))


happenings = {each: append(each) for each in ("begin", "ready", "place", "settle", "skip", "refuse", "change")}

_this = _file.id == _id
reach = (
    update(files)
    .where(_this)
    .values({name: bindparam(f"v_{name}", type_=_file[name].type) for name in ("offset", "prefix", "tail")})
)
"""So much of it is here."""
_known = ("digest", "target", "cipher", "host_key")
learn = update(files).where(_this).values({name: bindparam(f"v_{name}", type_=_file[name].type) for name in _known})
"""What is known of it once all of it is there."""
see_again = update(files).where(_this, _file.last_seen < _moment("v_last_seen")).values(last_seen=_moment("v_last_seen"))

find: Select[Any] = (
    select(*files.columns, _event.state, _event.reason)
    .join(events, _event.file == _file.id)
    .where(_file.errand == _errand, _event.number == _newest)
    .order_by(_file.path, _file.at)
)
"""Every file of an errand that is remembered, and where it is in its life."""
find_listed = (
    select(*files.columns, _event.state, _event.reason, _event.at.label("since"))
    .join(events, _event.file == _file.id)
    .where(_event.number == _newest, or_(_errand == "", _file.errand == _errand))
    .order_by(_event.at.desc(), _file.id)
    .limit(_most)
)
"""Files, those to which something has happened last first: of an errand, where one is said."""
find_events = select(events).where(_event.file == _id).order_by(_event.number)
_ended = exists().where(_event.file == _file.id, or_(*(_event.state == state.value for state in sorted(ENDED))))
find_old = select(_file.id).where(_file.last_seen < _before, _ended, _file.errand == _errand).order_by(_file.last_seen).limit(_most)
"""Files that nobody needs to know any more."""
forget_events = delete(events).where(_event.file == _id)
forget = delete(files).where(_this)
