"""A file on its way in: blocks that are durable one by one, so that a cut line costs little; whole only when its sender says so.

Bytes come in order, or nearly: clients that write several pieces at once may overtake themselves by `AHEAD`. A content of up to
64 KiB is kept in its row; a larger one in blocks of `BLOCK`, each of which is made durable, with its row, while the next fills.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

from blake3 import blake3

from fiveways.clock import micros
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.methods.bulk import file_records as records
from fiveways.methods.bulk.at_rest import PIECE, BlockCipher, new_data_key
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.tree import Broken, Full, Refused
from fiveways.store.group import Row, Writing
from fiveways.store.payloads import IN_ROW, Incoming

BLOCK: Final = 64 * 2**20
"""Bytes of a block."""
AHEAD: Final = 16 * 2**20
"""Bytes that may come before those that belong in front of them."""
Steps = list[tuple[Writing, Row]]


class Upload:
    """A content that is being written. One at a time writes it."""

    def __init__(self, contents: Contents, content: Content, room: Callable[[int], None], *, append: bool = False) -> None:
        """`content`: new, or one that was broken off and is gone on with. `room` is told how large it is to be, and raises Full or
        Refused where that is too large."""
        self._contents = contents
        self.content = content
        self._room = room
        self._append_from = content.size if append else -1
        self.size = content.size
        self._small = bytearray()
        self._early: dict[int, bytes] = {}
        self._early_size = 0
        self._incoming: Incoming | None = None
        self._block_start = content.size
        self._block_salt = b""
        self._cipher: BlockCipher | None = None
        self._piece = bytearray()
        self._pieces = 0
        self._number = content.blocks[-1].number + 1 if content.blocks else 0
        self._storing: asyncio.Task[None] | None = None
        self._data_key = contents.data_key(content) if content.data_key is not None else None
        self._hash = blake3()
        self._known = content.known
        self._failure: Broken | Full | None = None
        self.durable = content.size
        """Bytes, from its beginning, that are in blocks with rows: whatever fails now, an upload may go on from there."""

    @classmethod
    def ours(cls, contents: Contents) -> Self:
        """A content that we make, of any size."""
        return cls(contents, Content(new_id()), lambda size: None)

    @property
    def digest(self) -> bytes:
        """BLAKE3 of all that is in."""
        return self._hash.digest()

    async def resume(self) -> None:
        """Read again what is in already, for its digest. Raises Broken."""
        if self.content.size:
            async for piece in self._contents.pieces(self.content):
                self._hash.update(piece)

    # --- bytes -----------------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes) -> Awaitable[None] | None:
        """Take bytes in; to be waited for where the store is. Raises Full, Refused and Broken: after a failure of the store for
        ever, as bytes are missing that were taken."""
        if self._failure is not None:
            raise self._failure
        if self._append_from >= 0 and offset < self._append_from:
            offset = self.size
        if offset != self.size or self._early:
            return self._out_of_order(offset, data)
        self._room(offset + len(data))
        return self._take(data)

    async def add(self, data: bytes) -> None:
        """Take bytes in behind those that are there. Raises as `write` does."""
        waiting = self.write(self.size, data)
        if waiting is not None:
            await waiting

    async def _out_of_order(self, offset: int, data: bytes) -> None:
        if offset < self.size:
            raise Refused("bytes that were written already cannot be changed: upload the file anew")
        if offset + len(data) - self.size > AHEAD:
            raise Refused(f"bytes came {offset - self.size} ahead of those in front of them: upload the file from front to back")
        if offset in self._early:
            raise Refused("bytes came twice")
        self._room(offset + len(data))
        self._early[offset] = data
        while self.size in self._early:
            waiting = self._take(self._early.pop(self.size))
            if waiting is not None:
                await waiting

    def _take(self, data: bytes) -> Awaitable[None] | None:
        self._hash.update(data)
        self.size += len(data)
        if self._incoming is None and self._number == 0 and len(self._small) + len(data) <= IN_ROW:
            self._small += data
            return None
        if self._incoming is None:
            return self._begin_block(data)
        return self._into_block(data)

    async def _begin_block(self, data: bytes) -> None:
        try:
            await self._known_content()
            self._incoming = await self._contents.payloads.begin()
        except StoreError as error:
            raise self._failed(error) from None
        start, self._small = bytes(self._small) + data, bytearray()
        self._block_start = self.size - len(start)
        if self._data_key is not None:
            self._block_salt = os.urandom(16)
            self._cipher, self._pieces = BlockCipher(self._data_key, self._block_salt), 0
        waiting = self._into_block(start)
        if waiting is not None:
            await waiting

    def _into_block(self, data: bytes) -> Awaitable[None] | None:
        assert self._incoming is not None
        try:
            waiting = self._incoming.write(data) if self._cipher is None else self._sealed(data)
        except StoreError as error:
            raise self._failed(error) from None
        if self.size - self._block_start >= BLOCK:
            return self._next_block(waiting)
        return self._translated(waiting) if waiting is not None else None

    def _sealed(self, data: bytes) -> Awaitable[None] | None:
        assert self._cipher is not None
        assert self._incoming is not None
        self._piece += data
        out = []
        while len(self._piece) >= PIECE:
            out.append(self._cipher.seal(self._pieces, bytes(self._piece[:PIECE])))
            del self._piece[:PIECE]
            self._pieces += 1
        return self._incoming.write(b"".join(out)) if out else None

    async def _translated(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except StoreError as error:
            raise self._failed(error) from None

    def _failed(self, error: StoreError) -> Broken | Full:
        """The store has failed, and has not all that was taken: from here on nothing else is said of this upload."""
        self._failure = (Full if "space" in str(error) else Broken)(str(error))
        return self._failure

    # --- blocks ----------------------------------------------------------------------------------------------------------

    async def _next_block(self, waiting: Awaitable[None] | None) -> None:
        """The block that is full is stored while the next one fills; no more than one is."""
        if waiting is not None:
            await self._translated(waiting)
        await self._stored()
        self._storing = asyncio.create_task(self._store_block())
        await asyncio.sleep(0)  # it has taken the block's place in hand when this returns

    async def _store_block(self) -> None:
        """Make the block durable, and its row."""
        incoming, cipher, self._incoming = self._incoming, self._cipher, None
        assert incoming is not None
        number, self._number = self._number, self._number + 1
        rest, self._piece = bytes(self._piece), bytearray()
        end = self.size
        row = {
            "v_content": self.content.id, "v_number": number, "v_payload": incoming.ref, "v_start": self._block_start,
            "v_size": end - self._block_start, "v_salt": self._block_salt,
        }  # fmt: skip
        try:
            if cipher is not None and rest:
                last = incoming.write(cipher.seal(self._pieces, rest))
                if last is not None:
                    await last
            await incoming.finish()
            await self._contents.group.submit(records.add_block, row)
        except StoreError as error:
            failure = self._failed(error)
            await incoming.discard()
            raise failure from None
        self.durable = end

    async def _stored(self) -> None:
        if self._storing is not None:
            storing, self._storing = self._storing, None
            await storing
        if self._failure is not None:
            raise self._failure

    async def sync(self) -> None:
        """Have all that is in on the disk. Raises Broken and Full."""
        await self._stored()
        if self._small:
            await self._begin_block(b"")
        if self._incoming is not None:
            await self._store_block()

    async def _known_content(self) -> None:
        """Its row is there: blocks refer to it."""
        if not self._known:
            self._known = True
            if self._contents.wrapping is not None:
                self._data_key = new_data_key()
            await self._contents.group.submit(records.add_content, self._row(kept=0, body=None), synced=False)

    def _row(self, *, kept: int, body: bytes | None) -> dict[str, Any]:
        wrapping, key = self._contents.wrapping, self._data_key
        return {
            "v_id": self.content.id, "v_size": self.size, "v_at": micros(self._contents.clock), "v_kept": kept,
            "v_blake3": self.digest if kept else None, "v_sha256": None, "v_body": body,
            "v_data_key": wrapping.wrap(key) if wrapping is not None and key is not None else None,
            "v_wrapped_by": wrapping.current if wrapping is not None and key is not None else "",
            "v_secured": self.content.secured,
        }  # fmt: skip

    # --- the end ---------------------------------------------------------------------------------------------------------

    async def whole(self) -> Steps:
        """It is whole: what writes that down, once all is durable. Raises Refused where bytes are missing, Broken and Full."""
        if self._early:
            first = min(self._early)
            raise Refused(f"bytes {self.size} to {first} have not come: the file is not whole")
        if not self._known:  # a small one: its row has it all
            body = bytes(self._small)
            if self._contents.wrapping is not None:
                self._data_key = new_data_key()
                body = BlockCipher(self._data_key, b"").seal(0, body)
            return [(records.add_content, self._row(kept=1, body=body))]
        await self.sync()
        row = self._row(kept=1, body=None) | {"b_id": self.content.id}
        return [(records.keep_content, row)]

    async def keep(self) -> str:
        """It is whole, and has no name: what its id is, once it is kept. Raises as `whole` does, and StoreError."""
        await self._contents.group.transact(*await self.whole())
        return self.content.id

    async def broken_off(self) -> int:
        """Its sender has gone: how many bytes are durable, and may be gone on from. Raises Broken and Full."""
        await self.sync()
        return self.size

    async def discard(self) -> None:
        """Nothing of it is wanted that has no row yet."""
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)
        if self._incoming is not None:
            await self._incoming.discard()
            self._incoming = None
