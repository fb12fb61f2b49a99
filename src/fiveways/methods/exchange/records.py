"""The rows of exchange, and what is asked of them.

    jobs         one row a job: whose it is, and what is known of it beside its life
    job_events   what happened to it, in order of its life (`states.py`)

How it is worked on is delivery's: a job is a delivery of the same id, in the queue of its API.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert

from fiveways.methods.exchange.states import KNOWN, OPEN, State, after, before
from fiveways.store.lives import appending
from fiveways.store.tables import PAYLOAD, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("api", Text, nullable=False),
    Column("application", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),  # when it is too late for an outcome; once there is one, until when it is kept
    Column("url", Text, nullable=False),  # of the status, as its consumer knows it
    Column("location", Text, nullable=False),  # where the back end tells of it, below the API's base path
    Column("progress", Text, nullable=False),
    Column("status", Integer, nullable=False),  # the outcome's; of what has none, what its consumer is told; 0 while it is open
    Column("headers", LargeBinary),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary),
    Column("payload", Text, info=PAYLOAD),
)
_stored = jobs.c.payload.is_not(None)
Index(None, jobs.c.payload, sqlite_where=_stored, postgresql_where=_stored)
Index("ix_jobs_expires", jobs.c.expires)
_unanswered = jobs.c.status == text("0")  # said as it is in the index: no parameter, or it would not be used
Index("ix_jobs_open", jobs.c.api, jobs.c.application, sqlite_where=_unanswered, postgresql_where=_unanswered)

job_events = Table(
    "job_events",
    metadata,
    Column("job", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("happening", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),  # the node, the application, or the person's account
    Column("reason", Text, nullable=False),
)
Index("ix_job_events_at", job_events.c.at)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


def _moment(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_job, _event = jobs.c, job_events.c
_id, _api, _application, _by, _reason = (_text(f"b_{name}") for name in ("id", "api", "application", "by", "reason"))
_at, _now = _moment("b_at"), _moment("b_now")
_most = bindparam("b_most", type_=Integer)
_this = _job.id == _id
_newest = select(func.max(_event.number)).where(_event.job == _job.id).correlate(jobs).scalar_subquery()

submit = insert(jobs).values({c.name: bindparam(f"v_{c.name}", type_=c.type) for c in jobs.columns}).on_conflict_do_nothing()
"""A job, where there is none of its id yet."""
_born: dict[str, Any] = {
    "job": _text("v_id"), "number": literal(0), "happening": literal("submit"),
    "state": literal(after(None, "submit").value), "at": _moment("v_at"), "by": _by, "reason": literal(""),
}  # fmt: skip
begin_life = insert(job_events).values(_born)
"""Its first event, behind a guard: of a job that has been kept just now."""


def append(happening: str) -> postgresql.Insert:
    """A statement by which `happening` befalls a job, in any of the states in which it can; otherwise it touches nothing."""
    states = before(happening)
    return appending(job_events, _event.job, happening, map(str, states), str(after(states[0], happening)))


begin, complete, fail, collect, cancel, expire = (
    append(happening) for happening in ("begin", "complete", "fail", "collect", "cancel", "expire")
)

_of_outcome = ("expires", "status", "headers", "size", "body", "payload")
keep_outcome = (
    update(jobs).where(_this).values({name: bindparam(f"v_{name}", type_=_job[name].type) for name in (*_of_outcome, "progress")})
)
_nothing = {"headers": None, "size": literal(0), "body": None, "payload": None, "progress": literal("")}
let_go = update(jobs).where(_this).values(expires=_moment("v_expires"), status=bindparam("v_status", type_=Integer), **_nothing)
"""There is no outcome any more, or never was; the row stays for a while, so that a repeat of the request is known."""
locate = update(jobs).where(_this).values(location=_text("v_location"), progress=_text("v_progress"))

find: Select[Any] = (
    select(*jobs.columns, _event.state, _event.number)
    .join(job_events, _event.job == _job.id)
    .where(_this, _event.number == _newest)
)
"""A job and where it is in its life."""
count_open = select(func.count()).select_from(jobs).where(_job.api == _api, _job.application == _application, _unanswered)
find_news = select(_event.job, _event.number).where(_event.at > _at).limit(100_000)
find_events = select(job_events).where(_event.job == _id).order_by(_event.number)


def _over(states: frozenset[State]) -> Select[Any]:
    found = select(_job.id, _job.payload, _job.api).join(job_events, _event.job == _job.id)
    return (
        found.where(_job.expires <= _now, _event.number == _newest, or_(*(_event.state == state.value for state in sorted(states))))
        .order_by(_job.expires)
        .limit(_most)
    )


find_late = _over(OPEN)
"""Jobs for whose outcome it is too late."""
find_old = _over(KNOWN | {State.CANCELLED, State.EXPIRED})
"""Jobs that need not be known any more."""
forget_events = delete(job_events).where(_event.job == _id)
forget = delete(jobs).where(_this)

_listed = ("id", "api", "application", "correlation", "at", "expires", "progress", "status", "size")
find_listed = (
    select(*(_job[name] for name in _listed), _event.state, _event.at.label("since"))
    .join(job_events, _event.job == _job.id)
    .where(_event.number == _newest, or_(_api == "", _job.api == _api), or_(_reason == "", _event.state == _reason))
    .order_by(_job.at.desc(), _job.id.desc())
    .limit(_most)
)
"""Jobs, newest first: of an API, and in a state, where these are said."""
