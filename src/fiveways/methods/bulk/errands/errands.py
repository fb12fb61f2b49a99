"""The errands of a deployment: runs one, when it is due or when asked, on one node at a time.

A run by the schedule is a delivery, promised as soon as the one before it is due: so it is kept if no node is up at that time,
begun by one node, and tried again with growing pauses where it failed. Its key is the errand, so that no two runs of one errand
overlap; a run that was overtaken by the next is not made up for. A run that somebody asked for holds the lease of the same key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from fiveways.clock import Clock, micros_of, moment_of
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.holding import Holding
from fiveways.delivery.queue import Delivery, GiveUp, Queue, Retry
from fiveways.errors import FivewaysError, StoreError
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.failures import LineLost, NotAdmitted, NotTrusted
from fiveways.methods.bulk.errands.folder import Folder
from fiveways.methods.bulk.errands.local import Local
from fiveways.methods.bulk.errands.moving import Moment, Progress, Report
from fiveways.methods.bulk.errands.pull import Pulling
from fiveways.methods.bulk.errands.push import Pushing
from fiveways.methods.bulk.errands.remote import Remote, Secured, connect
from fiveways.methods.bulk.errands.settings import LOCAL_FILES, Errand, Pull, Server

QUEUE: Final = "bulk.errands"
"""The queue of runs."""
_LINES: Final = 3
"""Connections in a row that are lost before anything was moved by them; then the run has failed."""
_LEASE: Final = timedelta(seconds=30)

Trees = Callable[[str, Secured], Local]
"""A partner's files, for a run over a connection that is secured so."""
Servers = Callable[[str], Server | None]
"""A partner's own server, if it has one."""


class OutOfTime(FivewaysError):
    """A run takes longer than it may. What is done is done; another goes on from there."""


class Busy(FivewaysError):
    """The errand is being run already, by this node or another."""


class NoErrand(FivewaysError):
    """There is no errand of this name, or its partner has no server."""


def silent(moment: Moment) -> None:
    """Progress that nobody looks at."""


class Errands:
    """All errands of a deployment, and what they are run with."""

    def __init__(
        self,
        errands: Mapping[str, Errand],
        servers: Servers,
        trees: Trees,
        book: Book,
        deliveries: Deliveries,
        clock: Clock,
        base: Path,
        *,
        rest: float = 2.0,
    ) -> None:
        """`base`: the folder of the deployment file, for what it refers to; `rest`: seconds before a server is connected to again
        after a line was cut."""
        self.errands = errands
        self._servers = servers
        self._trees = trees
        self._book = book
        self._deliveries = deliveries
        self._clock = clock
        self._base = base
        self._rest = rest
        self._promised: dict[str, datetime] = {}

    # --- a run ------------------------------------------------------------------------------------------------------------

    async def run(self, name: str, progress: Progress = silent) -> Report:
        """Run an errand, which nobody else may be doing; what it came to. A line that is cut is taken up again, as long as
        something is moved by each. Raises NoErrand, NotTrusted, NotAdmitted, LineLost, OutOfTime and StoreError."""
        settings = self._settings(name)
        server = self._servers(settings.partner)
        if server is None:
            raise NoErrand(f"partner {settings.partner} has no server of its own")
        limit = settings.time_limit.total_seconds()
        report, lost = Report(), 0
        try:
            async with asyncio.timeout(limit) as within:
                while True:
                    moving: Pulling | Pushing | None = None
                    try:
                        async with connect(server, self._base) as remote:
                            moving = self._moving(name, settings, remote, progress)
                            last = await moving.run()
                        last.moved[:0] = report.moved
                        return last
                    except LineLost:
                        if moving is not None:
                            report.moved += moving.report.moved
                        lost = 0 if moving is not None and moving.advanced else lost + 1
                        if lost >= _LINES:
                            raise
                        await asyncio.sleep(self._rest * max(1, lost))
        except TimeoutError:
            if not within.expired():
                raise
            raise OutOfTime(f"not done within {limit:g} s") from None

    async def run_now(self, name: str, progress: Progress = silent) -> Report:
        """Run an errand because somebody asks for it. Raises Busy too, where it is being run."""
        self._settings(name)
        holding = Holding(self._deliveries.group, self._clock, QUEUE, name, self._deliveries.node, _LEASE)
        if not await holding.take():
            raise Busy(f"{name} is being run already")
        running = asyncio.create_task(self.run(name, progress))
        renewing = asyncio.create_task(_renewed(holding))
        try:
            await asyncio.wait((running, renewing), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                renewing.result()
            return await running
        finally:
            for task in (running, renewing):
                task.cancel()
            await asyncio.gather(running, renewing, return_exceptions=True)
            with suppress(StoreError):  # it runs out
                await asyncio.shield(holding.let_go())

    def _moving(self, name: str, settings: Errand, remote: Remote, progress: Progress) -> Pulling | Pushing:
        place = settings.to if isinstance(settings, Pull) else settings.source
        if place.startswith(LOCAL_FILES):
            local: Local = Folder(Path("/"))
        else:
            local = self._trees(settings.tree or settings.partner, remote.secured)
        if isinstance(settings, Pull):
            return Pulling(name, settings, remote, local, self._book, self._clock, progress)
        return Pushing(name, settings, remote, local, self._book, self._clock, progress)

    def _settings(self, name: str) -> Errand:
        settings = self.errands.get(name)
        if settings is None:
            raise NoErrand(f"there is no errand {name}")
        return settings

    # --- by the schedule --------------------------------------------------------------------------------------------------

    def queue(self) -> Queue:
        """The queue of runs, for a worker."""
        longest = max((each.time_limit for each in self.errands.values()), default=timedelta(hours=1))
        return Queue(
            name=QUEUE, handler=self, attempts=2**31, patience=timedelta(days=1), first_wait=timedelta(seconds=10),
            longest_wait=timedelta(minutes=15), longest_heed=timedelta(days=1), lease=_LEASE,
            time_limit=longest + timedelta(minutes=1), concurrency=8,
        )  # fmt: skip

    async def __call__(self, delivery: Delivery) -> str:
        """Make a run that is due; what it came to. Raises Retry and GiveUp."""
        name, due = delivery.target, moment_of(int(delivery.envelope or b"0"))
        settings = self.errands.get(name)
        if settings is None or settings.schedule is None:
            return "it is not run by a schedule any more"
        if settings.schedule.next_run(due - timedelta(microseconds=1)) != due:
            return "its schedule is another by now"
        following = settings.schedule.next_run(due)
        if following <= self._clock.now() and await self._deliveries.promised(run_id(name, following)) is not None:
            return "the next run is due already"
        try:
            report = await self.run(name)
        except (NotTrusted, NotAdmitted, NoErrand) as error:
            raise GiveUp(str(error)) from None
        except (LineLost, OutOfTime) as error:
            raise Retry(str(error)) from None
        if report.failed:
            raise Retry(report.say())
        if report.again_in is not None:
            raise Retry(report.say(), timedelta(seconds=report.again_in))
        return report.say()

    async def promise(self) -> None:
        """Promise the next run of each errand that has a schedule. To be called again and again: what would have been due twice
        between two calls is done once. Raises StoreError."""
        now = self._clock.now()
        for name, settings in self.errands.items():
            if settings.schedule is None:
                continue
            due = settings.schedule.next_run(now)
            if self._promised.get(name) == due:
                continue
            promise = await self._deliveries.promise(
                QUEUE, key=name, target=name, body=b"", not_before=due, id=run_id(name, due), new=True,
                envelope=str(micros_of(due)).encode(),
            )  # fmt: skip
            await self._deliveries.group.transact(*promise.steps, guarded=1)
            self._deliveries.wake(QUEUE)
            self._promised[name] = due


def run_id(name: str, due: datetime) -> str:
    """The id of a run, which is one however many nodes promise it."""
    digest = hashlib.sha256(f"{QUEUE}\0{name}\0{micros_of(due)}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=5))


async def _renewed(holding: Holding) -> None:
    """Renew a lease until cancelled; LeaseLost where it is lost."""
    while True:
        await asyncio.sleep(_LEASE.total_seconds() / 3)
        with suppress(StoreError):
            await holding.renew()
