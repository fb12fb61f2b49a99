"""One small SQLite file on the consumer's side, written by any number of threads and processes; every commit is durable."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fiveways.client.errors import ClientError

_FIRST = """
CREATE TABLE requests (
    id TEXT PRIMARY KEY, method TEXT NOT NULL, party TEXT NOT NULL, own TEXT NOT NULL, local_id TEXT NOT NULL,
    workflow TEXT NOT NULL, correlation TEXT NOT NULL, label TEXT NOT NULL, digest TEXT NOT NULL,
    opened_at INTEGER NOT NULL, expected_by INTEGER, UNIQUE (method, own, local_id)
) STRICT;
CREATE INDEX requests_expected ON requests (expected_by) WHERE expected_by IS NOT NULL;
CREATE INDEX requests_to ON requests (method, own, party, workflow);
CREATE TABLE names (
    kind TEXT NOT NULL, value TEXT NOT NULL, request TEXT NOT NULL REFERENCES requests, PRIMARY KEY (kind, value, request)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_request ON names (request);
CREATE TABLE events (
    request TEXT NOT NULL REFERENCES requests, place INTEGER NOT NULL, happening TEXT NOT NULL, state TEXT NOT NULL,
    at INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (request, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
    own TEXT NOT NULL, message TEXT NOT NULL, request TEXT NOT NULL REFERENCES requests, how TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (own, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_request ON answers (request);
CREATE TABLE uploads (
    request TEXT PRIMARY KEY REFERENCES requests, message TEXT NOT NULL, chunk_size INTEGER NOT NULL, compressed INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    own TEXT NOT NULL, message TEXT NOT NULL, stage TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
    at INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (own, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (own, stage, due);
CREATE INDEX deliveries_at ON deliveries (at);
"""
_EXCHANGE = """
CREATE TABLE jobs (
    request TEXT PRIMARY KEY REFERENCES requests, status_url TEXT NOT NULL, monitor_url TEXT NOT NULL, callback INTEGER NOT NULL,
    due INTEGER NOT NULL, etag TEXT NOT NULL, progress TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_status_url ON jobs (status_url) WHERE status_url != '';
CREATE TABLE outcomes (
    request TEXT PRIMARY KEY REFERENCES requests, status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB, how TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE endings (place INTEGER PRIMARY KEY AUTOINCREMENT, request TEXT NOT NULL REFERENCES requests) STRICT;
CREATE INDEX endings_request ON endings (request);
"""
_VERSIONS = (_FIRST, _EXCHANGE)
"""What each version of the file added: a file of an older one is brought up to date when it is opened."""


class LedgerFile:
    """The file: `requests` with their `names` and `events`, `answers` that came, `uploads` under way, `deliveries` to a handler.

    `jobs` are requests whose outcome is kept, in `outcomes`; `endings` are requests that came to an end, in the order in which they
    did, so that another process sees it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, readable for its owner only. Raises ClientError for a file that is something else."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._prepare()
        except (sqlite3.DatabaseError, ClientError) as error:
            self._connection.close()
            raise error if isinstance(error, ClientError) else ClientError(f"{path} is no ledger: {error}") from error

    def _prepare(self) -> None:
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(_VERSIONS):
                raise ClientError(f"{self.path} was made by another version of Fiveways")
            for added in _VERSIONS[version:]:
                for statement in added.split(";"):
                    connection.execute(statement)
            if version < len(_VERSIONS):
                connection.execute(f"PRAGMA user_version={len(_VERSIONS)}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone with the file until the end of the block, which commits durably; an exception takes everything back."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def ask(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
