"""Files that are brought to a partner's server: under a temporary name, resumed where a line was cut, verified, then renamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from fiveways.methods.bulk.errands.book import Known
from fiveways.methods.bulk.errands.copying import TAIL, Digests, digest_here, upload
from fiveways.methods.bulk.errands.failures import FileChanged, FileFailed, FileRefused
from fiveways.methods.bulk.errands.local import done, found
from fiveways.methods.bulk.errands.moving import Listed, Moving
from fiveways.methods.bulk.errands.names import is_name
from fiveways.methods.bulk.errands.settings import LOCAL_FILES, Push
from fiveways.methods.bulk.errands.wire import Attributes
from fiveways.methods.bulk.tree import Reading


class Pushing(Moving[Push]):
    """One run of a push."""

    async def _list(self) -> AsyncGenerator[Sequence[Listed], None]:
        async for page in self.local.list(self.settings.source.removeprefix(LOCAL_FILES)):
            yield [
                Listed(entry.name if is_name(entry.name) else None, not entry.folder, entry.size, entry.modified)
                for entry in page
                if not entry.partial  # an upload that was broken off is no file yet
            ]

    async def _check(self, file: Known) -> None:
        await self._is_free(self._target(file))

    async def _is_free(self, target: str) -> None:
        if self.settings.existing == "refuse" and await self.remote.stat(target) is not None:
            raise FileRefused("there is a file of its name on the server")

    async def _is_known(self, file: Known, digests: frozenset[str]) -> bool:
        said = await self.local.digest(file.path, "sha256", 0, 0, 0)
        return said[0].hex() in digests

    async def _bring(self, file: Known, *, begun: bool) -> str:
        part, reading = self._part(file), await self.local.read(file.path)
        try:
            if (reading.entry.size, reading.entry.modified) != (file.size, file.modified):
                raise FileChanged("the file has changed since it was listed")
            algorithms = self.remote.digests[:1]
            start, digests = await self._begin_at(file, part, reading) if begun else (0, Digests(algorithms))
            async with self.remote.open(part, write=True, anew=not start) as there:
                await upload(reading, there, start, file.size, digests, lambda done: self.tell(file, done))
                size = (await there.sync()).size
            if size is not None and size != file.size:
                await self.remote.remove(part)
                raise FileFailed("the server has another number of bytes than it was sent")
            for algorithm in algorithms if file.size else ():
                theirs = await self.remote.digest(part, algorithm, 0, file.size)
                if theirs is not None and theirs != digests.digest(algorithm):
                    await self.remote.remove(part)
                    raise FileFailed("the server's digest is another: what it has is not what it was sent")
        finally:
            await reading.close()
        entry = await self.local.stat(file.path)
        if (entry.size, entry.modified) != (file.size, file.modified):
            raise FileChanged("the file has changed while it was moved")
        return digests.hexdigest()

    async def _begin_at(self, file: Known, part: str, reading: Reading) -> tuple[int, Digests]:
        """From which byte to go on, and the digests of what is before that."""
        algorithms = self.remote.digests[:1]
        there = await self.remote.stat(part)
        start = (there.size or 0) if there is not None and there.is_file else 0
        if not 0 < start <= file.size:
            return 0, Digests(algorithms)
        digests = Digests(algorithms)
        await digest_here(reading, start, digests)
        for algorithm in algorithms:
            theirs = await self.remote.digest(part, algorithm, 0, start)
            if theirs is not None:
                return (start, digests) if theirs == digests.digest(algorithm) else (0, Digests(algorithms))
        tail = min(TAIL, start)
        with suppress(FileRefused, FileFailed):  # a folder into which one may only write
            async with self.remote.open(part) as file_there:
                theirs = await file_there.read(start - tail, tail)
            ours = b""
            while len(ours) < tail and (data := await done(reading.read(start - tail + len(ours), tail - len(ours)))):
                ours += data
            if theirs == ours:
                return start, digests
        return 0, Digests(algorithms)

    async def _place(self, file: Known, *, fresh: bool) -> Known:
        part, target = self._part(file), file.target
        there = Attributes(file.size, None, None) if fresh else await self.remote.stat(part)
        if there is not None:
            if there.size not in (None, file.size):
                return await self.book.begin(file)
            if not fresh or file.size > TAIL:  # what is small was brought in no time
                await self._is_free(target)
            await self.remote.rename(part, target, replace=self.settings.existing == "replace")
            return await self.book.place(file)
        named = await self.remote.stat(target)
        if named is None:
            return await self.book.place(file, "it was renamed, and has been taken since")
        if named.size in (None, file.size) and await self._is_ours(target, file):
            return await self.book.place(file, "it was renamed")
        return await self.book.begin(file)

    async def _is_ours(self, target: str, file: Known) -> bool:
        """Whether what has its name is what was brought: asked only where the ledger ends between renaming and saying so."""
        if file.size and "sha256" in self.remote.digests:
            theirs = await self.remote.digest(target, "sha256", 0, file.size)
            if theirs is not None:
                return theirs.hex() == file.digest
        digests, at = Digests(), 0
        async with self.remote.open(target) as there:
            while at < file.size and (data := await there.read(at, min(TAIL, file.size - at))):
                digests.update(data)
                at += len(data)
        return digests.hexdigest() == file.digest

    async def _leave(self, file: Known) -> None:
        if self.settings.after == "remove":
            entry = await found(self.local, file.path)
            if entry is not None and (entry.size, entry.modified) == (file.size, file.modified):
                with suppress(FileNotFoundError):
                    await self.local.remove(file.path)
            elif entry is not None:
                return  # a newer file has its name, and maybe its marker
            beside = self._marker(file)
            if beside is not None:
                with suppress(FileNotFoundError):
                    await self.local.remove(beside)

    async def _tidy(self, file: Known) -> None:
        await self.remote.remove(self._part(file))
