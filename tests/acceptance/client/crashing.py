"""A consumer that dies as `kill -9` has it, at a point that it is told; its handler notes each message in handled.txt.

python crashing.py URL FOLDER listen POINT      before, handler, handled, acknowledged or never
python crashing.py URL FOLDER send CHUNK        once the other side has so many chunks of FOLDER/content; 99: all of it
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from fiveways.client import Ledger, Listener, Mailbox, Message, Request, Retry
from fiveways.client.ledger import Upload

ALL = 99


def die() -> NoReturn:
    """End here and now."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class Dying(Mailbox):
    """A mailbox whose process ends before or after it acknowledges, or when it has received."""

    point = "never"

    async def receive(self, message_id: str, *, as_sent: bool = False) -> Message:
        """Receive, and maybe die."""
        received = await super().receive(message_id, as_sent=as_sent)
        return die() if self.point == "before" else received

    async def acknowledge(self, message_id: str) -> None:
        """Acknowledge, and maybe die first or then."""
        if self.point == "handled":
            die()
        await super().acknowledge(message_id)
        if self.point == "acknowledged":
            die()


class DyingLedger(Ledger):
    """A ledger whose process ends when so many chunks have been sent."""

    chunk = -1

    def uploading(self, request: str, upload: Upload) -> None:
        """Die instead of noting it."""
        if upload.done == self.chunk:
            die()
        super().uploading(request, upload)

    def sent(self, request: str, message_id: str = "") -> Request:
        """Die instead of noting that all is there."""
        return die() if self.chunk == ALL else super().sent(request, message_id)


async def main(url: str, folder: Path, what: str, argument: str) -> None:
    """Listen once to BOB, or send as ALICE."""
    if what == "listen":

        async def handle(message: Message) -> None:
            with (folder / "handled.txt").open("a") as notes:
                notes.write(f"{message.id} {message.attempt}\n")
            if argument == "handler":
                die()

        with Ledger(folder / "BOB.sqlite") as ledger:
            async with Dying(url, "BOB", "password", "TestKey", ledger) as mailbox:
                mailbox.point = argument
                await Listener(mailbox, handle, retry=Retry(3, timedelta(milliseconds=1))).once()
        return
    with DyingLedger(folder / "ALICE.sqlite") as noted:
        noted.chunk = int(argument)
        async with Mailbox(url, "ALICE", "password", "TestKey", noted, chunk_size=1000) as alice:
            await alice.send("BOB", folder / "content", workflow="X", local_id="one", compress=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
