"""The ledger of a consumer's open requests, whatever the method by which they were made (A4).

A request is noted before it is sent, so that nothing that was sent can be unknown here; what happens to it is appended, and its
state is that of its newest event (`states.py`). Answers find it by what they quote of it (`matching.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from fiveways.client.errors import LocalIdReused
from fiveways.client.file import LedgerFile
from fiveways.client.states import ENDED, UNANSWERED, State, after
from fiveways.clock import Clock, SystemClock, micros, micros_in, micros_of, moment_of
from fiveways.correlation import new_id

MESSAGING = "messaging"
"""The method of requests that go through mailboxes."""
EXCHANGE = "exchange"
"""The method of requests whose outcome follows over HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of ours, and where it is."""

    id: str
    method: str
    """How it was made: messaging, exchange, …"""
    party: str
    """Whom it was made of: a mailbox, or an application."""
    own: str
    """From which of our mailboxes (or as which of our applications) it was made."""
    local_id: str
    """What we call it; no two of `own` are called the same."""
    workflow: str
    correlation: str
    label: str
    """What whoever sent it knows it by, such as a file's name."""
    opened_at: datetime
    expected_by: datetime | None
    """When its answer is due; None where none is awaited."""
    message_id: str
    """What the other side calls it; '' while that is not known."""
    state: State
    code: str
    """Of its newest event: why it failed, or how it was answered ('ok', 'fatal-error', …)."""
    reason: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A message of which the other side has the first `done` chunks; `message_id` is '' before it is known to have one."""

    message_id: str
    chunk_size: int
    compressed: bool
    done: int


class Ledger:
    """Open requests in one small file, which any number of threads and processes may use; what a method has done is durable."""

    def __init__(self, path: Path | str, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.file = LedgerFile(Path(path))

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.file.path

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what we do ------------------------------------------------------------------------------------------------------

    def open(
        self,
        method: str,
        party: str,
        *,
        own: str,
        local_id: str = "",
        workflow: str = "",
        correlation: str = "",
        label: str = "",
        digest: str = "",
        fhir_ids: Iterable[str] = (),
        answer_within: timedelta | None = None,
    ) -> Request:
        """Note a request before it is sent. One that is known by this local id is returned as it is; one that failed is open again.

        Raises LocalIdReused where the local id names a request to another party, of another workflow or with another `digest`.
        """
        now = micros(self.clock)
        local_id = local_id or new_id()
        with self.file.transaction() as connection:
            known = _one(connection, "method = ? AND own = ? AND local_id = ?", method, own, local_id)
            if known is None:
                id_ = new_id()
                expected = now + micros_in(answer_within) if answer_within is not None else None
                connection.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (id_, method, party, own, local_id, workflow, correlation, label, digest, now, expected),
                )
                _name(connection, id_, "local", local_id)
                if correlation:
                    _name(connection, id_, "correlation", correlation)
                _append(connection, id_, None, "open", now)
            else:
                id_ = known.id
                other = connection.execute("SELECT digest FROM requests WHERE id = ?", (id_,)).fetchone()["digest"]
                if (known.party, known.workflow, other) != (party, workflow, digest):
                    raise LocalIdReused(f"{local_id} names another request, opened {known.opened_at:%Y-%m-%d %H:%M} UTC")
                if known.state is State.FAILED and not known.message_id:
                    _append(connection, id_, known.state, "open", now)
            for fhir_id in fhir_ids:
                _name(connection, id_, "fhir", fhir_id)
            return _required(connection, id_)

    def trying(self, request: str) -> bool:
        """It is about to be sent. Whether it has been tried before: the other side may have it then, although we do not know."""
        with self.file.transaction() as connection:
            tried = connection.execute(
                "SELECT 1 FROM events WHERE request = ? AND happening = 'try' LIMIT 1", (request,)
            ).fetchone()
            _append(connection, request, _required(connection, request).state, "try", micros(self.clock))
            return tried is not None

    def sent(self, request: str, message_id: str = "") -> Request:
        """The other side took it, and calls it `message_id`. Saying so again changes nothing."""
        with self.file.transaction() as connection:
            known = _required(connection, request)
            if message_id:
                _name(connection, request, "message", message_id)
            awaited = known.expected_by is not None
            _append(connection, request, known.state, "send" if awaited else "hand over", micros(self.clock))
            connection.execute("DELETE FROM uploads WHERE request = ?", (request,))
            return _required(connection, request)

    def failed(self, request: str, code: str, reason: str) -> Request:
        """It came to nothing."""
        with self.file.transaction() as connection:
            _append(connection, request, _required(connection, request).state, "fail", micros(self.clock), code, reason)
            return _required(connection, request)

    def uploading(self, request: str, upload: Upload) -> None:
        """How it is sent, and how many chunks of it the other side has."""
        with self.file.transaction() as connection:
            if upload.message_id:
                _name(connection, request, "message", upload.message_id)
            row = (request, upload.message_id, upload.chunk_size, upload.compressed, upload.done)
            connection.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def upload(self, request: str) -> Upload | None:
        """How far sending it in chunks has come; None where that is over, or was never begun."""
        rows = self.file.ask("SELECT message, chunk_size, compressed, done FROM uploads WHERE request = ?", request)
        return Upload(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None

    # --- what became of it -----------------------------------------------------------------------------------------------

    def find(self, *, own: str, local_id: str, method: str = MESSAGING) -> Request | None:
        """The request that we call so; None where there is none."""
        with self.file.transaction() as connection:
            return _one(connection, "method = ? AND own = ? AND local_id = ?", method, own, local_id)

    def get(self, id_: str) -> Request | None:
        """The request of an id; None where there is none."""
        return next(iter(_made(self.file.ask(f"{_QUERY} WHERE r.id = ?", id_))), None)

    def waiting(self) -> list[Request]:
        """Requests that somebody waits for an answer to, or that may not have been sent, oldest first."""
        return _made(self.file.ask(f"{_QUERY} WHERE e.state IN ({_UNANSWERED}) ORDER BY r.opened_at"))

    def overdue(self, now: datetime | None = None) -> list[Request]:
        """Requests whose answer has not come in time, the longest overdue first; `now` is the present unless said otherwise."""
        at = micros(self.clock) if now is None else micros_of(now)
        with self.file.transaction() as connection:
            late = f"{_QUERY} WHERE r.expected_by <= ? AND e.state IN ({_UNANSWERED}) ORDER BY r.expected_by"
            for request in _made(connection.execute(late, (at,)).fetchall()):
                _append(connection, request.id, request.state, "lapse", at)
            return _made(connection.execute(late, (at,)).fetchall())

    def history(self, request: str) -> list[tuple[datetime, str, State, str, str]]:
        """What happened to a request, in order: when, what, the state after it, code and reason."""
        rows = self.file.ask("SELECT at, happening, state, code, reason FROM events WHERE request = ? ORDER BY place", request)
        return [(moment_of(row["at"]), row["happening"], State(row["state"]), row["code"], row["reason"]) for row in rows]

    def forget(self, before: datetime) -> int:
        """Remove requests that were opened before a moment and that nobody waits for; how many. Their local ids are free again."""
        at = micros_of(before)
        with self.file.transaction() as connection:
            old = _made(connection.execute(f"{_QUERY} WHERE r.opened_at < ? AND e.state NOT IN ({_UNANSWERED})", (at,)).fetchall())
            for table in ("names", "events", "answers", "uploads", "jobs", "outcomes", "endings", "requests"):
                column = "id" if table == "requests" else "request"
                connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(each.id,) for each in old])  # noqa: S608 (names of ours)
        for each in old:
            outcome_file(self.path, each.id).unlink(missing_ok=True)
        return len(old)


def outcome_file(ledger: Path, request: str) -> Path:
    """Where a ledger has the outcome of a request, if that is too large for a row."""
    return ledger.with_name(f"{ledger.name}.outcomes") / request


# --- rows, for the ledger and for what matches answers to it ------------------------------------------------------------------

_UNANSWERED = ", ".join(f"'{state}'" for state in sorted(UNANSWERED))
_QUERY = """
SELECT r.*, e.state, e.code, e.reason,
  coalesce((SELECT max(value) FROM names WHERE names.request = r.id AND kind = 'message'), '') AS message_id
FROM requests r JOIN events e ON e.request = r.id AND e.place = (SELECT max(place) FROM events WHERE request = r.id)"""


def found(connection: sqlite3.Connection, condition: str, *values: object) -> list[Request]:
    """Requests of a condition on `r` (requests) and `e` (the newest event), oldest first."""
    return _made(connection.execute(f"{_QUERY} WHERE {condition} ORDER BY r.opened_at, r.id", values).fetchall())


def append(connection: sqlite3.Connection, request: Request, happening: str, at: int, code: str = "", reason: str = "") -> Request:
    """What happened to a request, if it can happen to it now; the request after it."""
    _append(connection, request.id, request.state, happening, at, code, reason)
    return _required(connection, request.id)


def _append(
    connection: sqlite3.Connection, request: str, state: State | None, happening: str, at: int, code: str = "", reason: str = ""
) -> None:
    reached = after(state, happening)
    if reached is not None:
        place = "(SELECT coalesce(max(place) + 1, 0) FROM events WHERE request = ?)"
        values = (request, request, happening, reached.value, at, code, reason)
        connection.execute(f"INSERT INTO events VALUES (?, {place}, ?, ?, ?, ?, ?)", values)  # noqa: S608 (no value is in it)
        if reached in ENDED:
            connection.execute("INSERT INTO endings (request) VALUES (?)", (request,))


def _name(connection: sqlite3.Connection, request: str, kind: str, value: str) -> None:
    connection.execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", (kind, value, request))


def _one(connection: sqlite3.Connection, condition: str, *values: object) -> Request | None:
    return next(iter(found(connection, condition, *values)), None)


def _required(connection: sqlite3.Connection, request: str) -> Request:
    known = _one(connection, "r.id = ?", request)
    if known is None:
        raise KeyError(f"there is no request {request}")
    return known


def _made(rows: list[sqlite3.Row]) -> list[Request]:
    return [
        Request(
            id=row["id"],
            method=row["method"],
            party=row["party"],
            own=row["own"],
            local_id=row["local_id"],
            workflow=row["workflow"],
            correlation=row["correlation"],
            label=row["label"],
            opened_at=moment_of(row["opened_at"]),
            expected_by=moment_of(row["expected_by"]) if row["expected_by"] is not None else None,
            message_id=row["message_id"],
            state=State(row["state"]),
            code=row["code"],
            reason=row["reason"],
        )
        for row in rows
    ]
