"""Mailboxes and workflows registered while running: in the store, and in the directory of every process within a second.

An entry's version only grows, and no row is ever deleted: what is removed stays as a row without content. So the sum of all
versions says whether anything has changed since a process last looked, whatever its clock says and in whichever order transactions
commit. That sum is what each asks for once a second, from an index. Only where it is another are rows read: those changed of late,
and if the sum of what is known is then still not that of the store, as where clocks differ, all that are of another version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock, micros
from fiveways.methods.messaging.directory import Directory, Mailbox, Workflow
from fiveways.store.bus import Bus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter, Result, Settled
from fiveways.store.tables import metadata

TOPIC = "directory"
LOOK = 1.0
"""Seconds after which a process looks at the latest whether anything has changed."""
_AT_ONCE = 400
"""Entries read by one question."""
_LATE = 5 * 10**6
"""Microseconds before the newest change that is known, from which on changes are looked at first."""

entries = Table(
    "directory_entries",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("content", LargeBinary),  # NULL: removed
    Column("password", LargeBinary),  # sealed (`registry_vault.py`)
    Index(None, "version"),
)

_c = entries.c
_put = insert(entries)
_add = _put.on_conflict_do_update(
    index_elements=[_c.kind, _c.id],
    set_={
        "version": _c.version + 1,
        "changed_at": _put.excluded.changed_at,
        "content": _put.excluded.content,
        "password": _put.excluded.password,
    },
    where=_c.content.is_(None),
).returning(_c.version)
_content: BindParameter[bytes] = bindparam("v_content", type_=LargeBinary)
_password: BindParameter[bytes] = bindparam("v_password", type_=LargeBinary)
_change = (
    update(entries)
    .where(
        _c.kind == bindparam("b_kind", type_=Text),
        _c.id == bindparam("b_id", type_=Text),
        _c.version == bindparam("b_seen", type_=Integer),
        _c.content.is_not(None),
    )
    .values(version=_c.version + 1, changed_at=bindparam("v_at", type_=BigInteger), content=_content, password=_password)
    .returning(_c.version)
)
_total = select(func.coalesce(func.sum(_c.version), 0))
_late = select(entries).where(_c.changed_at >= bindparam("b_since", type_=BigInteger))
_versions = select(_c.kind, _c.id, _c.version)


class Entry(NamedTuple):
    """What is registered under an id. `content`: its settings in JSON, None once it was removed. `changed_at`: microseconds."""

    kind: str
    id: str
    version: int
    changed_at: int
    content: bytes | None
    password: bytes | None


class Reader(Protocol):
    """Makes of an entry what a directory has; None where it cannot be read."""

    def mailbox(self, entry: Entry) -> Mailbox | None:
        """The mailbox of an entry that has content."""
        ...

    def workflow(self, entry: Entry) -> Workflow | None:
        """The workflow of an entry that has content."""
        ...


class Registry:
    """What is registered, as this process knows it, and the directories that are to have it.

    `load` before the first request; `follow` again and again from then on.
    """

    def __init__(self, database: Database, group: GroupWriter, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._group = group
        self._bus = bus
        self._clock = clock
        self._entries: dict[tuple[str, str], Entry] = {}
        self._directories: WeakKeyDictionary[Directory, Reader] = WeakKeyDictionary()
        self._sum = 0
        """Of the versions of all entries that are known."""
        self._newest = 0

    def serve(self, directory: Directory, reader: Reader) -> None:
        """Put everything that is registered into a directory, and every change from now on for as long as anybody uses it."""
        self._directories[directory] = reader
        for entry in self._entries.values():
            _enter(directory, reader, entry)

    def find(self, kind: str, id: str) -> Entry | None:  # noqa: A002
        """The entry of an id, where there is one that has not been removed."""
        entry = self._entries.get((kind, id))
        return entry if entry is not None and entry.content is not None else None

    def all(self, kind: str) -> list[Entry]:
        """Every entry of a kind that has not been removed."""
        return [entry for entry in self._entries.values() if entry.kind == kind and entry.content is not None]

    # --- looking -----------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what there is. StoreError where the store cannot be read."""
        await self.refresh()

    async def refresh(self) -> None:
        """Take up what has changed since the last look. StoreError where the store cannot be read: what is known stays then."""
        async with self._database.read() as connection:
            total = int((await connection.execute(_total)).scalar_one())
            if total <= self._sum:  # it may be less: what was changed here since this transaction began
                return
            self._apply(await connection.execute(_late, {"b_since": self._newest - _LATE}))
            if total <= self._sum:
                return
            versions = (await connection.execute(_versions)).all()
            known = self._entries
            changed = [(kind, id_) for kind, id_, version in versions if version > _version(known.get((kind, id_)))]
            for start in range(0, len(changed), _AT_ONCE):
                wanted = select(entries).where(tuple_(_c.kind, _c.id).in_(changed[start : start + _AT_ONCE]))
                self._apply(await connection.execute(wanted))

    def _apply(self, rows: Iterable[Any]) -> None:
        for row in rows:
            entry = Entry(row.kind, row.id, row.version, row.changed_at, row.content, row.password)
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        """Know an entry from now on, unless a newer version of it is known."""
        before = _version(self._entries.get((entry.kind, entry.id)))
        if entry.version <= before:
            return
        self._entries[entry.kind, entry.id] = entry
        self._sum += entry.version - before
        self._newest = max(self._newest, entry.changed_at)
        for directory, reader in list(self._directories.items()):
            _enter(directory, reader, entry)

    async def follow(self) -> None:
        """Wait until another process says that something has changed, or for a second, and look; for a scheduler."""
        with self._bus.subscribe(TOPIC) as wakes:
            await wakes.wait(LOOK)
        if self._directories:
            await self.refresh()

    # --- changing ----------------------------------------------------------------------------------------------------------

    async def write(
        self,
        kind: str,
        id: str,  # noqa: A002
        content: bytes | None,
        password: bytes | None,
        *,
        seen: int | None,
        attest: Callable[[], Callable[[bool], None]],
    ) -> bool:
        """Put an entry in the place of version `seen` (None: there is none); False, and nothing is changed, where there is another.

        Durable, and in force in this process, when it returns. `attest` records the audit event that is durable with it, and gives
        what is to be told whether the change was made. StoreError, and nothing changed, where it cannot be kept.
        """
        now = micros(self._clock)
        settled = _settling(attest())
        if seen is None:
            row = {"kind": kind, "id": id, "version": 1, "changed_at": now, "content": content, "password": password}
            (result,) = await self._group.transact((_add, row), settled=settled)
        else:
            row = {"b_kind": kind, "b_id": id, "b_seen": seen, "v_at": now, "v_content": content, "v_password": password}
            (result,) = await self._group.transact((_change, row), settled=settled)
        if not result.rows:
            return False
        self._take(Entry(kind, id, result.rows[0][0], now, content, password))
        await self._bus.publish(TOPIC)
        return True


def _settling(settle: Callable[[bool], None]) -> Settled:
    def settled(results: list[Result]) -> None:
        settle(bool(results[0].rows))

    return settled


def _version(entry: Entry | None) -> int:
    return entry.version if entry is not None else 0


def _enter(directory: Directory, reader: Reader, entry: Entry) -> None:
    gone = entry.content is None
    if entry.kind == "mailbox":
        directory.enter_mailbox(entry.id, None if gone else reader.mailbox(entry))
    elif entry.kind == "workflow":
        directory.enter_workflow(entry.id, None if gone else reader.workflow(entry))
