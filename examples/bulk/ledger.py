"""A sink in Python: the board's ledger of spells, which takes each batch once, and all of it or nothing.

python ledger.py    how many spells it has, of how many batches
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fiveways.methods.bulk.sinks.sink import Piece

FILE = Path(__file__).parent / "ledger.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, transfer TEXT, records INTEGER);
CREATE TABLE IF NOT EXISTS spells (spell TEXT PRIMARY KEY, nhs_number TEXT, admitted TEXT, discharged TEXT, bed_days INTEGER);
"""
INSERT = "INSERT OR REPLACE INTO spells VALUES (:spell, :nhs_number, :admitted, :discharged, :bed_days)"


async def take(piece: Piece) -> str:
    """Take a batch; what is said is kept with its delivery. Whatever is raised has it brought again."""
    lines = b"".join([each async for each in piece.read()]).splitlines()
    return await asyncio.to_thread(_put, piece.id, piece.transfer, [json.loads(line) for line in lines])


def _put(batch: str, transfer: str, spells: list[dict[str, object]]) -> str:
    with _open() as ledger:  # one transaction: the batch is known exactly if its spells are there
        known = ledger.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", (batch, transfer, len(spells)))
        if not known.rowcount:
            return "it was there"
        ledger.executemany(INSERT, spells)
    ledger.close()
    return f"{len(spells)} spells"


def _open() -> sqlite3.Connection:
    ledger = sqlite3.connect(FILE)
    ledger.executescript(TABLES)
    return ledger


if __name__ == "__main__":
    database = _open()
    (spells,), (batches,) = (database.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("spells", "batches"))  # noqa: S608
    print(f"{spells} spells, of {batches} batches")
