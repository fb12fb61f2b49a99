"""The ledger of errands: which files were seen, what has been done with each, and so what is left to be done.

Every word of it is on disk before what follows from it is done; it survives whoever writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from fiveways.clock import Clock, micros, micros_in
from fiveways.errors import FivewaysError
from fiveways.methods.bulk.errands import records
from fiveways.methods.bulk.errands.names import identity
from fiveways.methods.bulk.errands.states import State, after
from fiveways.store.group import GroupWriter, Settled

_AT_ONCE: Final = 500
_SEEN_AGAIN: Final = timedelta(days=1)
"""How exactly it is known when a file was last seen: a write for each, and each run, would be many."""


class Overtaken(FivewaysError):
    """Another has taken the file further: this node's lease of the errand has run out."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file as it was listed where it comes from. `modified`: seconds since the Unix epoch."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Known:
    """A file of an errand, and where it is in its life. Moments are in microseconds since the Unix epoch."""

    id: str
    errand: str
    path: str
    size: int
    modified: int
    at: int
    """When it was first seen so."""
    last_seen: int
    offset: int = 0
    """Bytes of it that are durable here, of what is being fetched."""
    prefix: str = ""
    tail: str = ""
    digest: str = ""
    """The SHA-256 of all of it, in hexadecimal, once it is known."""
    target: str = ""
    """Where it is brought."""
    cipher: str = ""
    host_key: str = ""
    state: State = State.SEEN
    reason: str = ""

    @property
    def sighting(self) -> Sighting:
        """What it was listed as."""
        return Sighting(self.path, self.size, self.modified)


Witness = Callable[[str, Known, str], Settled | None]
"""Told, just before it is written, what happens to a file (`begin`, `ready`, `place`, …), to which, and why; what it returns is
told whether it was, in time for an audit event in the same commit (`AuditLog.attest`). The audit is not to have the path."""


def _nobody(happening: str, file: Known, reason: str) -> Settled | None:
    return None


class Book:
    """The ledger of all errands, over one store. Methods raise StoreError, and then nothing is written."""

    def __init__(self, group: GroupWriter, clock: Clock, node: str, witness: Witness = _nobody) -> None:
        self._group = group
        self._clock = clock
        self._node = node
        self._witness = witness

    async def known(self, errand: str) -> dict[Sighting, Known]:
        """Every file of an errand that is remembered, by path and then by when it was first seen."""
        async with self._group.database.read() as connection:
            rows = (await connection.execute(records.find, {"b_errand": errand})).all()
        found = (Known(*(*row[:-2], State(row[-2]), row[-1])) for row in rows)
        return {each.sighting: each for each in found}

    async def see(self, errand: str, sightings: Iterable[Sighting], known: Mapping[Sighting, Known]) -> list[Known]:
        """Write down what is seen; what is known of each, in their order."""
        now, seen, new, again = micros(self._clock), [], [], []
        for sighting in sightings:
            file = known.get(sighting)
            if file is None:
                id_ = identity(errand, sighting.path, sighting.size, sighting.modified)
                file = Known(id_, errand, sighting.path, sighting.size, sighting.modified, now, now)
                new.append(file)
            elif file.last_seen < now - micros_in(_SEEN_AGAIN):
                again.append({"b_id": file.id, "v_last_seen": now})
            seen.append(file)
        for some in _some(new):
            rows: Sequence[Mapping[str, Any]] = [
                {"b_by": self._node, **{f"v_{column.name}": getattr(file, column.name) for column in records.files.columns}}
                for file in some
            ]
            await self._group.transact((records.see, rows), (records.begin_life, rows))
        for others in _some(again):
            await self._group.submit(records.see_again, others, synced=False)
        return seen

    async def begin(self, file: Known) -> Known:
        """Its bytes are moved from now on."""
        return await self._happens("begin", file)

    async def reach(self, file: Known, offset: int, prefix: str, tail: str) -> Known:
        """So many bytes of it are durable here; their SHA-256, and that of the last of them."""
        await self._group.submit(records.reach, {"b_id": file.id, "v_offset": offset, "v_prefix": prefix, "v_tail": tail})
        return replace(file, offset=offset, prefix=prefix, tail=tail)

    async def ready(self, file: Known, *, digest: str, target: str, cipher: str, host_key: str) -> Known:
        """All of it is there under its temporary name; it is to be called `target`."""
        learned = replace(file, digest=digest, target=target, cipher=cipher, host_key=host_key)
        row = {
            "b_id": file.id, "v_digest": digest, "v_target": target, "v_cipher": cipher, "v_host_key": host_key,
        }  # fmt: skip
        return await self._happens("ready", learned, "", (records.learn, row))

    async def place(self, file: Known, reason: str = "") -> Known:
        """It is there under its name."""
        return await self._happens("place", file, reason)

    async def settle(self, file: Known) -> Known:
        """Nothing is left to be done with it."""
        return await self._happens("settle", file)

    async def skip(self, file: Known, reason: str) -> Known:
        """It need not be moved."""
        return await self._happens("skip", file, reason)

    async def refuse(self, file: Known, reason: str) -> Known:
        """It is not moved, as long as the reason stands; said once."""
        if (file.state, file.reason) == (State.REFUSED, reason):
            return file
        return await self._happens("refuse", file, reason)

    async def change(self, file: Known) -> Known:
        """It is another file by now."""
        return await self._happens("change", file)

    async def listed(self, errand: str = "", *, most: int = 100) -> Sequence[Any]:
        """Files, those to which something has happened last first, of an errand where one is said: rows of
        `records.find_listed`."""
        async with self._group.database.read() as connection:
            return (await connection.execute(records.find_listed, {"b_errand": errand, "b_most": most})).all()

    async def history(self, id: str) -> Sequence[Any]:  # noqa: A002
        """What happened to a file, in order: rows of `bulk_errand_events`."""
        async with self._group.database.read() as connection:
            return (await connection.execute(records.find_events, {"b_id": id})).all()

    async def purge(self, errand: str, keep: timedelta) -> int:
        """Forget files of an errand whose lives have ended and that were last seen longer ago than `keep`; how many."""
        forgotten, asked = 0, {"b_errand": errand, "b_before": micros(self._clock) - micros_in(keep), "b_most": _AT_ONCE}
        while True:
            async with self._group.database.read() as connection:
                ids: Sequence[Mapping[str, Any]] = [{"b_id": row[0]} for row in await connection.execute(records.find_old, asked)]
            if ids:
                await self._group.transact((records.forget_events, ids), (records.forget, ids))
            forgotten += len(ids)
            if len(ids) < _AT_ONCE:
                return forgotten

    async def _happens(self, happening: str, file: Known, reason: str = "", *more: Any) -> Known:
        event = {"b_id": file.id, "b_at": micros(self._clock), "b_by": self._node, "b_reason": reason}
        settled = self._witness(happening, file, reason)
        steps = (records.happenings[happening], event), *more
        results = await self._group.transact(*steps, guarded=1, settled=settled)
        if not results[0].rowcount:
            raise Overtaken("the file is in another state by now: another node is at work on this errand")
        return replace(file, state=after(file.state, happening), reason=reason)


def _some(rows: list[Any]) -> Iterable[list[Any]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
