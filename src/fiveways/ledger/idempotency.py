"""Duplicates: a request under an id that was used before gets the first answer, and is never carried out twice (S25-S29).

    nothing ──begin──▶ in flight ──complete──▶ answered ──expiry──▶ nothing
                        │     └──lease runs out──▶ unknown ──expiry──▶ nothing
                        └──abandon──▶ nothing

An id is claimed by an INSERT that only one can win, of whatever process. A claim carries its owner and a lease: when the
owner died with the request on its way, nobody can know whether the provider acted on it, so its outcome is *unknown*; repeats
are told so (409) and never carried out. An owner that knows that nothing reached the provider abandons its claim, and the id
is free again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import (
    BigInteger,
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
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from fiveways.clock import Clock, micros, micros_in, micros_of, moment_of
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.store.group import GroupWriter
from fiveways.store.tables import PAYLOAD, metadata
from fiveways.types import Headers

duplicates = Table(
    "duplicates",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("api", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease", BigInteger, nullable=False),
    Column("fingerprint", LargeBinary),
    Column("status", Integer),
    Column("headers", LargeBinary),
    Column("body", LargeBinary),
    Column("payload", Text, info=PAYLOAD),
    Column("expires", BigInteger, nullable=False, index=True),
)
_stored = duplicates.c.payload.is_not(None)
Index(None, duplicates.c.payload, sqlite_where=_stored, postgresql_where=_stored)

_c = duplicates.c
_identity = (_c.consumer == bindparam("b_consumer"), _c.api == bindparam("b_api"), _c.key == bindparam("b_key"))
_new = insert(duplicates)
_values = _new.excluded


def _claiming(where: ColumnElement[bool]) -> Insert:
    """Claims an id that is new, or `where` it may be claimed anew."""
    return _new.values(
        {name: bindparam(f"v_{name}") for name in ("consumer", "api", "key", "owner", "lease", "expires")}
    ).on_conflict_do_update(
        index_elements=[_c.consumer, _c.api, _c.key],
        set_={
            "owner": _values.owner,
            "lease": _values.lease,
            "expires": _values.expires,
            "fingerprint": null(),
            "status": null(),
            "headers": null(),
            "body": null(),
            "payload": null(),
        },
        where=where,
    )


_expired = _c.expires <= bindparam("b_now")
_claim = _claiming(_expired)
_claim_again = _claiming(or_(_expired, and_(_c.status.is_(None), _c.lease <= bindparam("b_now"))))
_renew = (
    update(duplicates).where(*_identity, _c.owner == bindparam("b_owner"), _c.status.is_(None)).values(lease=bindparam("v_lease"))
)
_complete = (
    update(duplicates)
    .where(*_identity, _c.owner == bindparam("b_owner"), _c.status.is_(None))
    .values({name: bindparam(f"v_{name}") for name in ("fingerprint", "status", "headers", "body", "payload", "expires")})
)
_abandon = delete(duplicates).where(*_identity, _c.owner == bindparam("b_owner"), _c.status.is_(None))


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, for as long as the lease runs, to carry out what is asked under an id."""

    consumer: str
    api: str
    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """The id was not used before; it is the caller's now, who must `complete` or `abandon` the claim."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request under this id is being carried out; its owner's lease ends at `until` at the latest."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A first answer: whole in `body`, or in the payload store as `payload`."""

    status: int
    headers: Headers
    body: bytes
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The first request under this id got `answer`; `fingerprint` is of that request, to be compared by `same_request`."""

    fingerprint: bytes
    answer: Answer
    expires: datetime

    def same_request(self, fingerprint: bytes) -> bool:
        """Whether a request with this fingerprint is a repeat of the first; another one under its id is a conflict."""
        return hmac.compare_digest(self.fingerprint, fingerprint)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The owner of the first request died: whether the provider acted on it nobody knows. Not to be carried out again."""

    since: datetime


Beginning = Fresh | InFlight | Answered | Unknown


class Duplicates:
    """First answers, by consumer, API and id."""

    def __init__(self, group: GroupWriter, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(list[tuple[str, str]]).decode

    async def begin(
        self, consumer: str, api: str, key: str, lease: timedelta, keep: timedelta = timedelta(days=1), *, again: bool = False
    ) -> Beginning:
        """Claim an id, durably, or say what it was used for.

        `lease` is longer than the request can take, or renewed; `keep` is for how long an unknown outcome is remembered. `again`:
        what is not known may be carried out again, so that the outcome is never Unknown. Raises StoreError, and then the request
        must not be carried out.
        """
        claim = Claim(consumer, api, key, new_id())
        while True:
            now = micros(self._clock)
            row = {
                "v_consumer": consumer,
                "v_api": api,
                "v_key": key,
                "v_owner": claim.owner,
                "v_lease": now + micros_in(lease),
                "v_expires": now + micros_in(max(lease, keep)),
                "b_now": now,
            }
            if (await self._group.submit(_claim_again if again else _claim, row)).rowcount == 1:
                return Fresh(claim)
            found = await self._find(consumer, api, key, now)
            if found is not None:
                return found

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        """Lengthen the lease of a request that takes long; False if the claim is not the caller's any more."""
        row = {**_of(claim), "v_lease": micros(self._clock) + micros_in(lease)}
        return (await self._group.submit(_renew, row)).rowcount == 1

    async def complete(
        self,
        claim: Claim,
        fingerprint: bytes,
        status: int,
        headers: Headers,
        body: bytes = b"",
        *,
        payload: str | None = None,
        expires: datetime,
    ) -> None:
        """Remember the first answer, durably, until `expires`. Raises StoreError if it could not be remembered."""
        text = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        row = {
            **_of(claim),
            "v_fingerprint": fingerprint,
            "v_status": status,
            "v_headers": self._encode(text),
            "v_body": body,
            "v_payload": payload,
            "v_expires": micros_of(expires),
        }
        if (await self._group.submit(_complete, row)).rowcount != 1:
            raise StoreError("the claim is not this request's any more")

    async def abandon(self, claim: Claim) -> None:
        """Free the id: nothing has reached the provider."""
        await self._group.submit(_abandon, _of(claim))

    async def purge(self, now: datetime) -> list[str]:
        """Forget what has expired; the payloads that nobody refers to any more."""
        async with self._group.database.write() as connection:
            gone = delete(duplicates).where(_c.expires <= micros_of(now)).returning(_c.payload)
            return [payload for (payload,) in await connection.execute(gone) if payload is not None]

    async def _find(self, consumer: str, api: str, key: str, now: int) -> Beginning | None:
        async with self._group.database.read() as connection:
            query = select(duplicates).where(_c.consumer == consumer, _c.api == api, _c.key == key)
            row = (await connection.execute(query)).one_or_none()
        if row is None or row.expires <= now:
            return None
        if row.status is not None:
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._decode(row.headers)]
            answer = Answer(row.status, headers, row.body, row.payload)
            return Answered(row.fingerprint, answer, moment_of(row.expires))
        return InFlight(moment_of(row.lease)) if row.lease > now else Unknown(moment_of(row.lease))


def _of(claim: Claim) -> dict[str, str]:
    return {"b_consumer": claim.consumer, "b_api": claim.api, "b_key": claim.key, "b_owner": claim.owner}
