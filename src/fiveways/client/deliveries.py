"""What a listener remembers of the messages that it gives to its handler, so that a crash neither loses one nor begins it anew.

new ──begin──▶ tried (attempt counted, durable before the handler is called) ──▶ handled ──▶ acknowledged
                 └──────── given up ────────▶ dead ──▶ acknowledged, or left in the inbox
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fiveways.client.ledger import Ledger
from fiveways.clock import micros, micros_in, micros_of


class Stage(StrEnum):
    """How far the delivery of a message has come."""

    TRIED = "tried"
    """The handler has been called, and is not known to have succeeded."""
    HANDLED = "handled"
    """The handler has succeeded: it is not called again. The acknowledgement may not have been sent."""
    DEAD = "dead"
    """It is kept as a dead letter. The acknowledgement, if there is to be one, may not have been sent."""
    OVER = "acknowledged"
    """It was acknowledged."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that has been given to the handler `attempts` times; `due` is when it may be again (microseconds, Unix epoch)."""

    message: str
    stage: Stage
    attempts: int
    due: int
    reason: str


class Deliveries:
    """The deliveries of one mailbox, in its owner's ledger file. What a method has done is durable."""

    def __init__(self, ledger: Ledger, mailbox: str) -> None:
        self._file = ledger.file
        self._clock = ledger.clock
        self._mailbox = mailbox

    def of(self, message: str) -> Delivery | None:
        """How far the delivery of a message has come; None where it was never begun."""
        rows = self._file.ask("SELECT * FROM deliveries WHERE own = ? AND message = ?", self._mailbox, message)
        return Delivery(message, Stage(rows[0]["stage"]), rows[0]["attempts"], rows[0]["due"], rows[0]["reason"]) if rows else None

    def begin(self, message: str) -> int:
        """Count an attempt, before it is made; which one it is."""
        now = micros(self._clock)
        with self._file.transaction() as connection:
            row = connection.execute(
                "INSERT INTO deliveries VALUES (?, ?, ?, 1, ?, ?, '') ON CONFLICT DO UPDATE SET"
                " attempts = attempts + 1, due = excluded.due, at = excluded.at RETURNING attempts",
                (self._mailbox, message, Stage.TRIED, now, now),
            ).fetchone()
        return int(row[0])

    def take_back(self, message: str) -> None:
        """The attempt under way was broken off by us: it does not count."""
        with self._file.transaction() as connection:
            query = "UPDATE deliveries SET attempts = attempts - 1 WHERE own = ? AND message = ?"
            connection.execute(query, (self._mailbox, message))

    def put_off(self, message: str, until: datetime, reason: str) -> None:
        """It failed, and is to be tried again, not before `until`."""
        self._move(message, Stage.TRIED, reason, micros_of(until))

    def handled(self, message: str) -> None:
        """The handler has succeeded."""
        self._move(message, Stage.HANDLED, "")

    def dead(self, message: str, reason: str) -> None:
        """It is a dead letter."""
        self._move(message, Stage.DEAD, reason)

    def over(self, message: str) -> None:
        """It was acknowledged."""
        self._move(message, Stage.OVER, None)

    def drop(self, message: str) -> None:
        """It is not there any more, and there is nothing to be done."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE own = ? AND message = ?", (self._mailbox, message))

    def next_due(self) -> datetime | None:
        """When the first of those that failed may be tried again."""
        query = "SELECT min(due) FROM deliveries WHERE own = ? AND stage = ?"
        due = self._file.ask(query, self._mailbox, Stage.TRIED)[0][0]
        return datetime.fromtimestamp(due / 1e6, self._clock.now().tzinfo) if due is not None else None

    def due(self) -> list[str]:
        """Messages that failed and may be tried again now, in the order in which they came due."""
        query = "SELECT message FROM deliveries WHERE own = ? AND stage = ? AND due <= ? ORDER BY due"
        return [row[0] for row in self._file.ask(query, self._mailbox, Stage.TRIED, micros(self._clock))]

    def forget(self, older_than: timedelta) -> int:
        """Remove what has been over for so long; how many."""
        before = micros(self._clock) - micros_in(older_than)
        with self._file.transaction() as connection:
            gone = "DELETE FROM deliveries WHERE own = ? AND stage = ? AND at < ?"
            return connection.execute(gone, (self._mailbox, Stage.OVER, before)).rowcount

    def _move(self, message: str, stage: Stage, reason: str | None, due: int = 0) -> None:
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET stage = ?, reason = coalesce(?, reason), due = ?, at = ? WHERE own = ? AND message = ?",
                (stage, reason, due, micros(self._clock), self._mailbox, message),
            )
