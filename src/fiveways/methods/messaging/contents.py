"""The content of messages: where it is small in the row of its chunk, otherwise in the payload store, which the row refers to."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from fiveways.errors import StoreError
from fiveways.methods.messaging.records import Chunk
from fiveways.methods.messaging.refusals import Empty
from fiveways.store.payloads import Payloads, keep, pieces, verified


class Contents:
    """Keeps content, and hands it out as it was taken in."""

    def __init__(self, payloads: Payloads, largest: int) -> None:
        """`largest`: bytes that a message may have, all its chunks together."""
        self._payloads = payloads
        self._largest = largest

    async def kept(self, message_id: str, number: int, body: AsyncIterable[bytes] | bytes, before: int = 0) -> dict[str, Any]:
        """A row for a chunk; where it is large, its bytes are in the payload store by now. `before`: bytes of the others.

        Raises Empty, PayloadTooLarge, and whatever `body` raises.
        """
        content = await keep(self._payloads, body, limit=self._largest - before)
        if content == b"":
            raise Empty("A message without content is none")
        if isinstance(content, bytes):
            return _row(message_id, number, len(content), hashlib.sha256(content).hexdigest(), body=content)
        return _row(message_id, number, content.size, content.sha256, payload=content.ref)

    async def drop(self, payload: str | None) -> None:
        """Remove the payload, if any, of a chunk that was not taken in, or is not wanted any more.

        Only where the store has said so: where a sender goes away at its commit, or the connection is lost, it may have been. What
        is left then is removed when it is old (`Foundation.sweep`).
        """
        if payload is not None:
            await self._payloads.delete(payload)

    def open(self, chunk: Chunk) -> bytes | AsyncIterator[bytes]:
        """The bytes of a chunk. Raises StoreError, before the last of them, where they are not those that were taken in."""
        if chunk.payload is not None:
            return verified(self._payloads.open(chunk.payload), chunk.sha256)
        body = chunk.body or b""
        if hashlib.sha256(body).hexdigest() != chunk.sha256:
            raise StoreError("a chunk is not what was put into the store")
        return body


async def passed(message_id: str, number: int, body: AsyncIterable[bytes] | bytes) -> dict[str, Any]:
    """The row of a chunk whose bytes are not kept, once they have gone by; it is never written."""
    size, sha256 = 0, hashlib.sha256()
    async for piece in pieces(body):
        size += len(piece)
        sha256.update(piece)
    return _row(message_id, number, size, sha256.hexdigest())


def _row(
    message: str, number: int, size: int, sha256: str, body: bytes | None = None, payload: str | None = None
) -> dict[str, Any]:
    return {"message": message, "number": number, "size": size, "sha256": sha256, "body": body, "payload": payload}
