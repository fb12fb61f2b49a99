"""Sessions of people as rows, and what is asked of them. Credentials are there as SHA-256 only, what is personal sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, bindparam, delete, insert, select, update

from fiveways.clock import Clock, micros, micros_in
from fiveways.security.users.states import TRANSITIONS, State
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

user_sessions = Table(
    "user_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("access", Text, nullable=False),  # separate or combined
    Column("application", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sid", Text, nullable=False),
    Column("assurance", Text, nullable=False),
    Column("person", Text, nullable=False),  # sealed
    Column("userinfo", Text, nullable=False),  # sealed, or ''
    Column("started_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("code", LargeBinary),
    Column("code_until", BigInteger, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("family", LargeBinary),
    Column("refresh", LargeBinary),
    Column("refresh_until", BigInteger, nullable=False),
    Column("refreshes", Integer, nullable=False),
    Index(None, "code", unique=True),
    Index(None, "family", unique=True),
    Index(None, "provider", "sid"),
    Index(None, "application"),
    Index(None, "ends_at"),
)
_c = user_sessions.c
_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One row. Moments are microseconds since the Unix epoch; `access` is 'separate' or 'combined'; `person` and `userinfo` are
    sealed; `code`, `family` and `refresh` are SHA-256. `refreshes` counts how often its tokens were renewed."""

    id: str
    state: str
    reason: str = ""
    access: str
    application: str
    provider: str
    subject: str
    sid: str
    assurance: str
    person: str
    userinfo: str = ""
    started_at: int
    ends_at: int
    code: bytes | None = None
    code_until: int = 0
    redirect_uri: str = ""
    challenge: str = ""
    family: bytes | None = None
    refresh: bytes | None = None
    refresh_until: int = 0
    refreshes: int = 0


_INSERT = insert(user_sessions)
_same = _c.id == bindparam("b_id", type_=Text)
_REDEEM = (
    update(user_sessions)
    .where(_same, _c.state == State.OFFERED.value)
    .values(
        {name: bindparam(f"v_{name}", type_=_c[name].type) for name in ("state", "family", "refresh", "refresh_until", "ends_at")}
    )
)
_RENEW = (
    update(user_sessions)
    .where(_same, _c.state == State.ACTIVE.value, _c.refresh == bindparam("b_refresh", type_=LargeBinary))
    .values(
        {
            **{name: bindparam(f"v_{name}", type_=_c[name].type) for name in ("refresh", "refresh_until", "ends_at")},
            "refreshes": _c.refreshes + 1,
        }
    )
)
_END = (
    update(user_sessions)
    .where(_same, _c.state != State.ENDED.value)
    .values({name: bindparam(f"v_{name}", type_=_c[name].type) for name in ("state", "reason")})
)


def digest(credential: str) -> bytes:
    """A credential as it is kept."""
    return sha256(credential.encode()).digest()


class Records:
    """The sessions of a store. What is written is durable when it returns; StoreError where it cannot be."""

    def __init__(self, database: Database, group: GroupWriter, clock: Clock) -> None:
        self._database = database
        self._group = group
        self._clock = clock

    async def add(self, session: Session) -> None:
        """Keep a new session."""
        row = {column.name: getattr(session, column.name) for column in user_sessions.columns}
        await self._group.submit(_INSERT, row)

    async def redeem(self, session: Session, *, family: bytes, refresh: bytes, refresh_until: int, ends_at: int) -> bool:
        """Turn a code into a session; False where it has been, or the session has ended."""
        state = TRANSITIONS[State.OFFERED, "redeem"].value
        values = {"state": state, "family": family, "refresh": refresh, "refresh_until": refresh_until, "ends_at": ends_at}
        return await self._changed(_REDEEM, session.id, values)

    async def renew(self, session: Session, *, refresh: bytes, refresh_until: int, ends_at: int) -> bool:
        """Replace its refresh token; False where that has been replaced meanwhile, or the session has ended."""
        values = {"refresh": refresh, "refresh_until": refresh_until, "ends_at": ends_at}
        return await self._changed(_RENEW, session.id, values, b_refresh=session.refresh)

    async def end(self, id: str, reason: str) -> bool:  # noqa: A002
        """End a session; False where it has ended before."""
        return await self._changed(_END, id, {"state": State.ENDED.value, "reason": reason})

    async def by_code(self, code: str) -> Session | None:
        """The session that a code was given for."""
        return await self._one(_c.code == digest(code))

    async def by_family(self, family: str) -> Session | None:
        """The session whose refresh tokens begin like this."""
        return await self._one(_c.family == digest(family))

    async def by_id(self, id: str) -> Session | None:  # noqa: A002
        """The session with this id."""
        return await self._one(_c.id == id)

    async def find(self, **wanted: str) -> list[Session]:
        """Sessions that have not ended, nor run out, and whose columns have the values `wanted`; oldest first."""
        lasting = (_c.state != State.ENDED.value, _c.ends_at > micros(self._clock))
        query = select(user_sessions).where(*lasting, *(_c[name] == value for name, value in wanted.items()))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(_c.started_at, _c.id))).all()
        return [Session(**row._mapping) for row in rows]  # noqa: SLF001

    async def purge(self) -> int:
        """Delete sessions that ran out a day ago; how many. Till then it is known that their codes and tokens are used up."""
        before = micros(self._clock) - micros_in(_KEPT)
        async with self._database.write() as connection:
            result = await connection.execute(delete(user_sessions).where(_c.ends_at < before))
        return result.rowcount

    async def _one(self, condition: Any) -> Session | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(user_sessions).where(condition))).one_or_none()
        return Session(**row._mapping) if row is not None else None  # noqa: SLF001

    async def _changed(self, statement: Any, id: str, values: Mapping[str, Any], **conditions: Any) -> bool:  # noqa: A002
        row = {"b_id": id, **{f"v_{name}": value for name, value in values.items()}, **conditions}
        return (await self._group.submit(statement, row)).rowcount == 1
