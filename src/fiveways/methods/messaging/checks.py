"""What a workflow asks of content before anybody may see it: `payload: fhir-message`.

Content is looked at when it is whole, as it would be read: without its gzip, all chunks together. It is held in memory meanwhile,
bounded in size, and only a few large ones at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fiveways.errors import Overloaded
from fiveways.fhir.messaging import NotAMessage, require_message
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.mesh.content import NotGzip, decompressed
from fiveways.methods.messaging.reports import Refused
from fiveways.store.payloads import pieces

Check = Callable[[bytes | AsyncIterator[bytes], str], Awaitable[Refused | None]]
"""Looks at content, given with its encoding ('' or 'gzip'); why it is refused, or None. Raises Overloaded."""

CODE = "Invalid file format"
"""MESH's for a file that is not formed as it must be; its table has none for FHIR."""
_SMALL = 64 * 1024
"""Bytes of content that are looked at at once, in the event loop."""
_LARGE_AT_ONCE = 2
_PATIENCE = 30.0
"""Seconds for which a large content waits for its turn."""


class Checks:
    """What each workflow asks. `largest`: bytes of a FHIR message, decompressed."""

    def __init__(self, directory: Directory, largest: int) -> None:
        self._workflows = directory.workflows
        self._fhir_message: Check = FhirMessages(largest)

    def __call__(self, workflow: str) -> Check | None:
        """What is asked of the content of a workflow's messages; None for nothing."""
        known = self._workflows.get(workflow)
        return None if known is None or known.settings.payload is None else self._fhir_message


class FhirMessages:
    """Refuses what is not a FHIR message, and what is too large to be looked at."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._turns = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def __call__(self, content: bytes | AsyncIterator[bytes], encoding: str) -> Refused | None:
        """Why it is refused, or None."""
        found = bytearray()
        async with AsyncExitStack() as turn:
            try:
                async for piece in decompressed(content) if encoding else pieces(content):
                    if len(found) <= _SMALL < len(found) + len(piece):
                        await turn.enter_async_context(self._turn())
                    found += piece
                    if len(found) > self._largest:
                        return _not_a_message(f"it has more than {self._largest} bytes, which are not looked at")
                    if len(found) > _SMALL:
                        await asyncio.sleep(0)  # decompressing is work, and others wait
                await _require(found)
            except NotGzip as error:
                return _not_a_message(str(error))
            except NotAMessage as error:
                return _not_a_message(str(error))
        return None

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("Too many large messages are being looked at: send it again", headers={"Retry-After": "10"}) from None
        try:
            yield
        finally:
            self._turns.release()


async def _require(content: bytearray) -> None:
    if len(content) > _SMALL:
        await asyncio.to_thread(require_message, content)
    else:
        require_message(content)


def _not_a_message(why: str) -> Refused:
    return Refused(CODE, f"Not a FHIR message: {why}")
