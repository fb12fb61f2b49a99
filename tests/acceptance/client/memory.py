"""Sends FOLDER/content from ALICE to BOB in chunks, compressed, receives it, and prints by how many bytes memory grew meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
from datetime import timedelta
from pathlib import Path

from fiveways.client import Ledger, Listener, Mailbox, Message, Schedule


async def main(url: str, folder: Path) -> None:
    """A small message first, so that what every message needs is there; then the large one."""
    digests = []

    async def handle(message: Message) -> None:
        digests.append(hashlib.file_digest(message.content, "sha256").hexdigest())  # type: ignore[arg-type]

    with Ledger(folder / "ledger.sqlite") as ledger:
        async with (
            Mailbox(url, "ALICE", "password", "TestKey", ledger, chunk_size=5 * 2**20) as alice,
            Mailbox(url, "BOB", "password", "TestKey", ledger) as bob,
        ):
            listener = Listener(bob, handle, schedule=Schedule(timedelta(seconds=1), sandbox=True))
            await alice.send("BOB", b"small", workflow="X", compress=True)
            await listener.once()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await alice.send("BOB", folder / "content", workflow="X", compress=True)
            await listener.once()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown * 1024, digests[-1])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
