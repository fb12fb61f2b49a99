"""Brings the tables to the version this code needs. Any number of processes may start together: one migrates, others wait.

Migrations are Alembic's, in `migrations/versions`. A file's name says when it may run: `…_pre_…` adds what the old code does
not mind and goes before the new code; `…_post_…` takes away what only the old code needed.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from fiveways.store.database import Database

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x66697665
"""The PostgreSQL advisory lock held while migrating ('five')."""


async def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to `revision` in one transaction; nothing is left of a migration that fails. Raises StoreError."""
    async with database.write() as connection:
        if database.kind == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(_upgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # noqa: PLC0415, RUF100 - takes a tenth of a second to import, and only starting needs it
    from alembic.config import Config  # noqa: PLC0415, RUF100

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
