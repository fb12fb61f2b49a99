"""One `/metrics` for all gateway processes of a node (docs/decisions/0012).

Each process that `fiveways serve --processes` supervises has a slot, and leaves what it has counted in the slot's file: every
second, before it answers a scrape, and when it stops. Whoever is scraped answers with the sum of the files. A process that is
started again in a slot goes on from the slot's file, so no counter ever shown goes backwards. Requests pay nothing for it.

A file that cannot be what a process of ours wrote is left out, with a line in the log, and replaced within the second.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar, TypeVarTuple

import msgspec
import structlog

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.methods.synchronous.policies.metrics import BUCKETS, Figures, GatewayMetrics
from fiveways.platform.tallies import Tallied, Tallies

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger("fiveways.metrics")

LIMIT: Final = 16 * 2**20
"""Bytes of a file: some hundred thousand series. A process that has more shows its own alone."""
STALE: Final = 10.0
"""Seconds after which a process that leaves no new file says nothing of its breakers any more; its counts still count."""


@dataclass(slots=True, frozen=True)
class Slot:
    """A place among the `of` gateway processes of a node, `number` from 0, or beside them (`of`: that of the process that does the
    work that is nobody's request); `folder` is where all of them leave their files."""

    folder: Path
    number: int
    of: int

    def file(self, number: int) -> Path:
        """The file of a slot."""
        return self.folder / f"{number}.json"

    @property
    def others(self) -> list[int]:
        """The other slots, that beside the gateways last."""
        return [number for number in range(self.of + 1) if number != self.number]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}/{self.folder.name}"

    @classmethod
    def parse(cls, text: str, data: Path) -> Slot:
        """The slot that `str` wrote, below the data folder; ValueError for anything else."""
        number, of, name = text.split("/")
        return cls(data / "run" / name, int(number), int(of))


@contextmanager
def run_folder(data: Path) -> Iterator[Path]:
    """A folder for the files of one supervisor's processes, gone when the block is left. What a supervisor that was killed has
    left is removed: counting begins anew with each, and no file of a process that is no more is ever added."""
    shutil.rmtree(data / "run", ignore_errors=True)
    folder = data / "run" / new_id()
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(data / "run", ignore_errors=True)


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Buckets = Annotated[list[_Count], msgspec.Meta(min_length=len(BUCKETS) + 1, max_length=len(BUCKETS) + 1)]
_Status = Annotated[int, msgspec.Meta(ge=0, le=9)]
_Sum = Annotated[float, msgspec.Meta(ge=0)]
_Rows = dict[str, list[_Sum]]


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process has counted (the members of `Figures`, and of `Tallied`) at a moment, in seconds since the epoch."""

    at: float
    series: list[tuple[str, str, str, _Status, _Buckets, _Sum]]
    over_budget: dict[str, _Count]
    breakers: dict[str, bool]
    counts: dict[str, _Rows] = {}
    states: dict[str, _Rows] = {}

    def figures(self, now: float) -> Figures:
        """The figures; without breakers where they are old."""
        return Figures(self.series, self.over_budget, self.breakers if now - self.at <= STALE else {})

    def tallied(self, now: float) -> Tallied:
        """The tallies; without how things stand where they are old."""
        return Tallied(self.counts, self.states if now - self.at <= STALE else {})


class NodeMetrics:
    """Keeps the file of this process's slot, and adds the others up. `resume` before the first request; `close` after the last."""

    def __init__(self, metrics: GatewayMetrics, tallies: Tallies, slot: Slot, clock: Clock) -> None:
        self._metrics = metrics
        self._tallies = tallies
        self._slot = slot
        self._clock = clock
        # One thread: what is written later is newer, also where nobody waits any more for what was to be written before.
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def resume(self) -> None:
        """Go on from where the process before in this slot was."""
        before = await self._in_thread(_read, self._slot.file(self._slot.number))
        if before is not None:
            self._metrics.go_on_from(before.figures(self._clock.time()))
            self._tallies.go_on_from(before.tallied(self._clock.time()))

    async def publish(self) -> None:
        """Leave what is counted up to now; OSError where it cannot be written."""
        await self._in_thread(self._write, self._metrics.figures(), self._tallies.figures())

    async def gather(self) -> None:
        """Have the metrics show the sum of all processes. Of this one it has what is on file too: what was shown once cannot be
        lost when the process is killed."""
        own = self._metrics.figures(), self._tallies.figures()
        self._metrics.node, self._tallies.node = await self._in_thread(self._exchange, *own)

    async def close(self) -> None:
        """Leave the last figures."""
        try:
            await self.publish()
        except OSError as error:
            log.error("metrics cannot be left to the other processes", reason=str(error))
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _exchange(self, own: Figures, tallied: Tallied) -> tuple[tuple[Figures, ...], tuple[Tallied, ...]]:
        try:
            self._write(own, tallied)
        except OSError as error:
            log.error("metrics cannot be left to the other processes", reason=str(error))
        now = self._clock.time()
        left = {number: _read(self._slot.file(number)) for number in self._slot.others}
        found = {number: snapshot for number, snapshot in left.items() if snapshot is not None}
        figures = (snapshot.figures(now) for number, snapshot in found.items() if number < self._slot.of)
        return (own, *figures), (tallied, *(snapshot.tallied(now) for snapshot in found.values()))

    def _write(self, own: Figures, tallied: Tallied) -> None:
        body = msgspec.json.encode(Snapshot(self._clock.time(), *own, *tallied))
        if len(body) > LIMIT:
            raise OSError(f"{len(own.series)} series make more than {LIMIT} bytes")
        file = self._slot.file(self._slot.number)
        temporary = file.with_suffix(".writing")
        temporary.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # a folder of temporary files may have been tidied
        temporary.write_bytes(body)
        temporary.replace(file)


def _read(file: Path) -> Snapshot | None:
    """What a process has left; None where it has left nothing yet, or where this cannot be it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("not a regular file")
            if os.fstat(descriptor).st_size > LIMIT:
                raise OSError(f"larger than {LIMIT} bytes")
            body = os.read(descriptor, LIMIT)
        finally:
            os.close(descriptor)
        return msgspec.json.decode(body, type=Snapshot)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("a process's metrics are left out", file=file.name, reason=str(error))
        return None
