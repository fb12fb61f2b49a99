"""Digests of content, whole or block by block, in whatever pieces it comes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.digests import ALGORITHMS, digests

pytestmark = pytest.mark.anyio


async def each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Pieces, as they come."""
    for piece in pieces:
        yield piece


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(0, 40))
async def test_blocks_are_those_of_the_content_and_not_of_its_pieces(pieces: list[bytes], block: int) -> None:
    whole = b"".join(pieces)
    expected = [whole[at : at + block] for at in range(0, len(whole), block)] if block else [whole]
    assert await digests(each(pieces), "sha256", block) == [hashlib.sha256(part).digest() for part in expected]


async def test_every_algorithm_is_what_it_is_called() -> None:
    for name in ALGORITHMS:
        expected = blake3(b"a").digest() if name == "blake3" else hashlib.new(name, b"a").digest()
        assert await digests(each([b"a"]), name) == [expected]
    with pytest.raises(ValueError, match="crc32"):
        await digests(each([]), "crc32")
