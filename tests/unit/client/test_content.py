"""Content on its way in and out: whole or an error, and never much of it in memory."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client.content import IN_MEMORY, PIECE, Slice, decompressed, pieces, spooled
from fiveways.client.errors import Garbled


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 50))
def test_members_one_after_another_are_decompressed_however_they_are_cut(members: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    cut = (packed[start : start + size] for start in range(0, len(packed), size))
    assert b"".join(decompressed(cut)) == b"".join(members)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_gzip_that_breaks_off_is_not_taken_for_whole(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    cut = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(Garbled, match="breaks off"):
        list(decompressed([packed[:cut]]))


def test_what_is_not_gzip_is_said_not_to_be() -> None:
    with pytest.raises(Garbled, match="not gzip"):
        list(decompressed([b"hello"]))


def test_a_bomb_comes_out_in_small_pieces() -> None:
    assert max(len(piece) for piece in decompressed([gzip.compress(bytes(50_000_000))])) <= PIECE


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY])
def test_large_content_is_on_disk_and_small_content_is_not(size: int) -> None:
    content = bytes(size)
    file, counted = spooled(pieces(io.BytesIO(content)))
    with file:
        assert (counted, file.tell(), file.read()) == (size, 0, content)
        assert isinstance(file, io.BytesIO) == (size <= IN_MEMORY)


@given(st.binary(max_size=50), st.integers(0, 60), st.integers(1, 60), st.integers(1, 7))
def test_a_slice_is_those_bytes_of_the_file(content: bytes, start: int, size: int, step: int) -> None:
    expected = content[start : start + size]
    file = io.BytesIO(content)
    assert len(Slice(file, start, size)) == len(expected)
    assert b"".join(Slice(file, start, size)) == expected
    piecewise = Slice(file, start, size)
    assert b"".join(iter(lambda: piecewise.read(step), b"")) == expected
    assert Slice(file, start, size).read() == expected
    assert not file.closed
