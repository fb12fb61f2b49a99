"""Quality control of a transfer, between the store and `quality/`: its content goes into a thread piece by piece, and what comes
out is kept piece by piece: good records as a content of their own, bad ones as rows, the cuts of mini-batches as ranges.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fiveways.clock import SystemClock, moment_of
from fiveways.methods.bulk import records
from fiveways.methods.bulk.agreement import Agreement, Claims
from fiveways.methods.bulk.at_rest import BlockCipher
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.quality.batches import Cutter, GoodRecords, MiniBatch, Part
from fiveways.methods.bulk.quality.decompression import Content as Stream
from fiveways.methods.bulk.quality.examination import examine
from fiveways.methods.bulk.quality.findings import BadRecord, Examination, FileFault, Progress, Unreadable, packed
from fiveways.methods.bulk.quality.readers import reader_of
from fiveways.methods.bulk.quality.report import Delivery, ages
from fiveways.methods.bulk.quality.settings import CutSettings, QualitySettings
from fiveways.methods.bulk.releasing import Cut
from fiveways.methods.bulk.service import Transfer, Transfers
from fiveways.methods.bulk.states import State
from fiveways.methods.bulk.uploads import Upload
from fiveways.methods.bulk.working import Examined

_T = TypeVar("_T")
_PATIENCE = 600.0
"""Seconds that the store has for some pieces of a content."""
_TELL = 1.0
"""Seconds between two notes of how far an examination is."""


class Stopped(Exception):
    """Nobody wants the examination any more, or there is more to be set aside than may be."""


class Examining:
    """Quality control of transfers."""

    def __init__(self, transfers: Transfers, contents: Contents, base: Path, scratch: Path) -> None:
        """`base`: the deployment file's folder; `scratch`: one for what is too large for memory, made where it is not there."""
        self._transfers = transfers
        self._contents = contents
        self.base = base
        self.scratch = scratch
        self.most = 100_000
        """Records of one file that are set aside at most."""
        self.feeds: dict[str, QualitySettings] = {}
        """What the records of each feed are."""

    async def __call__(self, transfer: Transfer, content: Content, agreement: Agreement, claims: Claims) -> Examined:
        """Check every record. Raises Broken and StoreError."""
        settings = agreement.settings.records
        assert settings is not None
        await asyncio.to_thread(self.scratch.mkdir, mode=0o700, parents=True, exist_ok=True)
        sinks = {number: sink.batches for number, sink in enumerate(agreement.settings.deliver_to) if sink.batches is not None}
        run = _Run(self, transfer, content, asyncio.get_running_loop())
        cutters = {number: run.cutter(said, settings) for number, said in sinks.items()}
        too_many = False
        try:
            found = await self._in_thread(run, lambda: run.examine(settings, list(cutters.values())))
        except Stopped:
            too_many, found = True, run.so_far()
        reasons = [found.fault.text] if found.fault is not None else [found.stopped] if found.stopped is not None else []
        if too_many:
            reasons = [f"more than {self.most} records are bad: they are not set aside"]
        elif found.trailer is not None and found.trailer.count not in (None, found.records) and not reasons:
            reasons.append(f"it has {found.records} records, and its trailer says {found.trailer.count}")
        good = None
        if reasons or not (found.bad or sinks):
            await run.good.discard()
        else:
            good = await run.kept()
        return Examined(
            records=found.records,
            accepted=found.good,
            set_aside=found.bad,
            reasons=reasons,
            good=good,
            cuts={number: each.cuts for number, each in cutters.items()},
            examination=packed(found),
            newest=_newest(found, transfer),
        )

    async def _in_thread(self, run: _Run, work: Any) -> Examination:
        task = asyncio.create_task(asyncio.to_thread(work))
        try:
            found: Examination = await asyncio.shield(task)
            return found
        except asyncio.CancelledError:
            run.stop.set()
            await asyncio.wait([task], timeout=30)
            raise

    # --- what others need of it ------------------------------------------------------------------------------------------

    def source(self, content: Content, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> Iterator[bytes]:
        """A content's bytes, for a thread."""
        pieces = self._contents.pieces(content)
        return _pulled(pieces, loop, stop)

    def released(self, feed: str, column: str, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> Iterable[str]:
        """The values of a column of what another feed has released last, for a thread. Raises Unreadable where there is nothing."""
        settings = self.feeds.get(feed)
        content = asyncio.run_coroutine_threadsafe(self._last_released(feed), loop).result()
        if settings is None or content is None:
            raise Unreadable(FileFault("list", f"the feed {feed} has released nothing that could be referred to"))
        stream = Stream(self.source(content, loop, stop), settings.compression, settings.limits, None)
        values: set[str] = set()
        for chunk in reader_of(stream, settings):
            if column not in chunk.frame.columns:
                raise Unreadable(FileFault("list", f"the feed {feed} has no column {column}"))
            values.update(chunk.frame[column].cast(str).drop_nulls().unique().to_list())
        return tuple(values)

    async def _last_released(self, feed: str) -> Content | None:
        states = (State.RELEASED, State.PART_RELEASED, State.COLLECTED)
        found = [row for row in await self._transfers.list(feed, most=100) if row.state in states]
        transfer = await self._transfers.find(found[0].id) if found else None
        name = (transfer.good or transfer.content) if transfer is not None else None
        return await self._contents.find(name) if name else None

    def sealed(self, content: Content, number: int, raw: bytes) -> bytes:
        """A record as it is set aside: encrypted, where its file is."""
        return self._aside(content).seal(number, raw) if content.data_key is not None else raw

    def opened(self, content: Content, number: int, raw: bytes) -> bytes:
        """What was set aside. Raises StoreError."""
        return self._aside(content).open(number, raw) if content.data_key is not None else raw

    def _aside(self, content: Content) -> BlockCipher:
        return BlockCipher(self._contents.data_key(content), b"set aside")

    async def put_aside(self, transfer: Transfer, content: Content, bad: Sequence[BadRecord]) -> None:
        """Write bad records down."""
        rows = [
            {
                "v_transfer": transfer.id, "v_record": each.number, "v_line": each.line or 0,
                "v_reasons": msgspec.json.encode(each.breaches), "v_raw": self.sealed(content, each.number, each.raw),
                "v_mended": None, "v_state": "open", "v_by": "", "v_why": "", "v_at": 0,
            }
            for each in bad
        ]  # fmt: skip
        await self._transfers.group.submit(records.put_aside, rows, synced=False)

    async def note(self, transfer: Transfer, progress: Progress) -> None:
        """Write down how far an examination is."""
        row = {"b_id": transfer.id, "v_records": progress.records, "v_set_aside": progress.bad}
        await self._transfers.group.submit(records.know_progress, row, synced=False)

    def new_upload(self) -> Upload:
        """A content for what comes out."""
        return Upload.ours(self._contents)


@dataclass(slots=True)
class _Cuts:
    """The mini-batches of one sink, as they are cut."""

    cutter: Cutter
    cuts: list[Cut] = field(default_factory=list)


class _Run:
    """One examination. What is called in its thread has what is to be awaited done in the loop."""

    def __init__(self, examining: Examining, transfer: Transfer, content: Content, loop: asyncio.AbstractEventLoop) -> None:
        self._examining = examining
        self._transfer = transfer
        self._content = content
        self._loop = loop
        self.stop = threading.Event()
        self.good = examining.new_upload()
        self._part: Part | None = None
        self._bad = 0
        self._clock = SystemClock()
        self._told = self._clock.monotonic()
        self._last = Progress(0, 0, 0, 0)

    def cutter(self, how: CutSettings, settings: QualitySettings) -> _Cuts:
        """What cuts good records for a sink: into ranges of the content that has them all; a table's into contents of their own."""
        state: dict[str, Any] = {"at": 0, "head": -1, "size": 0, "upload": None}
        table = settings.format == "parquet"

        def begin(number: int) -> None:
            state["size"] = 0
            state["upload"] = self._examining.new_upload() if table else None

        def write(data: bytes) -> None:
            state["size"] += len(data)
            if state["upload"] is not None:
                self._write(state["upload"], data)

        def end(batch: MiniBatch) -> None:
            if state["upload"] is not None:
                name = self._do(state["upload"].keep())
                made.cuts.append(Cut(0, 0, state["size"], batch.records, name))
                return
            head = self._head
            start = state["at"] or head
            state["at"] = start + state["size"] - head
            made.cuts.append(Cut(head, start, state["at"], batch.records, ""))

        made = _Cuts(Cutter(how, self._clock, begin=begin, write=write, end=end))
        return made

    _head = 0
    """Bytes of the header with which the content of good records begins."""

    def examine(self, settings: QualitySettings, cutters: Sequence[_Cuts]) -> Examination:
        """In the thread: examine it."""
        loop, stop, examining = self._loop, self.stop, self._examining

        def good(found: GoodRecords) -> None:
            if self._part is None:
                self._head = len(Part(found.header, found.encoding).end()) if settings.format != "parquet" else 0
                self._part = Part(found.header, found.encoding)
            self._write(self.good, self._part.add(found.batch))
            for each in cutters:
                each.cutter.add(found)

        def bad(found: Sequence[BadRecord]) -> None:
            self._bad += len(found)
            if self._bad > examining.most:
                raise Stopped
            self._do(examining.put_aside(self._transfer, self._content, found))

        def progress(now: Progress) -> None:
            self._last = now
            if stop.is_set():
                raise Stopped
            if self._clock.monotonic() - self._told >= _TELL:
                self._told = self._clock.monotonic()
                self._do(examining.note(self._transfer, now))

        found = examine(
            examining.source(self._content, loop, stop), settings, good=good, bad=bad, progress=progress,
            today=moment_of(self._transfer.at).date(), size=self._content.size, base=examining.base, scratch=examining.scratch,
            feeds=lambda feed, column: examining.released(feed, column, loop, stop),
        )  # fmt: skip
        if self._part is not None:
            self._write(self.good, self._part.end())
        for each in cutters:
            each.cutter.finish()
        return found

    def so_far(self) -> Examination:
        """What is said of an examination that was ended for what there was to set aside."""
        last = self._last
        return Examination(
            verdict="rejected", fault=None, stopped="too many bad records", complete=False, compression="none", read=last.read,
            expanded=last.expanded, records=last.records, good=last.records - last.bad, bad=last.bad, malformed=0, blank=0,
            header=b"", trailer=None, columns={}, tallies=(), stretch=1, places=(),
        )  # fmt: skip

    async def kept(self) -> str:
        """The content of good records, once it is durable."""
        return await self.good.keep()

    def _write(self, upload: Upload, data: bytes) -> None:
        if data:
            self._do(upload.add(data))

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _newest(found: Examination, transfer: Transfer) -> datetime | None:
    """The newest value of any date column; None where there is none."""
    dates = ages(Delivery(transfer.feed, transfer.id, moment_of(transfer.at), found))
    newest = [datetime.fromisoformat(each.newest) for each in dates]
    return max((each if each.tzinfo is not None else each.replace(tzinfo=UTC) for each in newest), default=None)


def _pulled(pieces: AsyncGenerator[bytes, None], loop: asyncio.AbstractEventLoop, stop: threading.Event) -> Iterator[bytes]:
    """Pieces, in a thread, as they come in the loop."""

    async def several() -> list[bytes]:
        found: list[bytes] = []
        async for piece in pieces:
            found.append(piece)
            if len(found) == 16:
                break
        return found

    try:
        while not stop.is_set():
            some = asyncio.run_coroutine_threadsafe(several(), loop).result(_PATIENCE)
            yield from some
            if len(some) < 16:
                return
        raise Stopped
    finally:
        if not loop.is_closed():
            asyncio.run_coroutine_threadsafe(pieces.aclose(), loop).result(_PATIENCE)
