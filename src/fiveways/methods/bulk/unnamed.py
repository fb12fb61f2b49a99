"""Contents that have lost their name, as a newer upload has it now or their file was removed: large ones are forgotten soon after.

Otherwise they would wait for the purge, a day from when they were begun, and a large file that comes anew again and again would
fill the disk. It is as with a file that is unlinked: whoever has it open reads it to the end, and it goes when it is closed. That
is known of this process only, so nothing is done where another may be reading. What fails here, the purge finds.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from fiveways.errors import StoreError
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.records import find_unneeded
from fiveways.methods.bulk.service import ARRIVALS

log = structlog.get_logger("fiveways.bulk")

AFTER: Final = 2.0
"""Seconds for which a content is left alone that has lost its name: somebody may be about to open it (`files.LOOK`)."""


class Unnamed:
    """Forgets contents soon after they have lost their name, where nobody needs them any more."""

    def __init__(self, contents: Contents, *, alone: bool) -> None:
        """`alone`: no other process of this node reads files. Over PostgreSQL other nodes may: there nothing is done."""
        self._contents = contents
        self.prompt = alone and contents.group.database.kind == "sqlite"
        """Whether anything is done at all."""
        self._due: set[str] = set()
        self._forgetting: set[asyncio.Task[None]] = set()
        contents.closed = self._looked_at

    def lost(self, id: str) -> None:  # noqa: A002
        """A name of a content is gone. Whether it has others, or a transfer has it, is found out later."""
        if self.prompt:
            asyncio.get_running_loop().call_later(AFTER, self._is_due, id)

    def _is_due(self, id: str) -> None:  # noqa: A002
        self._due.add(id)
        self._looked_at(id)

    def _looked_at(self, id: str) -> None:  # noqa: A002
        """Its time has come, or somebody has closed it."""
        if id in self._due and not self._contents.is_open(id):
            self._due.remove(id)
            task = asyncio.create_task(self._forgotten(id))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    async def _forgotten(self, id: str) -> None:  # noqa: A002
        try:
            asked = {"b_id": id, "b_queue": ARRIVALS, "b_envelope": id.encode()}
            if await self._contents.group.ask(find_unneeded, asked):
                await self._contents.forget(id)
        except StoreError as error:
            log.info("a content that has lost its name waits for the purge", reason=str(error))
