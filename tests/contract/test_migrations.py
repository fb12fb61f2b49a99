"""Migrations make the tables that the code declares, once, whoever starts when."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

import fiveways
from fiveways.clock import SystemClock
from fiveways.errors import StoreError
from fiveways.store import migrate as module
from fiveways.store.database import Database
from fiveways.store.migrate import migrate
from fiveways.store.tables import metadata

pytestmark = pytest.mark.anyio

PROGRAM = """
import asyncio, sys
from fiveways.store.database import Database
from fiveways.store.migrate import migrate
from fiveways.store.tables import metadata

async def main():
    database = Database.open(sys.argv[1])
    await migrate(database)
    await database.close()
    print("done", flush=True)

asyncio.run(main())
"""


SOURCE = Path(fiveways.__file__).parent
for path in SOURCE.rglob("*.py"):  # whatever declares a table anywhere must have a migration
    if "fiveways.store.tables import" in path.read_text() and "migrations" not in path.parts:
        importlib.import_module(".".join(("fiveways", *path.relative_to(SOURCE).with_suffix("").parts)))


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_migrations_and_tables_agree(database: Database) -> None:
    async with database.write() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await migrate(database)
    async with database.write() as connection:
        assert await connection.run_sync(differences) == []


async def drop_everything(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))


async def test_processes_that_start_together_migrate_once(url: str, database: Database, child: Callable[..., Any]) -> None:
    await drop_everything(database)
    processes = [await child(PROGRAM, url) for _ in range(3)]
    assert await asyncio.gather(*(process.stdout.readline() for process in processes)) == [b"done\n"] * 3
    async with database.write() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    await drop_everything(database)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE outbox (other INTEGER)"))
    with pytest.raises(StoreError):
        await migrate(database)
    async with database.write() as connection:
        with pytest.raises(Exception, match=r"(?i)no such table|does not exist"):
            await connection.execute(text("SELECT 1 FROM audit_events"))


def test_a_migrations_file_says_when_it_may_run() -> None:
    names = sorted(path.stem for path in (Path(module.__file__).parent / "migrations" / "versions").glob("*.py"))
    assert names
    for number, name in enumerate(names, start=1):
        assert re.fullmatch(rf"{number:04}_(pre|post)_[a-z_]+", name)


async def test_a_databases_failure_shows_no_password_and_no_values(url: str) -> None:
    secret = Database.open("postgresql://someone@127.0.0.1:1/name", SystemClock(), password="hunter2")
    assert "hunter2" not in repr(secret)
    with pytest.raises(StoreError) as caught:
        async with secret.read():
            pass
    assert "hunter2" not in str(caught.value)
    await secret.close()
    database = Database.open(url)
    with pytest.raises(StoreError) as caught:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "9000000009"})
    assert "9000000009" not in str(caught.value)
    await database.close()
