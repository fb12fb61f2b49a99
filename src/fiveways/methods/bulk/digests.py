"""Digests of content, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from blake3 import blake3

ALGORITHMS: Final[dict[str, Callable[[], Any]]] = {
    "sha256": hashlib.sha256,
    "blake3": blake3,
    "sha512": hashlib.sha512,
    "sha384": hashlib.sha384,
    "sha224": hashlib.sha224,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
"""Those that clients may ask for, the better ones first; what a feed agrees on is one of the first two."""


async def digests(pieces: AsyncIterator[bytes], algorithm: str, block: int = 0) -> list[bytes]:
    """Digests of what comes in `pieces`: one of each `block` bytes; of all, where that is 0. ValueError for no algorithm."""
    make = ALGORITHMS.get(algorithm)
    if make is None:
        raise ValueError(algorithm)
    found: list[bytes] = []
    current, left = make(), block
    begun = not block
    async for piece in pieces:
        at = 0
        while block and len(piece) - at >= left:
            current.update(memoryview(piece)[at : at + left])
            found.append(current.digest())
            at, current, left, begun = at + left, make(), block, False
        if at < len(piece):
            current.update(memoryview(piece)[at:] if at else piece)
            left, begun = left - (len(piece) - at), True
    return [*found, current.digest()] if begun else found
