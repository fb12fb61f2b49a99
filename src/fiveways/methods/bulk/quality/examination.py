"""Examining a file: every record is read and judged; good ones go on as they came, and bad ones are set aside with every reason.

    examined = examine(pieces, settings, good=hand_on, bad=set_aside, today=day)

It streams: memory does not grow with the file but for 2 MiB per million keys that are looked at for uniqueness, and a list that
records refer to. The same bytes with the same settings and the same day give the same batches and records, in the same order,
however the bytes come. A file that turns out to be unreadable, or to have too many bad records, may have handed on some by then:
nothing of it may be released before the verdict.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path

from fiveways.methods.bulk.quality.batches import GoodRecords
from fiveways.methods.bulk.quality.chunks import Chunk, Reader, TextChunk
from fiveways.methods.bulk.quality.decompression import Content
from fiveways.methods.bulk.quality.findings import BadRecord, Examination, FileFault, Progress, Unreadable
from fiveways.methods.bulk.quality.json_lines import RESOURCE
from fiveways.methods.bulk.quality.judging import Judge, bad_records
from fiveways.methods.bulk.quality.lists import Feeds, no_feeds
from fiveways.methods.bulk.quality.models import resolved
from fiveways.methods.bulk.quality.profile import Profiler
from fiveways.methods.bulk.quality.readers import reader_of, shortest
from fiveways.methods.bulk.quality.rules import Rules
from fiveways.methods.bulk.quality.settings import QualitySettings, StopPolicy
from fiveways.methods.bulk.quality.tallies import Tallies

Good = Callable[[GoodRecords], None]
Bad = Callable[[Sequence[BadRecord]], None]


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


def examine(
    source: Iterable[bytes],
    settings: QualitySettings,
    *,
    good: Good,
    bad: Bad,
    today: date,
    progress: Callable[[Progress], None] = _ignore,
    stop: StopPolicy | None = None,
    size: int | None = None,
    base: Path = Path(),
    scratch: Path | None = None,
    feeds: Feeds = no_feeds,
) -> Examination:
    """Examine a file.

    `source`: its bytes; it is iterated over in a thread of its own. `good`, `bad` and `progress` are called in this one; what they
    raise ends it. `today`: the day on which the file came. `stop`: in place of the settings' `bad_records`. `size`: how many bytes
    the source has, where that is known: too many bad records are then certain earlier. `base`: the deployment file's folder.
    `scratch`: a folder for zip and Parquet files and for keys. `feeds`: what other feeds have released.
    """
    return _Examining(source, settings, good, bad, progress, stop or settings.bad_records, size, scratch).run(today, base, feeds)


class _Examining:
    def __init__(
        self,
        source: Iterable[bytes],
        settings: QualitySettings,
        good: Good,
        bad: Bad,
        progress: Callable[[Progress], None],
        stop: StopPolicy,
        size: int | None,
        scratch: Path | None,
    ) -> None:
        self._settings = settings
        self._content = Content(source, settings.compression, settings.limits, scratch)
        self._good, self._bad, self._progress = good, bad, progress
        self._stop = stop
        self._size = size
        self._scratch = scratch
        self._tallies = Tallies()
        self._records = self._handed_on = self._bad_records = self._malformed = self._blank = 0
        self._ended = False
        self._resources: dict[str, int] = {}
        self._reader: Reader | None = None
        self._profiler: Profiler | None = None

    def run(self, today: date, base: Path, feeds: Feeds) -> Examination:
        fault, stopped = None, None
        try:
            self._settings = resolved(self._settings, base)
            rules = Rules(self._settings, self._settings.columns, today=today, base=base, feeds=feeds)
            self._reader = reader_of(self._content, self._settings, scratch=self._scratch)
            self._profiler = Profiler(rules.columns)
            with contextlib.closing(Judge(self._settings, rules, self._scratch)) as judge:
                stopped = self._work(self._reader, judge, self._profiler)
            if not self._content.expanded:
                raise Unreadable(FileFault("empty", "The file is empty"))
        except Unreadable as error:
            fault = error.fault
            if not self._content.expanded and fault.code == "header":
                fault = FileFault("empty", "The file is empty")
        return self._examination(fault, stopped)

    def _work(self, reader: Reader, judge: Judge, profiler: Profiler) -> str | None:
        """Judge all chunks; what the stop policy found, where it ends it."""
        with contextlib.closing(_ahead(iter(reader))) as chunks:
            for chunk in chunks:
                self._judge(chunk, reader, judge, profiler)
                if (stopped := self._too_many(chunk)) is not None:
                    return stopped
        self._ended = True
        share = self._bad_records / max(1, self._records)
        if self._stop.policy == "stop-at" and share > self._stop.percent:
            return self._over()
        return None

    def _judge(self, chunk: Chunk, reader: Reader, judge: Judge, profiler: Profiler) -> None:
        bad, typed = judge.judge(chunk)
        profiler.add(chunk.frame, typed)
        if RESOURCE in chunk.frame.columns:
            for kind, count in chunk.frame[RESOURCE].value_counts(sort=True).iter_rows():
                self._resources[kind] = self._resources.get(kind, 0) + count
        self._records += chunk.records
        self._blank += chunk.blank
        self._malformed += len(chunk.malformed)
        if bad:
            set_aside = bad_records(chunk, bad)
            self._bad_records += len(bad)
            self._tallies.add(set_aside, self._records)
            self._bad(set_aside)
        if len(bad) < chunk.records and not (bad and self._stop.policy == "reject-file"):
            batch = chunk.good(list(bad))
            self._good(GoodRecords(self._handed_on, batch, reader.header, reader.encoding))
            self._handed_on += batch.records
        self._progress(Progress(self._content.read, self._content.expanded, self._records, self._bad_records))

    def _too_many(self, chunk: Chunk) -> str | None:
        """Whether it is certain that there are too many bad records."""
        if not self._bad_records:
            return None
        if self._stop.policy == "reject-file":
            return "A record is bad, and the first bad record rejects the file"
        least = shortest(self._settings)
        if self._stop.policy != "stop-at" or self._size is None or not least or self._content.compression != "none":
            return None
        assert isinstance(chunk, TextChunk)
        left = max(0, self._size - chunk.at - len(chunk.data) + 1)
        if self._bad_records > self._stop.percent * (self._records + left // least):
            return self._over()
        return None

    def _over(self) -> str:
        return f"More than {self._stop.percent:.4%} of the records are bad: {self._bad_records} of {self._records} looked at"

    def _examination(self, fault: FileFault | None, stopped: str | None) -> Examination:
        rejected = fault is not None or stopped is not None
        reader, content = self._reader, self._content
        return Examination(
            verdict="rejected" if rejected else "part" if self._bad_records else "good",
            fault=fault,
            stopped=stopped,
            complete=self._ended,
            compression=content.compression,
            read=content.read,
            expanded=content.expanded,
            records=self._records,
            good=self._records - self._bad_records,
            bad=self._bad_records,
            malformed=self._malformed,
            blank=self._blank,
            header=reader.header if reader is not None else b"",
            trailer=reader.trailer if reader is not None else None,
            columns=self._profiler.profiles() if self._profiler is not None else {},
            tallies=self._tallies.tallies(self._records),
            stretch=self._tallies.stretch,
            places=self._tallies.places(self._records),
            resources=dict(sorted(self._resources.items())),
        )


def _ahead(chunks: Iterator[Chunk]) -> Generator[Chunk]:
    """The chunks; while one is looked at, the next is read in another thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="quality") as pool:
        waiting: Future[Chunk | None] | None = pool.submit(next, chunks, None)
        try:
            while waiting is not None and (chunk := waiting.result()) is not None:
                waiting = pool.submit(next, chunks, None)
                yield chunk
        finally:
            if waiting is not None:
                waiting.cancel()
            if hasattr(chunks, "close"):
                pool.submit(chunks.close).result()
