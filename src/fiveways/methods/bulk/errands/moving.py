"""A run of an errand: what both directions have in common. What was begun is finished first; then what is there is looked at, and
each file that is to be moved is, one bad one never stopping the others.
"""

from __future__ import annotations

import asyncio
import posixpath
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from fiveways.clock import Clock, micros
from fiveways.methods.bulk.errands.book import Book, Known, Sighting
from fiveways.methods.bulk.errands.failures import FileChanged, FileFailed, FileRefused
from fiveways.methods.bulk.errands.local import Local
from fiveways.methods.bulk.errands.names import below, is_meant, marker, temporary
from fiveways.methods.bulk.errands.remote import Remote
from fiveways.methods.bulk.errands.settings import LOCAL_FILES, Pull, Push
from fiveways.methods.bulk.errands.states import WANTED, State
from fiveways.methods.bulk.tree import Broken, Full, Refused

_PATIENT: Final = 120.0
"""Seconds that are waited within a run for files that are not still yet."""
_NEVER: Final = float("inf")
_PROBLEMS: Final = 1000
"""Problems that a report names; all are counted."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a run is."""

    file: str
    """The path of the file that is being moved, where it comes from."""
    done: int
    """Bytes of it that are moved."""
    of: int
    """Bytes that it has."""
    files_done: int
    """Files that this run is through with."""
    files_of: int
    """Files that it has to move, as far as it knows."""


Progress = Callable[[Moment], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that was moved."""

    path: str
    """Where it came from."""
    target: str
    """Where it is."""
    size: int
    digest: str
    """SHA-256, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that was not moved, and why. `path` is '' where it has no name that could be said."""

    path: str
    reason: str


@dataclass(slots=True)
class Report:
    """What a run came to."""

    moved: list[Moved] = field(default_factory=list)
    refusals: list[Problem] = field(default_factory=list)
    """Files that will not be moved as they are."""
    failures: list[Problem] = field(default_factory=list)
    """Files that were not moved this time."""
    refused: int = 0
    failed: int = 0
    skipped: int = 0
    """Files whose content was moved before."""
    waiting: int = 0
    """Files that may not be whole yet."""
    left: int = 0
    """Files, or names, beyond what one run looks at."""
    again_in: float | None = None
    """Seconds after which what is waiting may be whole."""

    def say(self) -> str:
        """All in a sentence that names no file."""
        parts = [f"{len(self.moved)} moved"]
        said = (("refused", self.refused), ("failed", self.failed), ("the same as before", self.skipped),
                ("not whole yet", self.waiting), ("left for the next run", self.left))  # fmt: skip
        parts += [f"{count} {what}" for what, count in said if count]
        reasons = dict.fromkeys(problem.reason for problem in (*self.failures, *self.refusals))
        return ", ".join(parts) + "".join(f"; {reason}" for reason in list(reasons)[:5])

    def refuse(self, path: str, reason: str) -> None:
        """A file will not be moved as it is."""
        self.refused += 1
        if len(self.refusals) < _PROBLEMS:
            self.refusals.append(Problem(path, reason))

    def fail(self, path: str, reason: str) -> None:
        """A file was not moved this time."""
        self.failed += 1
        if len(self.failures) < _PROBLEMS:
            self.failures.append(Problem(path, reason))


class Listed(NamedTuple):
    """Something in the folder that files come from. `name` is None where it is none that is taken."""

    name: str | None
    is_file: bool
    size: int | None
    modified: int | None


@dataclass(slots=True)
class Seen:
    """What is there to be moved."""

    files: list[Sighting] = field(default_factory=list)
    unmarked: set[str] = field(default_factory=set)
    """Paths of those whose marker is not there yet."""
    whole: bool = True
    """Whether all that is there was looked at."""


_S = TypeVar("_S", Push, Pull)


class Moving(ABC, Generic[_S]):
    """One run, over one connection. What it has come to is in `report`, also where it is broken off."""

    def __init__(
        self, errand: str, settings: _S, remote: Remote, local: Local, book: Book, clock: Clock, progress: Progress
    ) -> None:
        self.errand = errand
        self.settings: _S = settings
        self.remote = remote
        self.local = local
        self.book = book
        self.report = Report()
        self._clock = clock
        self._progress = progress
        self.advanced = False
        """Whether any bytes were moved."""
        self._through = 0
        self._of = 0

    async def run(self) -> Report:
        """Move what is to be moved. Raises LineLost, StoreError and Overtaken, after which another run goes on."""
        known = await self.book.known(self.errand)
        begun = [file for file in known.values() if file.state in (State.READY, State.PLACED)]
        self._of = len(begun)
        for file in begun:
            await self._try(file, known)
        try:
            seen = await self._look()
        except (FileNotFoundError, NotADirectoryError):
            self.report.fail("", "the folder that files come from is not there")
            return self.report
        except (FileFailed, FileRefused, Refused, Broken, OSError) as error:
            self.report.fail("", f"the folder that files come from cannot be listed ({_said(error)})")
            return self.report
        files = await self.book.see(self.errand, seen.files, known)
        await self._give_up_on(known, seen)
        wanted = sorted(
            (file for file in files if file.state in WANTED | {State.CHANGED}), key=lambda file: (file.modified, file.path)
        )
        await self._move_all(wanted, seen, known, max(0, self.settings.most_files - len(begun)))
        if seen.whole:
            await self.book.purge(self.errand, self.settings.keep)
        return self.report

    async def _move_all(self, wanted: Sequence[Known], seen: Seen, known: dict[Sighting, Known], most: int) -> None:
        waits = {file.id: self._wait(file, seen) for file in wanted}
        now = [file for file in wanted if not waits[file.id]]
        waiting = sorted((file for file in wanted if waits[file.id]), key=lambda file: waits[file.id])
        soon = [file for file in waiting if waits[file.id] <= _PATIENT][: max(0, most - len(now))]
        self.report.left += max(0, len(now) - most)
        self.report.waiting += len(waiting) - len(soon)
        self.report.again_in = min((wait for file in waiting[len(soon) :] if (wait := waits[file.id]) < _NEVER), default=None)
        self._of += min(len(now), most) + len(soon)
        ready = iter(now[:most])

        async def each() -> None:
            for file in ready:
                await self._try(file, known)

        tasks = [asyncio.create_task(each()) for _ in range(self.settings.at_once)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for file in soon:
            await asyncio.sleep(self._wait(file, seen))
            await self._try(file, known)

    async def _try(self, file: Known, known: dict[Sighting, Known]) -> None:
        """Move a file as far as it goes; what is wrong with it is its own affair."""
        at = _Place(file)
        try:
            await self._move(at, known)
        except FileChanged as error:
            self.report.fail(file.path, str(error))
            if at.file.state in WANTED:
                await self._forsake(at.file)
        except FileRefused as error:
            self.report.refuse(file.path, str(error))
            if at.file.state in WANTED:
                await self.book.refuse(at.file, str(error))
        except Refused as error:
            self.report.refuse(file.path, f"our side does not take it: {error}")
            if at.file.state in WANTED:
                await self.book.refuse(at.file, "our side does not take it")
        except (FileFailed, Broken, Full) as error:
            self.report.fail(file.path, str(error))
        except FileNotFoundError:
            self.report.fail(file.path, "the file, or the folder that it goes to, is not there")
        except OSError as error:
            self.report.fail(file.path, f"our side failed ({_said(error)})")
        finally:
            self._through += 1

    async def _move(self, at: _Place, known: dict[Sighting, Known]) -> None:
        """Take a file from where it is in its life to the end of that."""
        file, fresh = at.file, False
        while file.state is not State.SETTLED:
            if file.state is State.READY:
                file = await self._place(file, fresh=fresh)
                fresh = False
                if file.state is State.PLACED:
                    self.report.moved.append(Moved(file.path, file.target, file.size, file.digest))
            elif file.state is State.PLACED:
                await self._leave(file)
                file = await self.book.settle(file)
            else:
                if file.size > self.settings.largest:
                    raise FileRefused(f"the file is over {self.settings.largest} bytes")
                before = self._before(file, known) if self.settings.same_content == "skip" else frozenset()
                if before and await self._is_known(file, before):
                    file = await self._skip(file)
                else:
                    await self._check(file)
                    begun = file.state is State.MOVING
                    file = at.file = file if begun else await self.book.begin(file)
                    self.tell(file, 0)
                    digest = await self._bring(file, begun=begun)
                    fresh = True
                    if digest in before:
                        await self._tidy(file)
                        file = await self._skip(file)
                    else:
                        file = await self.book.ready(
                            file, digest=digest, target=self._target(file),
                            cipher=self.remote.secured.cipher, host_key=self.remote.secured.host_key,
                        )  # fmt: skip
            at.file = file

    async def _skip(self, file: Known) -> Known:
        self.report.skipped += 1
        return await self.book.skip(file, "its content was moved before")

    @staticmethod
    def _before(file: Known, known: dict[Sighting, Known]) -> frozenset[str]:
        """The digest of what was moved last from the same path, where it was as large."""
        same = [each for each in known.values() if each.path == file.path and each.id != file.id and each.digest]
        last = max(same, key=lambda each: each.at, default=None)
        return frozenset((last.digest,)) if last is not None and last.size == file.size else frozenset()

    async def _give_up_on(self, known: dict[Sighting, Known], seen: Seen) -> None:
        """What is not there any more as it was is not waited for."""
        there, paths = set(seen.files), {each.path for each in seen.files}
        for sighting, file in known.items():
            if file.state in WANTED and sighting not in there and (seen.whole or file.path in paths):
                await self._forsake(file)

    async def _forsake(self, file: Known) -> None:
        if file.state is State.MOVING:
            await self._tidy(file)
        await self.book.change(file)

    def tell(self, file: Known, done: int) -> None:
        """So many bytes of a file are moved."""
        self.advanced = self.advanced or done > 0
        self._progress(Moment(file.path, done, file.size, self._through, max(self._of, self._through + 1)))

    def _target(self, file: Known) -> str:
        return below(self.settings.to.removeprefix(LOCAL_FILES), posixpath.basename(file.path))

    def _part(self, file: Known) -> str:
        return below(self.settings.to.removeprefix(LOCAL_FILES), temporary(self.settings.temporary, file.id))

    async def _look(self) -> Seen:
        """What is there that is meant, in a folder whose listing may have no end."""
        seen, meant, others = Seen(), dict[str, Listed](), set[str]()
        names, template = 0, self.settings.readiness.marker
        async with aclosing(self._list()) as pages:
            async for page in pages:
                for each in page:
                    names += 1
                    if names > self.settings.listing:
                        seen.whole = False
                        self.report.left += 1
                    elif each.name is None:
                        self.report.refuse(
                            "", "its name is none that we take: no UTF-8, characters that cannot be seen, or a slash"
                        )
                    elif each.is_file and is_meant(each.name, self.settings.files):
                        meant[each.name] = each
                    elif template is not None:
                        others.add(each.name)
                if not seen.whole:
                    break
        markers = {marker(template, name) for name in meant} if template is not None else set[str]()
        for name in meant.keys() - markers:
            sighting = await self._sighting(name, meant[name])
            if sighting is not None:
                seen.files.append(sighting)
                if template is not None and marker(template, name) not in others | meant.keys():
                    seen.unmarked.add(sighting.path)
        return seen

    async def _sighting(self, name: str, listed: Listed) -> Sighting | None:
        """A file as it is known; None where it is not there any more."""
        return Sighting(below(self.settings.source.removeprefix(LOCAL_FILES), name), listed.size or 0, listed.modified or 0)

    def _wait(self, file: Known, seen: Seen) -> float:
        """Seconds until a file may be whole; infinite where that is not a matter of time."""
        readiness = self.settings.readiness
        if readiness.marker is not None:
            return _NEVER if file.path in seen.unmarked else 0.0
        return max(0.0, readiness.still_for.total_seconds() - (micros(self._clock) - file.at) / 1e6)

    def _marker(self, file: Known) -> str | None:
        """Where a file's marker is, if it has one."""
        template, (folder, name) = self.settings.readiness.marker, posixpath.split(file.path)
        return below(folder, marker(template, name)) if template is not None else None

    @abstractmethod
    def _list(self) -> AsyncGenerator[Sequence[Listed], None]:
        """What is in the folder that files come from, some at a time."""

    @abstractmethod
    async def _check(self, file: Known) -> None:
        """Raise FileRefused where it need not be begun."""

    @abstractmethod
    async def _is_known(self, file: Known, digests: frozenset[str]) -> bool:
        """Whether it can be told before it is moved that its content is one of these."""

    @abstractmethod
    async def _bring(self, file: Known, *, begun: bool) -> str:
        """Have all of it there, under its temporary name, durable and verified; its SHA-256. `begun`: some of it may be there."""

    @abstractmethod
    async def _place(self, file: Known, *, fresh: bool) -> Known:
        """Give it its name: placed then; or moving once more, where what was ready is gone. `fresh`: it was brought just now."""

    @abstractmethod
    async def _leave(self, file: Known) -> None:
        """Do what is agreed where it came from."""

    @abstractmethod
    async def _tidy(self, file: Known) -> None:
        """Remove what there is under its temporary name."""


def _said(error: Exception) -> str:
    """What may be said of an error: the system's names the file."""
    return type(error).__name__ if isinstance(error, OSError) else str(error)


@dataclass(slots=True)
class _Place:
    """Where a file is in its life, for who has to say what became of it."""

    file: Known
