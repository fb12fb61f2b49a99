"""What the ledger has of jobs: where each is asked after, and what came of it. What a method has done is durable.

The first outcome that is kept is the outcome: one that comes again, by another way, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from fiveways.client.answer import Answer, Fields
from fiveways.client.errors import ClientError, Gone, Refused
from fiveways.client.landing import put
from fiveways.client.ledger import EXCHANGE, Ledger, Request, append, found, outcome_file
from fiveways.client.states import ENDED, UNANSWERED, State
from fiveways.clock import micros

IN_ROW = 256 * 1024
"""Bytes of an outcome that are kept in the ledger; what is larger is in a file beside it."""
CANCELLED, GONE = "cancelled", "gone"
"""Codes of jobs that ended without an outcome: by us, or because the other side knows nothing of them."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A job that the other side has taken, and how it is followed."""

    request: str
    status_url: str
    """Where it is asked after; '' where nowhere."""
    monitor_url: str
    """Where a long poll may be held; '' where nowhere."""
    callback: bool
    """Whether the outcome is expected to be brought."""
    due: int
    """When it may be asked after again (microseconds, Unix epoch)."""
    etag: str
    progress: str


class Jobs:
    """The jobs of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._file = ledger.file

    def begin(self, request: str) -> None:
        """It is about to be sent, maybe again: what came of an earlier attempt that failed is forgotten."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE request = ?", (request,))
            connection.execute("DELETE FROM outcomes WHERE request = ?", (request,))
            append(connection, _one(connection, request), "try", micros(self._ledger.clock))

    def accepted(self, job: Followed) -> None:
        """The other side has taken it. An outcome that was brought meanwhile stands."""
        with self._file.transaction() as connection:
            _follow(connection, job)
            append(connection, _one(connection, job.request), "send", micros(self._ledger.clock))

    def keep(self, request: str) -> None:
        """The answer to a request that goes by another way is to be kept too."""
        with self._file.transaction() as connection:
            _follow(connection, Followed(request, "", "", True, 0, "", ""))

    def ended(self, request: str, answer: Answer, how: str) -> Answer:
        """The outcome, which is kept unless one is; the one that is. `how` it came: 'status', 'callback', …"""
        with self._file.transaction() as connection:
            keep_outcome(connection, self._ledger.path, request, answer.status, answer.headers, BytesIO(answer.content), how,
                         micros(self._ledger.clock))  # fmt: skip
            known = _one(connection, request)
            if known.state is not State.ANSWERED:
                append(connection, known, "answer", micros(self._ledger.clock), str(answer.status), how)
        kept = self.outcome(request)
        assert kept is not None
        return kept

    def refused(self, request: str, answer: Answer) -> Answer:
        """It was answered with 4xx or 5xx when it was made: its outcome, and the same request may be made again."""
        at = micros(self._ledger.clock)
        with self._file.transaction() as connection:
            keep_outcome(
                connection, self._ledger.path, request, answer.status, answer.headers, BytesIO(answer.content), "refused", at
            )
            append(connection, _one(connection, request), "fail", at, str(answer.status), "it was refused")
        return answer

    def outcome(self, request: str) -> Answer | None:
        """What came of it; None where nothing has yet. Raises ClientError where the file of it is gone."""
        rows = self._file.ask(
            "SELECT o.*, r.correlation FROM outcomes o JOIN requests r ON r.id = o.request WHERE o.request = ?", request
        )
        if not rows:
            return None
        row = rows[0]
        try:
            body = row["body"] if row["body"] is not None else outcome_file(self._ledger.path, request).read_bytes()
        except OSError as error:
            raise ClientError(str(error)) from error
        return Answer(row["status"], Fields(map(tuple, json.loads(row["headers"]))), body, request, row["correlation"])

    def followed(self, request: str) -> Followed | None:
        """How a job is followed; None where the other side is not known to have taken it."""
        return next(iter(_jobs(self._file.ask("SELECT * FROM jobs WHERE request = ?", request))), None)

    def conclusion(self, request: str) -> Answer | ClientError | None:
        """How a job ended: with an outcome, or without one and why; None where it has not ended."""
        known = self._ledger.get(request)
        if known is None:
            return ClientError(f"the ledger has no request {request}")
        if known.state not in ENDED:
            return None
        try:
            kept = self.outcome(request)
        except ClientError as error:
            return error
        if kept is not None:
            return kept
        if known.state is State.ANSWERED:
            return ClientError(f"{request} was answered, and the answer was not kept")
        return Gone(known.reason) if known.code in (CANCELLED, GONE) else Refused(known.reason or "it was refused", known.code)

    def called(self, request_id: str, status_url: str) -> Request | None:
        """The request of ours that a callback names, by our id or by where it is asked after; None where there is none."""
        with self._file.transaction() as connection:
            by_id = found(connection, "r.method = ? AND r.id = ?", EXCHANGE, request_id) if request_id else []
            if by_id or not status_url:
                return next(iter(by_id), None)
            query = "r.method = ? AND r.id IN (SELECT request FROM jobs WHERE status_url = ?)"
            by_url = found(connection, query, EXCHANGE, status_url)
            return by_url[0] if len(by_url) == 1 else None

    def open(self, party: str) -> list[Request]:
        """Requests of whose outcome nothing is known, oldest first: those made of `party`, and messages whose answer is kept."""
        with self._file.transaction() as connection:
            unanswered = ", ".join(f"'{state}'" for state in sorted(UNANSWERED))
            kept = "(r.method = ? AND r.party = ?) OR (r.method != ? AND r.id IN (SELECT request FROM jobs))"
            return found(connection, f"({kept}) AND e.state IN ({unanswered})", EXCHANGE, party, EXCHANGE)

    def failed(self, request: str, code: str, reason: str) -> Request:
        """It came to nothing."""
        return self._ledger.failed(request, code, reason)

    def seen(self, jobs: Iterable[tuple[str, int, str, str]]) -> None:
        """When jobs may be asked after again, with which ETag, and how far they are."""
        with self._file.transaction() as connection:
            rows = [(due, etag, progress, request) for request, due, etag, progress in jobs]
            connection.executemany("UPDATE jobs SET due = ?, etag = ?, progress = ? WHERE request = ?", rows)

    def endings(self, after: int) -> list[tuple[int, str]]:
        """Requests that have come to an end since a place, each with its own."""
        rows = self._file.ask("SELECT place, request FROM endings WHERE place > ? ORDER BY place", after)
        return [(row["place"], row["request"]) for row in rows]

    def last_ending(self) -> int:
        """The place of the newest ending."""
        return int(self._file.ask("SELECT coalesce(max(place), 0) FROM endings")[0][0])


def keep_outcome(
    connection: sqlite3.Connection, ledger: Path, request: str, status: int, headers: Fields, body: IO[bytes], how: str, at: int
) -> None:
    """Keep an outcome, unless there is one; a large body is durable in its file before the row says so."""
    if connection.execute("SELECT 1 FROM outcomes WHERE request = ?", (request,)).fetchone() is not None:
        return
    body.seek(0)
    content: bytes | None = body.read(IN_ROW + 1)
    if content is not None and len(content) > IN_ROW:
        file = outcome_file(ledger, request)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        body.seek(0)
        put(body, file)
        content = None
    row = (request, status, json.dumps(headers.pairs()), content, how, at)
    connection.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", row)


def is_kept(connection: sqlite3.Connection, request: str) -> bool:
    """Whether the answer to a request is to be kept."""
    return connection.execute("SELECT 1 FROM jobs WHERE request = ?", (request,)).fetchone() is not None


def _follow(connection: sqlite3.Connection, job: Followed) -> None:
    row = (job.request, job.status_url, job.monitor_url, job.callback, job.due, job.etag, job.progress)
    connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _one(connection: sqlite3.Connection, request: str) -> Request:
    known = found(connection, "r.id = ?", request)
    if not known:
        raise ClientError(f"the ledger has no request {request}")
    return known[0]


def _jobs(rows: list[sqlite3.Row]) -> list[Followed]:
    return [
        Followed(
            row["request"], row["status_url"], row["monitor_url"], bool(row["callback"]), row["due"], row["etag"], row["progress"]
        )
        for row in rows
    ]
