"""The database: SQLite in a file, or PostgreSQL by URL, through SQLAlchemy Core.

SQLite runs in WAL mode with synchronous=FULL, so that what is committed survives a power cut. A writing transaction begins with
BEGIN IMMEDIATE: it either has the write lock at its first statement or waits for it there, and never fails half-way with a
stale snapshot. While another process holds the lock we try again every half millisecond; SQLite's own busy handler backs off to
100 ms and starves under load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from fiveways.clock import Clock, SystemClock
from fiveways.errors import StoreError

BUSY_RETRY = 0.0005
"""Seconds between attempts to get SQLite's write lock."""
BUSY_PATIENCE = 10.0
"""Seconds after which a write that never got the lock fails."""
SQLITE_PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")
"""What every SQLite connection is set to, here and in the group writer."""


class Database:
    """A store of rows. `open` it, `read()` and `write()` with it, `close()` it; its repr never shows the password."""

    def __init__(self, url: URL, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        if url.get_backend_name() == "sqlite":
            if not url.database or url.database == ":memory:":
                raise StoreError("SQLite needs a file: sqlite:///path")
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            self._reader = _sqlite_engine(url, "BEGIN", timeout=5.0, pragmas=("PRAGMA query_only=ON",))
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE", timeout=0.0)
        else:
            self._reader = self._writer = _postgres_engine(url)
        self._turn = asyncio.Lock()

    @classmethod
    def open(cls, url: str, clock: Clock | None = None, *, password: str | None = None) -> Database:
        """The database at `sqlite:///path` or `postgresql://user@host/name`; connects when first used.

        Raises StoreError for a URL of another kind, or where the driver is not installed.
        """
        try:
            parsed = make_url(url)
        except Exception:
            raise StoreError("not a database URL: expected sqlite:///path or postgresql://user@host/name") from None
        if parsed.drivername not in ("sqlite", "postgresql"):
            raise StoreError(f"no store for {parsed.drivername}: expected sqlite:///path or postgresql://user@host/name")
        if password is not None:
            parsed = parsed.set(password=password)
        return cls(parsed, clock or SystemClock())

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.url.database or "")

    @property
    def engine(self) -> AsyncEngine:
        """The engine of writing transactions, for its dialect."""
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for reading: one snapshot from its first query to its last."""
        with _translated():
            async with self._reader.connect() as connection:
                if self.kind == "postgresql":
                    await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for writing, durable once the block is left; an exception in the block leaves nothing behind."""
        if self.kind == "sqlite":
            async with self._turn:
                with _translated():
                    async with self._writer.begin() as connection:
                        yield connection
        else:
            with _translated():
                async with self._writer.begin() as connection:
                    yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._reader.dispose()
        if self._writer is not self._reader:
            await self._writer.dispose()

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"


class _translated:  # noqa: N801
    """Turns a driver's failure into StoreError; a broken constraint stays SQLAlchemy's IntegrityError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IntegrityError):
            return
        if isinstance(error, DBAPIError):
            raise StoreError(f"the database failed: {type(error.orig).__name__}: {error.orig}") from None
        if isinstance(error, OSError):
            raise StoreError(f"the database cannot be reached: {error.strerror or type(error).__name__}") from None


def _sqlite_engine(url: URL, begin: str, *, timeout: float, pragmas: tuple[str, ...] = ()) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": timeout}, hide_parameters=True, pool_size=8
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("PRAGMA busy_timeout=5000", *SQLITE_PRAGMAS, *pragmas, f"PRAGMA busy_timeout={int(timeout * 1000)}"):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        attempts = int(BUSY_PATIENCE / BUSY_RETRY)
        while True:
            try:
                connection.exec_driver_sql(begin)
                return
            except DBAPIError as error:
                attempts -= 1
                if attempts == 0 or "locked" not in str(error.orig):
                    raise
            await_only(asyncio.sleep(BUSY_RETRY))

    return engine


def _postgres_engine(url: URL) -> AsyncEngine:
    try:
        import asyncpg  # type: ignore[import-untyped] # noqa: F401, PLC0415, RUF100
    except ImportError:
        raise StoreError("PostgreSQL needs its driver: pip install fiveways[postgres]") from None
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"), hide_parameters=True, pool_size=8, max_overflow=8, pool_pre_ping=True
    )
