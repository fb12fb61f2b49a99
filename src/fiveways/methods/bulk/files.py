"""Partners' files over rows and payloads: what the SFTP server, and errands to others' servers, see as a `Tree`.

An upload is under no name until it is whole and durable; then its name, its content, the audit's line and what is to be done with
it are one transaction. One that was broken off keeps what is durable of it under its name, for its sender alone, to be resumed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from fiveways.clock import micros
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.methods.bulk import file_records as records
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.digests import digests
from fiveways.methods.bulk.names import CONTENT, Names, entry, entry_of, split
from fiveways.methods.bulk.open_files import FileReading, FileWriting
from fiveways.methods.bulk.settings import Quota
from fiveways.methods.bulk.tree import Broken, Entry, Full, Reading, Refused, Space, Writing
from fiveways.methods.bulk.unnamed import Unnamed
from fiveways.methods.bulk.uploads import Upload
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Arrived, Visit, Watch
from fiveways.store.payloads import IN_ROW

LOOK: Final = 1.0
"""Seconds for which a file may be opened as it was when its client looked at it, just before."""


@dataclass(slots=True)
class Files:
    """The files of every partner, over one store."""

    contents: Contents
    audit: AuditLog
    pseudonym: Callable[[bytes], str]
    """What stands for a file's name in the audit: names may say whose data it is."""
    watch: Watch
    usage: Usage
    unnamed: Unnamed | None = None
    """Told of contents that lose their name; None where they wait for the purge."""

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
        self._names = Names(self._group, self._contents.clock, visit.partner, declared)
        self.visit = visit
        self._quota = quota
        self._looked_at: tuple[str, float, Sequence[Any]] = ("", 0.0, ())

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def stat(self, path: str) -> Entry:
        """What is there. FileNotFoundError, Broken."""
        if path == "/":
            return Entry("", folder=True)
        row = await self._names.find_file(path) if not await self._names.is_known_folder(path) else None
        if row is not None:
            self._looked_at = (path, self._now(), row)
            return entry_of(row)
        row = await self._names.find(path)
        if row is None:
            raise FileNotFoundError(path)
        return entry_of(row)

    async def list(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder, by name."""
        folder = await self._names.folder(path)
        last = ""
        while True:
            rows = await self._names.ask(records.find_names, self._names.this(folder, last))
            if rows:
                yield [entry(*row[:6]) for row in rows]
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
            return FileReading(entry_of(row), self._contents.open(content), partial(self._was_read, path, content, str(row[7])))
        except StoreError as error:
            raise Broken(str(error)) from None

    async def _was_read(self, path: str, content: Content, transfer: str, whole: bool) -> None:
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
        await self._names.folder(folder or "/")
        row = None if truncate and create and not exclusive else await self._names.find(path)
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

        upload = await self._begun(row if not truncate else None, room, append=append)
        self._files.watch.begins(self._arrived(folder, name, upload.content.id, 0))
        return FileWriting(name, upload, self._now, partial(self._keep, path), partial(self._abandon, path))

    async def _begun(self, row: Sequence[Any] | None, room: Callable[[int], None], *, append: bool) -> Upload:
        try:
            if row is None:
                return Upload(self._contents, Content(new_id(), secured=self._secured()), room, append=append)
            content = await self._contents.find(str(row[3]))
            if not content.kept:
                upload = Upload(self._contents, content, room, append=append)
                await upload.resume()
                return upload
            # a whole file never changes: what is gone on with is a copy of it
            upload = Upload(self._contents, Content(new_id(), secured=self._secured()), room)
            async for piece in self._contents.pieces(content):
                await upload.add(piece)
            return upload
        except (StoreError, KeyError) as error:
            raise Broken(str(error)) from None

    async def _keep(self, path: str, upload: Upload) -> None:
        """An upload is whole: it gets its name, at once and durably. Raises Refused, Full and Broken."""
        self._looked_at = ("", 0.0, ())
        folder, name = split(path)
        visit = replace(self.visit, correlation=upload.content.correlation or self.visit.correlation)
        file = replace(self._arrived(folder, name, upload.content.id, upload.size), correlation=visit.correlation)
        try:
            steps = await upload.whole()
            replaced = await self._replaced(path, upload.size)
            follows = await self._files.watch.arrives(file)  # before the event, which goes with the very next transaction
            row = self._names.row(folder, name, file.content, upload.size)
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
        self._lost(replaced)

    async def _abandon(self, path: str, upload: Upload) -> None:
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
                row = self._names.row(folder, name, upload.content.id, size) | {"v_partial": 1}
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
        await self._names.folder(folder or "/")
        _, number = await self._used()
        if number >= self._quota.files:
            raise Full(f"the quota of {self._quota.files} files is used up")
        made = await self._names.do(records.add_name, self._names.row(folder, name, None, 0))
        if not made:
            raise FileExistsError(path)
        self._files.usage.add(self.visit.partner, 0)
        self._names.folder_made(path)

    async def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty."""
        folder, name = split(path)
        await self._names.folder(path)
        if path in self._names.declared:
            raise Refused("this folder is part of what was agreed")
        if not await self._names.do(records.remove_folder, {**self._names.this(folder, name), "b_path": path}):
            raise Refused("the folder is not empty")
        self._names.folders_gone()

    async def remove(self, path: str) -> None:
        """Remove a file. What a transfer has taken over, it keeps."""
        folder, name = split(path)
        row = await self._names.find(path)
        if row is None:
            raise FileNotFoundError(path)
        if row[3] is None:
            raise IsADirectoryError(path)
        self._looked_at = ("", 0.0, ())
        await self._names.do(records.remove_name, self._names.this(folder, name))
        self._files.audit.record(self._files.event("bulk.file.removed", self.visit, folder, name, {"size": row[4]}))
        self._lost(row)

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file or a folder another name, at once."""
        self._looked_at = ("", 0.0, ())
        (folder, name), (to_folder, to_name) = split(old), split(new)
        row, there = await self._names.find(old), await self._names.find(new)
        if row is None:
            raise FileNotFoundError(old)
        await self._names.folder(to_folder or "/")
        if old == new:
            return
        if there is not None and (not replace or there[3] is None or row[3] is None):
            raise FileExistsError(new)
        if there is not None and there[7]:
            raise Refused("a file that was released to you has this name")
        moved = (records.rename, {**self._names.this(folder, name), "v_folder": to_folder, "v_name": to_name})
        steps: list[Any] = [(records.remove_name, self._names.this(to_folder, to_name)), moved] if there is not None else [moved]
        if row[3] is None:
            if old in self._names.declared or f"{new}/".startswith(f"{old}/"):
                raise Refused("this folder is part of what was agreed, or the name is inside of it")
            slashed = f"{old}/"
            below = {"b_partner": self.visit.partner, "b_path": old, "b_slashed": slashed, "b_length": len(slashed), "v_path": new}
            steps.append((records.rename_below, below))
            self._names.folders_gone()
        file = None
        if row[3] is not None and not row[6] and not row[7]:
            file = self._arrived(to_folder, to_name, str(row[3]), int(row[4]))
            steps += await self._files.watch.arrives(file)
        try:
            await self._group.transact(*steps)
        except StoreError as error:
            raise Broken(str(error)) from None
        self._files.audit.record(self._files.event("bulk.file.renamed", self.visit, to_folder, to_name, {"size": row[4]}))
        if file is not None:
            self._files.watch.arrived(file)
        self._lost(there)

    async def touch(self, path: str, modified: int) -> None:
        """Set when it was modified."""
        folder, name = split(path)
        self._looked_at = ("", 0.0, ())
        await self._names.do(records.touch, {**self._names.this(folder, name), "v_modified": min(max(modified, 0), 2**40)})

    # --- within ----------------------------------------------------------------------------------------------------------

    def _arrived(self, folder: str, name: str, content: str, size: int) -> Arrived:
        """A file as those know it who watch."""
        return Arrived(self.visit.partner, folder, name, content, size, self.visit.correlation)

    def _now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._contents.clock.time()

    def _secured(self) -> bytes:
        """What is known of this connection, as it is kept with what comes by it; and under which correlation id it came, which
        stays that of an upload that is gone on with another time."""
        return msgspec.msgpack.encode({**self.visit.facts, "correlation": self.visit.correlation})

    async def _file(self, path: str) -> tuple[Sequence[Any], Content]:
        """The row of a file's name, and its content. FileNotFoundError, IsADirectoryError, Broken."""
        row: Sequence[Any] | None = None
        if path == self._looked_at[0] and self._now() - self._looked_at[1] < LOOK:
            row = self._looked_at[2]
        elif path != "/":
            row = await self._names.find_file(path)
        if row is None:
            name = await self._names.find(path)
            if name is None:
                raise FileNotFoundError(path)
            raise IsADirectoryError(path) if name[3] is None else Broken("the content is gone from the store")
        try:
            return row, await self._contents.of(row[CONTENT:])
        except StoreError as error:
            raise Broken(str(error)) from None

    async def _replaced(self, path: str, size: int) -> Sequence[Any] | None:
        """The row of what has a name that an upload of `size` bytes is about to get; not asked for where it does not matter."""
        if self._files.unnamed is None or not self._files.unnamed.prompt or size <= IN_ROW:
            return None
        with suppress(Broken):  # the purge finds it
            return await self._names.find(path)
        return None

    def _lost(self, row: Sequence[Any] | None) -> None:
        """A file's name, of which this was the row, is gone or leads to another content. Small ones wait for the purge."""
        if self._files.unnamed is not None and row is not None and row[3] is not None and row[4] > IN_ROW:
            self._files.unnamed.lost(str(row[3]))

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
        row = await self._names.find(f"{folder}/{name}")
        if row is None and number >= self._quota.files:
            raise Full(f"the quota of {self._quota.files} files is used up")
        return used - int(row[4]) if row is not None else used
