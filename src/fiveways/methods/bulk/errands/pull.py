"""Files that are fetched from a partner's server: under a temporary name, resumed where a line was cut, verified, then renamed."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from fiveways.methods.bulk.errands.book import Known, Sighting
from fiveways.methods.bulk.errands.copying import CHECKPOINT, TAIL, Digests, Tail, download
from fiveways.methods.bulk.errands.failures import FileChanged, FileFailed, FileRefused
from fiveways.methods.bulk.errands.local import found
from fiveways.methods.bulk.errands.moving import Listed, Moving
from fiveways.methods.bulk.errands.names import below, name_of, resolved
from fiveways.methods.bulk.errands.remote import RemoteFile
from fiveways.methods.bulk.errands.settings import Pull
from fiveways.methods.bulk.errands.wire import Attributes
from fiveways.methods.bulk.tree import Refused, Writing


class Pulling(Moving[Pull]):
    """One run of a pull."""

    async def _list(self) -> AsyncGenerator[Sequence[Listed], None]:
        async with aclosing(self.remote.list(self.settings.source)) as pages:
            async for page in pages:
                yield [
                    Listed(name_of(raw), said.is_file, said.size if said.mode is not None else None, said.modified)
                    for raw, said in page
                    if raw not in (b".", b"..")
                ]

    async def _sighting(self, name: str, listed: Listed) -> Sighting | None:
        if listed.size is not None and listed.modified is not None:
            return await super()._sighting(name, listed)
        asked = await self.remote.stat(below(self.settings.source, name))  # its listing did not say what it is
        if asked is None or not asked.is_file:
            return None
        return await super()._sighting(name, Listed(name, True, asked.size, asked.modified))

    async def _check(self, file: Known) -> None:
        if self.settings.existing == "refuse" and await found(self.local, self._target(file)) is not None:
            raise FileRefused("there is a file of its name here")

    async def _is_known(self, file: Known, digests: frozenset[str]) -> bool:
        if not file.size or "sha256" not in self.remote.digests:
            return False
        theirs = await self.remote.digest(file.path, "sha256", 0, file.size)
        return theirs is not None and theirs.hex() in digests

    async def _bring(self, file: Known, *, begun: bool) -> str:
        async with self.remote.open(file.path) as source:
            self._same(file, await source.attributes())
            writing = await self._open(file, anew=not file.offset)
            fetching = _Fetching(self, file, source, writing)
            try:
                if file.offset and not await fetching.go_on():
                    await writing.abandon()
                    fetching.writing = writing = await self._open(file, anew=True)
                await fetching.fetch()
                self._same(file, await source.attributes())
                if await source.read(file.size, 1):
                    raise FileChanged("the file has grown while it was moved")
                await self._compare(file, fetching)
            except BaseException:
                await fetching.break_off()
                raise
            await writing.keep()
        if not fetching.start:
            return fetching.digests.hexdigest()
        return (await self.local.digest(self._part(file), "sha256", 0, 0, 0))[0].hex()

    async def _open(self, file: Known, *, anew: bool) -> Writing:
        return await self.local.write(self._part(file), create=True, truncate=anew, exclusive=False, append=False)

    @staticmethod
    def _same(file: Known, said: Attributes) -> None:
        if not said.is_file:
            raise FileRefused("it is no ordinary file")
        if said.size not in (None, file.size) or said.modified not in (None, file.modified):
            raise FileChanged("the file is another than was listed")

    async def _compare(self, file: Known, fetching: _Fetching) -> None:
        """Compare what was fetched now with the server's digest of it, where the server gives one."""
        length = file.size - fetching.start
        for algorithm in self.remote.digests[:1] if length else ():
            theirs = await self.remote.digest(file.path, algorithm, fetching.start, length)
            if theirs is not None and theirs != fetching.digests.digest(algorithm):
                fetching.spoilt = True
                raise FileFailed("the server's digest is another: what came is not what it has")

    async def _place(self, file: Known, *, fresh: bool) -> Known:
        part, target = self._part(file), file.target
        if fresh or await found(self.local, part) is not None:
            try:
                await self.local.rename(part, target, replace=self.settings.existing == "replace")
            except FileExistsError:
                raise FileRefused("there is a file of its name here") from None
            return await self.book.place(file)
        named = await found(self.local, target)
        if named is None:
            return await self.book.place(file, "it was renamed, and has been taken since")
        if named.size == file.size and (await self.local.digest(target, "sha256", 0, 0, 0))[0].hex() == file.digest:
            return await self.book.place(file, "it was renamed")
        return await self.book.reach(await self.book.begin(file), 0, "", "")

    async def _leave(self, file: Known) -> None:
        settings = self.settings
        if settings.after == "keep":
            return
        said = await self.remote.stat(file.path)
        if said is not None and said.size in (None, file.size) and said.modified in (None, file.modified):
            if settings.after == "remove":
                await self.remote.remove(file.path)
            else:
                await self._put_away(file.path, file.id)
        elif said is not None:
            return  # a newer file has its name, and maybe its marker
        beside = self._marker(file)
        if beside is not None:
            if settings.after == "remove":
                await self.remote.remove(beside)
            elif await self.remote.stat(beside) is not None:
                await self._put_away(beside, file.id)

    async def _put_away(self, path: str, id_: str) -> None:
        """Move a file to where those are that were fetched; where its name is taken there, it gets another."""
        folder, name = resolved(self.settings.source, self.settings.done), posixpath.basename(path)
        await self.remote.make_folder(folder)
        taken = await self.remote.stat(below(folder, name)) is not None
        with suppress(FileNotFoundError):
            await self.remote.rename(path, below(folder, f"{id_[:8]}-{name}" if taken else name), replace=False)

    async def _tidy(self, file: Known) -> None:
        with suppress(FileNotFoundError):
            await self.local.remove(self._part(file))


class _Fetching:
    """A file that is being fetched, and what is known of how far it is."""

    def __init__(self, pulling: Pulling, file: Known, source: RemoteFile, writing: Writing) -> None:
        self._pulling = pulling
        self._file = file
        self._source = source
        self.writing = writing
        self.start = 0
        """From which byte it is fetched."""
        self.digests = Digests(pulling.remote.digests[:1])
        """Of what is fetched from there."""
        self.spoilt = False
        """Whether what there is is not to be gone on with."""
        self._tail = Tail()
        self._here = 0
        self._written = 0

    async def go_on(self) -> bool:
        """Have it go on where it was, if what is before that is there still, on both sides."""
        file, remote = self._file, self._pulling.remote
        if self.writing.entry.size < file.offset or file.offset > file.size:
            return False
        begin = max(0, file.offset - TAIL)
        before = await self._source.read(begin, file.offset - begin)
        if len(before) != file.offset - begin or hashlib.sha256(before).hexdigest() != file.tail:
            return False
        if file.prefix and "sha256" in remote.digests:
            theirs = await remote.digest(file.path, "sha256", 0, file.offset)
            if theirs is not None and theirs.hex() != file.prefix:
                return False
        if self.writing.entry.size > file.offset:
            try:
                await self.writing.truncate(file.offset)
            except Refused:
                return False
        self._tail.update(before)
        self.start = self._here = self._written = file.offset
        return True

    async def fetch(self) -> None:
        """Fetch all that is missing."""
        size = self._file.size
        await download(
            self._source,
            self.writing,
            self.start,
            size,
            self._passed,
            lambda done: self._pulling.tell(self._file, done),
        )
        if size >= CHECKPOINT:
            await self._checkpoint()

    async def _passed(self, data: bytes, end: int) -> None:
        self.digests.update(data)
        self._tail.update(data)
        self._here = end
        if end - self._written >= CHECKPOINT:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Write down how far it is, once that is durable."""
        if self._here > self._written:
            await self.writing.sync()
            prefix = "" if self.start else self.digests.hexdigest()
            await self._pulling.book.reach(self._file, self._here, prefix, self._tail.hexdigest())
            self._written = self._here

    async def break_off(self) -> None:
        """Leave it, so that another attempt goes on where this one was."""
        try:
            if self.spoilt:
                await self._pulling.book.reach(self._file, 0, "", "")
            else:
                with suppress(Exception):
                    await self._checkpoint()
        finally:
            await self.writing.abandon()
