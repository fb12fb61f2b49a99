"""Content on its way out, where a client does not take it as it was sent."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from fiveways.errors import FivewaysError
from fiveways.store.payloads import pieces

_AT_ONCE = 256 * 1024


class NotGzip(FivewaysError):
    """Content that its sender called gzip is not."""


async def decompressed(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is in gzip members one after another, in pieces of a bounded size, however much it comes to."""
    engine, begun = zlib.decompressobj(31), False
    async for piece in pieces(content):
        data, full = piece, False
        while data or full:
            try:
                out = engine.decompress(data, _AT_ONCE)
            except zlib.error as error:
                raise NotGzip("the content is not gzip, as its sender said it was") from error
            if out:
                yield out
            data, full, begun = engine.unconsumed_tail, len(out) == _AT_ONCE, True
            if engine.eof:
                data, full, engine, begun = engine.unused_data, False, zlib.decompressobj(31), False
    if begun:
        raise NotGzip("the content ends in the middle of gzip")
