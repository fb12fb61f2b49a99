"""Claims on what others may claim at the same moment, each in a transaction that claims nothing else.

A group commit holds the locks of all its members until its end. Two nodes that claim the same two keys in one group each, in
different order, would wait for each other (PostgreSQL ends one after a second). A transaction with one lock that others want, and
waits for one at most, is in no such circle. SQLite has one writer at a time, and the group is the quicker way there.
"""

from __future__ import annotations

from sqlalchemy import Select, text

from fiveways.delivery.engine import Step
from fiveways.store.group import GroupWriter, Result

_UNSYNCED = text("SET LOCAL synchronous_commit TO off")


async def alone(group: GroupWriter, claim: Step, *steps: Step) -> list[Result]:
    """Do `claim`, and where it touches a row, `steps`; what each came to, the claim's alone where it touched none.

    It does not wait for the disk: a power cut may take it away. Raises StoreError.
    """
    if group.database.kind == "sqlite":
        return await group.transact(claim, *steps, guarded=1, synced=False)
    results: list[Result] = []
    async with group.database.write() as connection:
        await connection.execute(_UNSYNCED)
        for statement, values in (claim, *steps):
            done = await connection.execute(statement, dict(values))
            rows = [tuple(row) for row in done.all()] if isinstance(statement, Select) else []
            results.append(Result(len(rows) or max(done.rowcount, 0), rows))
            if not results[0].rowcount:
                break
    return results
