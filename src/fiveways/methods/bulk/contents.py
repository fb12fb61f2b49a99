"""What is in files: read from any place, whatever blocks it is kept in, decrypted where it is encrypted."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from blake3 import blake3

from fiveways.clock import Clock, micros
from fiveways.errors import StoreError
from fiveways.methods.bulk import file_records as records
from fiveways.methods.bulk.at_rest import PIECE, TAG, BlockCipher, Wrapping, new_data_key
from fiveways.methods.bulk.tree import Broken
from fiveways.store.group import GroupWriter, Row, Writing
from fiveways.store.payloads import CHUNK, Payloads, View


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a content: `size` bytes of it from `start`."""

    number: int
    payload: str
    start: int
    size: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file, as it is known. Digests are None while it is not whole; SHA-256 also until it was needed."""

    id: str
    size: int = 0
    at: int = 0
    kept: bool = False
    blake3: bytes | None = None
    sha256: bytes | None = None
    body: bytes | None = field(default=None, repr=False)
    data_key: bytes | None = field(default=None, repr=False)
    wrapped_by: str = ""
    secured: bytes | None = None
    """What is known of the connection that it came by."""
    blocks: tuple[Block, ...] = ()
    known: bool = False
    """Whether it has a row."""

    @property
    def correlation(self) -> str:
        """The correlation id under which its upload was begun; '' where that is not known."""
        return msgspec.msgpack.decode(self.secured, type=dict[str, str]).get("correlation", "") if self.secured else ""


class Made(NamedTuple):
    """A content that is about to be written, and what writes it."""

    content: Content
    steps: list[tuple[Writing, Row]]


class Contents:
    """The contents of files, over one store."""

    def __init__(self, group: GroupWriter, payloads: Payloads, clock: Clock, wrapping: Wrapping | None) -> None:
        """`wrapping`: what wraps the keys of files that are encrypted at rest; None where new ones are not."""
        self.group = group
        self.payloads = payloads
        self.clock = clock
        self.wrapping = wrapping
        self._readers: Counter[str] = Counter()
        self.closed: Callable[[str], None] = lambda content: None
        """Told of a content that was open, and is not any more; of those in blocks."""

    async def find(self, id: str) -> Content:  # noqa: A002
        """A content. Raises KeyError for one that is not there, StoreError."""
        asked = {"b_id": id}
        rows = await self.group.ask(records.find_content, asked)
        if not rows:
            raise KeyError(id)
        return await self.of(rows[0])

    async def of(self, row: Sequence[Any]) -> Content:
        """A content, of its row. Raises StoreError."""
        name, size, at, kept, digest, sha256, body, data_key, wrapped_by, secured = row
        blocks: tuple[Block, ...] = ()
        if body is None:
            found = await self.group.ask(records.find_blocks, {"b_id": name})
            blocks = tuple(Block(*row[1:]) for row in found)
            if not kept:
                size = blocks[-1].start + blocks[-1].size if blocks else 0
        return Content(name, size, at, bool(kept), digest, sha256, body, data_key, wrapped_by, secured, blocks, known=True)

    def data_key(self, content: Content) -> bytes:
        """The key that a content is encrypted with. Raises StoreError where there is none to be had."""
        assert content.data_key is not None
        if self.wrapping is None:
            raise StoreError("a file is encrypted, and bulk.at_rest names no key")
        return self.wrapping.unwrap(content.data_key, content.wrapped_by)

    def open(self, content: Content) -> Open:
        """A content to be read from any place. Raises StoreError."""
        key = self.data_key(content) if content.data_key is not None else None
        if content.body is not None:
            body = content.body if key is None else BlockCipher(key, b"").open(0, content.body)
            return Open(self.payloads, content, key, body, lambda: None)
        self._readers[content.id] += 1
        return Open(self.payloads, content, key, None, partial(self._closed, content.id))

    def is_open(self, id: str) -> bool:  # noqa: A002
        """Whether somebody in this process reads a content; of one in its row it is not known, and does not matter."""
        return id in self._readers

    def _closed(self, id: str) -> None:  # noqa: A002
        self._readers[id] -= 1
        if not self._readers[id]:
            del self._readers[id]
            self.closed(id)

    async def pieces(self, content: Content, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Its bytes from `start` up to but not including `end`. Raises Broken."""
        end = content.size if end is None else min(end, content.size)
        opened = self.open(content)
        try:
            while start < end:
                data = opened.read(start, min(CHUNK, end - start))
                piece = data if isinstance(data, bytes) else await data
                if not piece:
                    raise Broken("a payload is shorter than it was")
                yield piece
                start += len(piece)
        finally:
            await opened.close()

    async def small(self, id: str, body: bytes) -> Made:  # noqa: A002
        """A content of ours, of up to 64 KiB, to be written by the steps that come with it."""
        key = new_data_key() if self.wrapping is not None else None
        kept = BlockCipher(key, b"").seal(0, body) if key is not None else body
        digest = blake3(body).digest()
        content = Content(id, len(body), micros(self.clock), True, digest, body=kept)
        row = {
            "v_id": id, "v_size": len(body), "v_at": content.at, "v_kept": 1, "v_blake3": digest, "v_sha256": None, "v_body": kept,
            "v_data_key": self.wrapping.wrap(key) if self.wrapping is not None and key is not None else None,
            "v_wrapped_by": self.wrapping.current if self.wrapping is not None else "", "v_secured": None,
        }  # fmt: skip
        return Made(content, [(records.add_content, row)])

    async def forget(self, id: str) -> bool:  # noqa: A002
        """Remove a content that nobody needs; False for one that somebody reads just now, which stays. Raises StoreError."""
        if self.is_open(id):
            return False
        asked: dict[str, Any] = {"b_id": id}
        for row in await self.group.ask(records.find_blocks, asked):
            await self.payloads.delete(row[2])  # first: a crash in between leaves the rows
        await self.group.transact((records.forget_blocks, asked), (records.forget_content, asked))
        return True

    async def rewrap(self) -> int:
        """Wrap the keys of files that another key wraps with the one that wraps now; how many. Raises StoreError."""
        if self.wrapping is None:
            return 0
        done = 0
        while True:
            asked = {"b_current": self.wrapping.current}
            rows = (await self.group.submit(records.find_wrapped_otherwise, asked, synced=False)).rows
            for id_, wrapped, by in rows:
                anew = self.wrapping.wrap(self.wrapping.unwrap(wrapped, by))
                row = {"b_id": id_, "b_former": by, "v_data_key": anew, "v_wrapped_by": self.wrapping.current}
                await self.group.submit(records.wrap_anew, row)
            done += len(rows)
            if len(rows) < records.MOST:
                return done


_SEALED: Final = PIECE + TAG


class Open:
    """A content that is open. Each block is opened when it is first read, and closed when another is."""

    def __init__(
        self, payloads: Payloads, content: Content, key: bytes | None, body: bytes | None, let_go: Callable[[], None]
    ) -> None:
        """`let_go` is told, once, that it is closed."""
        self.size = content.size
        self._let_go: Callable[[], None] | None = let_go
        self._payloads = payloads
        self._content = content
        self._key = key
        self._body = body
        self._starts = [block.start for block in content.blocks]
        self._block: Block | None = None
        self._view: View | None = None
        self._cipher: BlockCipher | None = None
        self._piece = (-1, b"")

    def read(self, start: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `start`, and b'' at the end; fewer where a block ends. Raises Broken."""
        if start >= self.size or size <= 0:
            return b""
        if self._body is not None:
            return self._body[start : start + size]
        block = self._block
        if block is None or not block.start <= start < block.start + block.size or self._view is None:
            return self._from_another(start, size)
        size = min(size, block.start + block.size - start)
        if self._cipher is not None:
            return self._decrypted(start - block.start, size)
        with _told():
            data = self._view.read(start - block.start, size)
        return data if isinstance(data, bytes) else _awaited(data)

    async def _from_another(self, start: int, size: int) -> bytes:
        block = self._content.blocks[bisect_right(self._starts, start) - 1]
        if self._view is not None:
            await self._view.close()
        with _told():
            self._view, self._block = await self._payloads.view(block.payload), block
        self._cipher = BlockCipher(self._key, block.salt) if self._key is not None else None
        self._piece = (-1, b"")
        data = self.read(start, size)
        return data if isinstance(data, bytes) else await data

    async def _decrypted(self, start: int, size: int) -> bytes:
        """A range of the block that is open, from the pieces that have it."""
        found = bytearray()
        for number in range(start // PIECE, (start + size - 1) // PIECE + 1):
            if self._piece[0] != number:
                self._piece = (number, await self._opened(number))
            begin = max(start - number * PIECE, 0)
            found += self._piece[1][begin : start + size - number * PIECE]
        return bytes(found)

    async def _opened(self, number: int) -> bytes:
        assert self._cipher is not None
        assert self._view is not None
        with _told():
            data = self._view.read(number * _SEALED, _SEALED)
            return self._cipher.open(number, data if isinstance(data, bytes) else await data)

    async def close(self) -> None:
        """No more is read."""
        view, self._view = self._view, None
        let_go, self._let_go = self._let_go, None
        try:
            if view is not None:
                await view.close()
        finally:
            if let_go is not None:
                let_go()


async def _awaited(data: Awaitable[bytes]) -> bytes:
    with _told():
        return await data


@contextmanager
def _told() -> Iterator[None]:
    """What the payload store fails with, as who reads a file is told of it: Broken."""
    try:
        yield
    except KeyError:
        raise Broken("a payload is gone from the store") from None
    except StoreError as error:
        raise Broken(str(error)) from None
