"""A sandbox's store with many messages in it, written as the service writes them, but all at once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import Progress

from bench.mailboxes import RECIPIENT, SENDER
from fiveways.methods.messaging.ids import new_id
from fiveways.methods.messaging.records import Details

_CONTENT = bytes(100)
_AT_ONCE = 10_000
_STATEMENTS = (
    "INSERT INTO messages VALUES (?, ?, ?, 'STORED', '', 'DATA', 1, ?, '', ?)",
    "INSERT INTO message_events VALUES (?, 1, 'accepted', ?, '', '')",
    "INSERT INTO message_chunks VALUES (?, 1, ?, ?, ?, NULL)",
    "INSERT INTO inbox (mailbox, message, workflow) VALUES (?, ?, 'STORED')",
)
Rows = tuple[tuple[Any, ...], ...]


def fill(database: Path, count: int) -> None:
    """Put `count` messages of 100 bytes into one inbox. The platform is not running; its tables are there."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA synchronous=OFF")
    rows = _rows(count)
    with Progress(transient=True) as progress:
        task = progress.add_task(f"storing {count:,} messages", total=count)
        while some := list(islice(rows, _AT_ONCE)):
            for statement, values in zip(_STATEMENTS, zip(*some, strict=True), strict=True):
                connection.executemany(statement, values)
            connection.commit()
            progress.advance(task, len(some))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _rows(count: int) -> Iterator[Rows]:
    first = int(datetime.now(UTC).timestamp() * 1e6) - 2 * count
    details, digest = msgspec.json.encode(Details()), hashlib.sha256(_CONTENT).hexdigest()
    for number in range(count):
        at = first + number
        id_ = new_id(at)
        yield (
            (id_, SENDER, RECIPIENT, at, details),
            (id_, at),
            (id_, len(_CONTENT), digest, _CONTENT),
            (RECIPIENT, id_),
        )
