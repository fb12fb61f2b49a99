"""Every store that the contract holds for: SQLite in a file, PostgreSQL started by the tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from tests.postgres import PostgresServer

import fiveways
from fiveways.clock import SystemClock
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.migrate import migrate

STORES = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes a database with all tables in it, and says its URL. The server is started when first asked for."""
    with tempfile.TemporaryDirectory(prefix="fw") as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        stack.callback(server.stop)

        async def sql(statement: str) -> None:
            connection = await asyncpg.connect(server.url())
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        async def template() -> None:
            await sql("CREATE DATABASE template_fiveways")
            database = Database.open(server.url("template_fiveways"))
            await migrate(database)
            await database.close()

        asyncio.run(template())

        def make() -> str:
            name = f"test_{next(_numbers)}"
            asyncio.run(sql(f"CREATE DATABASE {name} TEMPLATE template_fiveways"))
            return server.url(name)

        yield make


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables in it, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"

    async def make() -> None:
        database = Database.open(f"sqlite:///{path}")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database with all tables."""
    if request.param == "sqlite":
        path = tmp_path / "fiveways.db"
        path.write_bytes(request.getfixturevalue("empty_sqlite").read_bytes())
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """A fresh database, open."""
    database = Database.open(url, SystemClock())
    yield database
    await database.close()


@pytest.fixture
async def group(database: Database) -> AsyncIterator[GroupWriter]:
    """A group writer on the fresh database."""
    writer = GroupWriter(database)
    yield writer
    await writer.close()


@pytest.fixture
async def child() -> AsyncIterator[Callable[..., Awaitable[asyncio.subprocess.Process]]]:
    """Starts Python programs, given as text with arguments, as processes of their own; none of them outlives the test."""
    processes: list[asyncio.subprocess.Process] = []
    environment = {**os.environ, "PYTHONPATH": str(Path(fiveways.__file__).parents[1])}

    async def start(program: str, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()
