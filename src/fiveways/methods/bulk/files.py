"""Partners' files over rows and payloads: what the SFTP server, and errands to others' servers, see as a `Tree`.

An upload is under no name until it is whole and durable; then its name, its content, the audit's line and what is to be done with
it are one transaction. One that was broken off keeps what is durable of it under its name, for its sender alone, to be resumed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import msgspec

from fiveways.clock import micros
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.methods.bulk import file_records as records
from fiveways.methods.bulk.contents import Content, Contents, Open
from fiveways.methods.bulk.digests import digests
from fiveways.methods.bulk.settings import Quota
from fiveways.methods.bulk.tree import Broken, Entry, Full, Reading, Refused, Space, Writing
from fiveways.methods.bulk.uploads import Steps, Upload
from fiveways.store.group import GroupWriter

FRESH: Final = 5.0
"""Seconds for which what a partner keeps is known without being counted again."""


LOOK: Final = 1.0
"""Seconds for which a file may be opened as it was when its client looked at it, just before."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is there, and by what connection: told to the audit, and on receipts."""

    partner: str
    correlation: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What is known of the connection: `cipher`, `kex`, `mac`, `client`, `key`, `address`, and so on."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is whole, as it is about to be given its name."""

    partner: str
    folder: str
    name: str
    content: str
    size: int
    correlation: str


class Watch(Protocol):
    """Who wants to know of files: the feeds."""

    def largest(self, partner: str, folder: str, name: str) -> int | None:
        """How many bytes such a file may have; None is no limit."""
        ...

    def begins(self, file: Arrived) -> None:
        """An upload has begun; its size is not known."""
        ...

    async def arrives(self, file: Arrived) -> Steps:
        """What is to be written together with a file's name. Raises StoreError."""
        ...

    def arrived(self, file: Arrived) -> None:
        """It has its name."""
        ...

    async def taken(self, transfer: str, visit: Visit) -> None:
        """A file that a transfer has released was read to its end by a partner."""
        ...


class Usage:
    """How much partners keep, counted now and then."""

    def __init__(self, group: GroupWriter, now: Callable[[], float]) -> None:
        self._group = group
        self._now = now
        self._known: dict[str, tuple[float, int, int]] = {}

    async def of(self, partner: str, *, again: bool = False) -> tuple[int, int]:
        """Bytes and names; `again`: counted just now. Raises StoreError."""
        known = self._known.get(partner)
        if again or known is None or self._now() - known[0] > FRESH:
            rows = (await self._group.submit(records.find_usage, {"b_partner": partner}, synced=False)).rows
            known = self._known[partner] = (self._now(), int(rows[0][0]), int(rows[0][1]))
        return known[1], known[2]

    def add(self, partner: str, size: int) -> None:
        """A name more."""
        if partner in self._known:
            at, used, number = self._known[partner]
            self._known[partner] = (at, used + size, number + 1)


@dataclass(slots=True)
class Files:
    """The files of every partner, over one store."""

    contents: Contents
    audit: AuditLog
    pseudonym: Callable[[bytes], str]
    """What stands for a file's name in the audit: names may say whose data it is."""
    watch: Watch
    usage: Usage

    def tree(self, visit: Visit, quota: Quota, declared: Sequence[str] = ()) -> PartnerFiles:
        """What one partner sees. `declared`: folders that are there from the start."""
        return PartnerFiles(self, visit, quota, declared)

    def event(self, kind: str, visit: Visit, folder: str, name: str, details: Mapping[str, Any]) -> AuditEvent:
        """What the audit says of something that a partner has done with a file."""
        return AuditEvent(
            at=micros(self.contents.clock), kind=kind, id=new_id(), correlation_id=visit.correlation, application=visit.partner,
            context="sftp", details={"file": self.pseudonym(f"{folder}/{name}".encode()), **details},
        )  # fmt: skip


class PartnerFiles:
    """One partner's files (`tree.Tree`)."""

    def __init__(self, files: Files, visit: Visit, quota: Quota, declared: Sequence[str]) -> None:
        self._files = files
        self._contents = files.contents
        self._group = files.contents.group
        self.visit = visit
        self._quota = quota
        self._declared = declared
        self._folders: set[str] | None = None
        self._looked_at: tuple[str, float, Sequence[Any]] = ("", 0.0, ())

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def stat(self, path: str) -> Entry:
        """What is there. FileNotFoundError, Broken."""
        if path == "/":
            return Entry("", folder=True)
        if self._folders is not None and path not in self._folders:
            rows = await self._ask(records.find_file, self._this(*split(path)))
            if rows:
                self._looked_at = (path, self.now(), rows[0])
                return _entry(*_listed(rows[0]))
        row = await self._row(path)
        if row is None:
            raise FileNotFoundError(path)
        return _entry(*_listed(row))

    async def list(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder, by name."""
        folder = await self._folder(path)
        last = ""
        while True:
            asked = {"b_partner": self.visit.partner, "b_folder": folder, "b_name": last}
            rows = await self._ask(records.find_names, asked)
            if rows:
                yield [_entry(*row[:6]) for row in rows]
                last = rows[-1][0]
            if len(rows) < records.MOST:
                return

    async def space(self) -> Space:
        """How much is kept, and may be."""
        used, number = await self._used()
        return Space(used, self._quota.bytes, number, self._quota.files)

    async def digest(self, path: str, algorithm: str, start: int, length: int, block: int) -> Sequence[bytes]:
        """Digests of a file's bytes. ValueError for an algorithm that is not known."""
        _, content = await self._file(path)
        end = min(start + length, content.size) if length else content.size
        return await digests(self._contents.pieces(content, start, end), algorithm, block)

    # --- reading ---------------------------------------------------------------------------------------------------------

    async def read(self, path: str) -> Reading:
        """Open a file to read it. FileNotFoundError, IsADirectoryError, Broken."""
        row, content = await self._file(path)
        try:
            return FileReading(self, _entry(*_listed(row)), path, content, self._contents.open(content), str(row[7]))
        except StoreError as error:
            raise Broken(str(error)) from None

    async def was_read(self, path: str, content: Content, transfer: str, *, whole: bool) -> None:
        """Take down that a file was read."""
        folder, name = split(path)
        details = {"size": content.size, "whole": whole} | ({"transfer": transfer} if transfer else {})
        self._files.audit.record(self._files.event("bulk.file.read", self.visit, folder, name, details))
        if whole and transfer:
            await self._files.watch.taken(transfer, self.visit)

    # --- writing ---------------------------------------------------------------------------------------------------------

    async def write(self, path: str, *, create: bool, truncate: bool, exclusive: bool, append: bool) -> Writing:
        """Open a file to write it."""
        folder, name = split(path)
        await self._folder(folder or "/")
        row = None if truncate and create and not exclusive else await self._row(path)
        if row is not None and row[3] is None:
            raise IsADirectoryError(path)
        if row is not None and row[7]:
            raise Refused("this file was released to you: read it or remove it")
        if row is None and not create:
            raise FileNotFoundError(path)
        if row is not None and exclusive and not row[6]:
            raise FileExistsError(path)
        used = await self._taken(folder, name)
        largest = self._files.watch.largest(self.visit.partner, folder, name)

        def room(size: int) -> None:
            if used + size > self._quota.bytes:
                raise Full(f"the quota of {self._quota.bytes} bytes is used up")
            if largest is not None and size > largest:
                raise Refused(f"the file is over the {largest} bytes that are agreed")

        writing = await self._begun(path, row if not truncate else None, room, append=append)
        self._files.watch.begins(self.arrived(folder, name, writing.content, 0))
        return writing

    async def _begun(self, path: str, row: Sequence[Any] | None, room: Callable[[int], None], *, append: bool) -> FileWriting:
        try:
            if row is None:
                content = Content(new_id(), secured=self._secured())
                return FileWriting(self, path, Upload(self._contents, content, room, append=append))
            content = await self._contents.find(str(row[3]))
            if not content.kept:
                upload = Upload(self._contents, content, room, append=append)
                await upload.resume()
                return FileWriting(self, path, upload)
            # a whole file never changes: what is gone on with is a copy of it
            anew = Content(new_id(), secured=self._secured())
            upload = Upload(self._contents, anew, room)
            async for piece in self._contents.pieces(content):
                waiting = upload.write(upload.size, piece)
                if waiting is not None:
                    await waiting
            return FileWriting(self, path, upload)
        except (StoreError, KeyError) as error:
            raise Broken(str(error)) from None

    async def keep(self, path: str, upload: Upload) -> None:
        """An upload is whole: it gets its name, at once and durably. Raises Refused, Full and Broken."""
        self._looked_at = ("", 0.0, ())
        folder, name = split(path)
        visit = replace(self.visit, correlation=correlation_of(upload.content) or self.visit.correlation)
        file = replace(self.arrived(folder, name, upload.content.id, upload.size), correlation=visit.correlation)
        try:
            steps = await upload.whole()
            follows = await self._files.watch.arrives(file)  # before the event, which goes with the very next transaction
            row = self._name(folder, name, file.content, upload.size)
            details = {"size": upload.size, "blake3": upload.digest.hex()}
            done = self._files.event("bulk.file.kept", visit, folder, name, details)
            settle = self._files.audit.attest(done, self._files.event("bulk.file.refused", visit, folder, name, details))
            results = await self._group.transact(
                (records.put_name, row), *steps, *follows,
                guarded=1, settled=lambda results: settle(results[0].rowcount > 0),
            )  # fmt: skip
        except StoreError as error:
            raise Broken(str(error)) from None
        if not results[0].rowcount:
            raise Refused("a folder, or a file that was released to you, has this name")
        self._files.usage.add(self.visit.partner, upload.size)
        self._files.watch.arrived(file)

    async def abandon(self, path: str, upload: Upload) -> None:
        """An upload was broken off: what is durable of it may be gone on with, where no whole file has its name."""
        self._looked_at = ("", 0.0, ())
        folder, name = split(path)
        try:
            try:
                size = await upload.broken_off()
            except (Broken, Full):
                await upload.discard()
                size = upload.durable
            if size:
                row = self._name(folder, name, upload.content.id, size) | {"v_partial": 1}
                more = (records.know_size, {"b_id": upload.content.id, "v_size": size})
                await self._group.transact((records.put_partial, row), more, guarded=1)
        except StoreError:
            await upload.discard()  # nothing of it stays; its sender was not told otherwise
            size = 0
        self._files.audit.record(self._files.event("bulk.file.broken_off", self.visit, folder, name, {"size": size}))

    # --- names -----------------------------------------------------------------------------------------------------------

    async def make_folder(self, path: str) -> None:
        """Make a folder in a folder that is there."""
        folder, name = split(path)
        await self._folder(folder or "/")
        _, number = await self._used()
        if number >= self._quota.files:
            raise Full(f"the quota of {self._quota.files} files is used up")
        made = await self._do(records.add_name, self._name(folder, name, None, 0))
        if not made:
            raise FileExistsError(path)
        self._files.usage.add(self.visit.partner, 0)
        if self._folders is not None:
            self._folders.add(path)

    async def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty."""
        folder, name = split(path)
        await self._folder(path)
        if path in self._declared:
            raise Refused("this folder is part of what was agreed")
        if not await self._do(records.remove_folder, {**self._this(folder, name), "b_path": path}):
            raise Refused("the folder is not empty")
        self._folders = None

    async def remove(self, path: str) -> None:
        """Remove a file. What a transfer has taken over, it keeps."""
        folder, name = split(path)
        row = await self._row(path)
        if row is None:
            raise FileNotFoundError(path)
        if row[3] is None:
            raise IsADirectoryError(path)
        self._looked_at = ("", 0.0, ())
        await self._do(records.remove_name, self._this(folder, name))
        self._files.audit.record(self._files.event("bulk.file.removed", self.visit, folder, name, {"size": row[4]}))

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file or a folder another name, at once."""
        self._looked_at = ("", 0.0, ())
        (folder, name), (to_folder, to_name) = split(old), split(new)
        row, there = await self._row(old), await self._row(new)
        if row is None:
            raise FileNotFoundError(old)
        await self._folder(to_folder or "/")
        if old == new:
            return
        if there is not None and (not replace or there[3] is None or row[3] is None):
            raise FileExistsError(new)
        if there is not None and there[7]:
            raise Refused("a file that was released to you has this name")
        moved = (records.rename, {**self._this(folder, name), "v_folder": to_folder, "v_name": to_name})
        steps: list[Any] = [(records.remove_name, self._this(to_folder, to_name)), moved] if there is not None else [moved]
        if row[3] is None:
            if old in self._declared or f"{new}/".startswith(f"{old}/"):
                raise Refused("this folder is part of what was agreed, or the name is inside of it")
            slashed = f"{old}/"
            below = {"b_partner": self.visit.partner, "b_path": old, "b_slashed": slashed, "b_length": len(slashed), "v_path": new}
            steps.append((records.rename_below, below))
            self._folders = None
        file = None
        if row[3] is not None and not row[6] and not row[7]:
            file = self.arrived(to_folder, to_name, str(row[3]), int(row[4]))
            steps += await self._files.watch.arrives(file)
        try:
            await self._group.transact(*steps)
        except StoreError as error:
            raise Broken(str(error)) from None
        self._files.audit.record(self._files.event("bulk.file.renamed", self.visit, to_folder, to_name, {"size": row[4]}))
        if file is not None:
            self._files.watch.arrived(file)

    async def touch(self, path: str, modified: int) -> None:
        """Set when it was modified."""
        folder, name = split(path)
        self._looked_at = ("", 0.0, ())
        await self._do(records.touch, {**self._this(folder, name), "v_modified": min(max(modified, 0), 2**40)})

    # --- within ----------------------------------------------------------------------------------------------------------

    def arrived(self, folder: str, name: str, content: str, size: int) -> Arrived:
        """A file as those know it who watch."""
        return Arrived(self.visit.partner, folder, name, content, size, self.visit.correlation)

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._contents.clock.time()

    def _secured(self) -> bytes:
        """What is known of this connection, as it is kept with what comes by it; and under which correlation id it came, which
        stays that of an upload that is gone on with another time."""
        return msgspec.msgpack.encode({**self.visit.facts, "correlation": self.visit.correlation})

    def _this(self, folder: str, name: str) -> dict[str, Any]:
        return {"b_partner": self.visit.partner, "b_folder": folder, "b_name": name}

    def _name(self, folder: str, name: str, content: str | None, size: int) -> dict[str, Any]:
        return {
            "v_partner": self.visit.partner, "v_folder": folder, "v_name": name, "v_content": content, "v_size": size,
            "v_modified": int(self._contents.clock.time()), "v_partial": 0, "v_released": "",
        }  # fmt: skip

    async def _row(self, path: str) -> Sequence[Any] | None:
        if path == "/":
            raise IsADirectoryError(path)
        if self._folders is None:
            await self._folder("/")
        rows = await self._ask(records.find_name, self._this(*split(path)))
        return rows[0] if rows else None

    async def _file(self, path: str) -> tuple[Sequence[Any], Content]:
        """The row of a file's name, and its content. FileNotFoundError, IsADirectoryError, Broken."""
        rows: Sequence[Any] = []
        if path == self._looked_at[0] and self.now() - self._looked_at[1] < LOOK:
            rows = [self._looked_at[2]]
        elif path != "/":
            rows = await self._ask(records.find_file, self._this(*split(path)))
        if not rows:
            row = await self._row(path)
            if row is None:
                raise FileNotFoundError(path)
            raise IsADirectoryError(path) if row[3] is None else Broken("the content is gone from the store")
        try:
            return rows[0], await self._contents.of(rows[0][_NAME:])
        except StoreError as error:
            raise Broken(str(error)) from None

    async def _folder(self, path: str) -> str:
        """A folder that is there, as rows have it. FileNotFoundError, NotADirectoryError."""
        if self._folders is None:
            self._folders = {"/"}
            for declared in self._declared:
                parts = declared.split("/")[1:]
                for depth in range(1, len(parts) + 1):
                    folder, name = split("/" + "/".join(parts[:depth]))
                    await self._do(records.add_name, self._name(folder, name, None, 0), synced=False)
        if path not in self._folders:
            rows = await self._ask(records.find_name, self._this(*split(path)))
            if not rows:
                raise FileNotFoundError(path)
            if rows[0][3] is not None:
                raise NotADirectoryError(path)
            self._folders.add(path)
        return "" if path == "/" else path

    async def _used(self, *, again: bool = False) -> tuple[int, int]:
        try:
            return await self._files.usage.of(self.visit.partner, again=again)
        except StoreError as error:
            raise Broken(str(error)) from None

    async def _taken(self, folder: str, name: str) -> int:
        """The bytes that an upload finds taken: those of the file that it replaces are not. Raises Full where there are too many
        files."""
        used, number = await self._used()
        if used <= self._quota.bytes // 2 and number < self._quota.files:
            return used  # what is replaced does not matter
        used, number = await self._used(again=True)
        rows = await self._ask(records.find_name, self._this(folder, name))
        if not rows and number >= self._quota.files:
            raise Full(f"the quota of {self._quota.files} files is used up")
        return used - int(rows[0][4]) if rows else used

    async def _ask(self, question: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
        try:
            return await self._group.ask(question, asked)
        except StoreError as error:
            raise Broken(str(error)) from None

    async def _do(self, statement: Any, row: Mapping[str, Any], *, synced: bool = True) -> int:
        try:
            return (await self._group.submit(statement, row, synced=synced)).rowcount
        except StoreError as error:
            raise Broken(str(error)) from None


class FileReading:
    """A file that is being read (`tree.Reading`)."""

    def __init__(self, files: PartnerFiles, entry: Entry, path: str, content: Content, opened: Open, released: str) -> None:
        self.entry = entry
        self._files = files
        self._path = path
        self._content = content
        self._released = released
        self._open = opened
        self.read: Callable[[int, int], bytes | Awaitable[bytes]] = self._read
        self._furthest = 0

    def _read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `offset`; b'' at the end."""
        if offset <= self._furthest:  # from front to back, as far as can be seen
            self._furthest = max(self._furthest, offset + size)
        return self._open.read(offset, size)

    async def close(self) -> None:
        """No more is read."""
        await self._open.close()
        await self._files.was_read(self._path, self._content, self._released, whole=self._furthest >= self._content.size)


class FileWriting:
    """A file that is being uploaded (`tree.Writing`)."""

    def __init__(self, files: PartnerFiles, path: str, upload: Upload) -> None:
        self._files = files
        self._path = path
        self._upload = upload
        self.write = upload.write
        self.sync = upload.sync

    @property
    def content(self) -> str:
        """The id of what is being written."""
        return self._upload.content.id

    @property
    def entry(self) -> Entry:
        """As it is so far."""
        return Entry(split(self._path)[1], folder=False, size=self._upload.size, modified=int(self._files.now()))

    async def truncate(self, size: int) -> None:
        """Have it end at `size`. Raises Refused where it does not already."""
        if size != self._upload.size:
            raise Refused("a file that is being uploaded cannot be cut: upload it anew")

    async def keep(self) -> None:
        """It is whole."""
        try:
            await self._files.keep(self._path, self._upload)
        except (Broken, Full):
            await self._files.abandon(self._path, self._upload)  # what is durable of it need not come again
            raise
        except BaseException:
            await self._upload.discard()
            raise

    async def abandon(self) -> None:
        """The client has gone away."""
        await self._files.abandon(self._path, self._upload)


def correlation_of(content: Content) -> str:
    """The correlation id under which an upload was begun; '' where that is not known."""
    return msgspec.msgpack.decode(content.secured, type=dict[str, str]).get("correlation", "") if content.secured else ""


_NAME: Final = len(records.names.columns)


def split(path: str) -> tuple[str, str]:
    """A path as rows have it: the folder ('' for the root) and the name in it."""
    folder, _, name = path.rpartition("/")
    return folder, name


def _listed(row: Sequence[Any]) -> tuple[Any, ...]:
    """Of a row of `names`: what a listing has of it."""
    return row[2], row[3], row[4], row[5], row[7], row[6]


def _entry(name: str, content: str | None, size: int, modified: int, released: str, partial: int) -> Entry:
    return Entry(name, folder=content is None, size=size, modified=modified, writable=not released, partial=bool(partial))
