"""Chunked coding, strictly (RFC 9112 §7.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.synchronous.upstream.chunked import ChunkedDecoder
from fiveways.methods.synchronous.upstream.response_head import MalformedResponse


def _decode(*reads: bytes) -> tuple[bytes, ChunkedDecoder]:
    decoder = ChunkedDecoder(1024)
    return b"".join(piece for read in reads for piece in decoder.feed(read)), decoder


@pytest.mark.parametrize(
    ("coded", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\n00\r\n\r\n", b"0123456789"),
        (b"3;name=value\r\nabc\r\n0 ; x\r\n\r\n", b"abc"),
        (b'1;q="\xe9"\r\na\r\n0\r\nExpires: now\r\nX: \r\n\r\n', b"a"),
    ],
)
def test_valid_coding_is_decoded(coded: bytes, content: bytes) -> None:
    decoded, decoder = _decode(coded)
    assert (decoded, decoder.done, decoder.excess) == (content, True, False)


@pytest.mark.parametrize(
    "coded",
    [
        b"\r\n", b"g\r\n", b"+3\r\nabc\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3 \r\nabc\r\n", b"3\nabc\r\n",
        b"3\r\nabcd\r\n", b"3\r\nabc\n", b"3\r\nabc0\r\n", b"3\r\nabcX", b"1000000000000000\r\n", b"3_0\r\n", b"3;\x00\r\n",
        b"3;a\rb\r\n", b"0\r\n folded\r\n\r\n", b"0\r\nbad name: x\r\n\r\n", b"0\r\nx\r\n\r\n", b"0\r\n\n", b"0;" + b"x" * 300,
        b"0;" + b"x" * 300 + b"\r\n\r\n", b"0\r\nx: " + b"y" * 1100 + b"\r\n\r\n", b"0\r\n" + b"x: y\r\n" * 300,
        b"0\r\nx: " + b"y" * 1100,
    ],
)  # fmt: skip
def test_anything_else_is_refused(coded: bytes) -> None:
    for reads in ([coded], [coded[at : at + 1] for at in range(len(coded))]):
        with pytest.raises(MalformedResponse):
            _decode(*reads)


def test_bytes_after_the_end_are_noticed() -> None:
    assert _decode(b"0\r\n\r\nHTTP/1.1 200 OK\r\n")[1].excess


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_any_split_into_reads_gives_the_same_content(chunks: list[bytes], data: st.DataObject) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\na: b\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(coded)), max_size=6)))
    reads = [coded[start:end] for start, end in zip([0, *cuts], [*cuts, len(coded)], strict=True)]
    decoded, decoder = _decode(*reads)
    assert (decoded, decoder.done, decoder.excess) == (b"".join(chunks), True, False)
