"""Frames as RFC 6455 §5 has them: what a client's may be, to the octet, and what ours are."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.methods.realtime.websocket.conftest import MASK, frame, head

from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameReader,
    Violation,
    unmasked,
)

LARGEST = 200_000
Taken = list[tuple[int, bool, bytes]]


def taken(reader: FrameReader) -> Taken:
    """All frames there are."""
    found = []
    while (each := reader.take()) is not None:
        found.append((each.opcode, each.final, each.payload))
    return found


def read(*pieces: bytes, largest: int = LARGEST) -> Taken:
    """The frames in pieces that arrive one after another."""
    reader = FrameReader(largest)
    found: Taken = []
    for piece in pieces:
        reader.feed(piece)
        found += taken(reader)
    return found


def violation(data: bytes, *, largest: int = LARGEST) -> int:
    """The code of the violation in the last octet of `data`; nothing is wrong before."""
    reader = FrameReader(largest)
    for at in range(len(data) - 1):
        reader.feed(data[at : at + 1])
        taken(reader)
    reader.feed(data[-1:])
    with pytest.raises(Violation) as raised:
        taken(reader)
    assert raised.value.reason
    return raised.value.code


def test_the_example_of_the_rfc() -> None:
    """RFC 6455 §5.7: a single-frame masked text message, and its parts where it is fragmented."""
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, True, b"Hello")]
    assert read(frame(TEXT, b"Hel", final=False) + frame(CONTINUATION, b"lo")) == [
        (TEXT, False, b"Hel"),
        (CONTINUATION, True, b"lo"),
    ]
    assert read(bytes.fromhex("898537fa213d7f9f4d5158")) == [(PING, True, b"Hello")]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 127, 128, 8191, 8192, 8193, 65535, 65536, 70001])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_length_is_read_as_it_was_sent(opcode: int, length: int) -> None:
    payload = bytes(at * 7 & 0xFF for at in range(length))
    assert read(frame(opcode, payload)) == [(opcode, True, payload)]


@given(st.binary(max_size=600), st.binary(min_size=4, max_size=4), st.booleans())
def test_unmasking_is_exclusive_or_with_the_mask_repeated(payload: bytes, mask: bytes, long: bool) -> None:
    """RFC 6455 §5.3, by either way of doing it."""
    payload *= 40 if long else 1
    assert unmasked(payload, mask) == bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))
    assert unmasked(unmasked(payload, mask), mask) == payload


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=300), st.binary(min_size=4, max_size=4)), max_size=5),
    st.lists(st.integers(0, 1600)),
)
def test_a_frame_in_pieces_is_the_same_as_fragments(sent: list[tuple[int, bytes, bytes]], cuts: list[int]) -> None:
    whole = b"".join(frame(opcode, payload, mask=mask) for opcode, payload, mask in sent)
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    together: list[tuple[int, bytes]] = []
    for opcode, _, payload in (found := read(*(whole[start:end] for start, end in pairwise(edges)))):
        if opcode == CONTINUATION:
            together[-1] = (together[-1][0], together[-1][1] + payload)
        else:
            together.append((opcode, payload))
    assert together == [(opcode, payload) for opcode, payload, _ in sent]
    assert sum(final for _, final, _ in found) == len(sent)


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_a_reserved_bit_is_an_error_with_the_header(opcode: int, reserved: int) -> None:
    assert violation(head(opcode, 5, reserved=reserved)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("final", [True, False])
def test_a_reserved_opcode_is_an_error_with_the_header(opcode: int, final: bool) -> None:
    assert violation(head(opcode, 0, final=final)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_a_frame_that_is_not_masked_is_an_error_with_the_header(opcode: int) -> None:
    assert violation(head(opcode, 0, unmasked=True)) == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_is_whole_and_small(opcode: int) -> None:
    """RFC 6455 §5.5."""
    assert violation(head(opcode, 0, final=False)) == PROTOCOL_ERROR
    assert violation(head(opcode, 126)[:2]) == PROTOCOL_ERROR
    assert violation(head(opcode, 70_000)[:2]) == PROTOCOL_ERROR
    assert read(frame(opcode, b"x" * 125)) == [(opcode, True, b"x" * 125)]


@pytest.mark.parametrize(("length", "width"), [(0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)])
def test_a_length_takes_as_few_octets_as_it_can(length: int, width: int) -> None:
    """RFC 6455 §5.2."""
    assert violation(head(TEXT, length, width=width)) == PROTOCOL_ERROR


def test_a_length_has_63_bits() -> None:
    assert violation(head(BINARY, 1 << 63, width=8)) == PROTOCOL_ERROR
    assert violation(head(BINARY, (1 << 64) - 1, width=8)) == PROTOCOL_ERROR
    assert violation(head(BINARY, (1 << 63) - 1, width=8)) == TOO_BIG


def test_a_message_that_will_be_too_large_is_an_error_with_the_header() -> None:
    assert read(frame(TEXT, b"x" * 1000), largest=1000) == [(TEXT, True, b"x" * 1000)]
    assert violation(head(TEXT, 1001), largest=1000) == TOO_BIG
    begun = frame(TEXT, b"x" * 600, final=False) + frame(PING, b"x" * 125) + frame(CONTINUATION, b"x" * 300, final=False)
    assert violation(begun + head(CONTINUATION, 101), largest=1000) == TOO_BIG
    ended = begun + frame(CONTINUATION, b"x" * 100)
    assert read(ended + frame(TEXT, b"x" * 1000) + ended, largest=1000)
    assert violation(ended + head(BINARY, 1001), largest=1000) == TOO_BIG


def test_what_waits_is_little_however_much_has_come() -> None:
    """Of 16 MiB in pieces nothing is held back, and a reader that has read all holds nothing."""
    reader = FrameReader(1 << 25)
    reader.feed(head(BINARY, 1 << 24) + MASK)
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(256):
            reader.feed(piece)
            taken(reader)
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 1000
    assert most < 8 * len(piece)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_what_the_server_sends(length: int) -> None:
    """RFC 6455 §5.2: one frame, not masked, its length in as few octets as it takes."""
    payload = b"x" * length
    for made, opcode in ((frames.text(payload), TEXT), (frames.binary(payload), BINARY)):
        assert made == head(opcode, length, unmasked=True) + payload
    if length <= 125:
        assert frames.ping(payload) == head(PING, length, unmasked=True) + payload
        assert frames.pong(payload) == head(PONG, length, unmasked=True) + payload
    else:
        for build in (frames.ping, frames.pong):
            with pytest.raises(ValueError, match="125"):
                build(payload)


def test_a_close_says_as_much_of_its_reason_as_fits() -> None:
    assert frames.close() == b"\x88\x00"
    assert frames.close(1000) == b"\x88\x02\x03\xe8"
    assert frames.close(4001, "gone") == b"\x88\x06\x0f\xa1gone"
    assert frames.close(1000, "x" * 500) == b"\x88\x7d\x03\xe8" + b"x" * 123
    assert frames.close(1000, "é" * 100) == b"\x88\x7c\x03\xe8" + "é".encode() * 61


CODES = [*range(1000, 1004), *range(1007, 1012), *range(3000, 5000)]


def test_the_codes_that_a_close_may_have() -> None:
    """RFC 6455 §7.4: none that only stands for something, none that nobody has defined, none above 4999."""
    assert [code for code in range(0x10000) if frames.closes(code)] == CODES
    for code in (0, 999, 1004, 1005, 1006, 1012, 1015, 2999, 5000, 65535, 65536, -1):
        with pytest.raises(ValueError, match="no code"):
            frames.close(code)
    with pytest.raises(ValueError, match="no code"):
        frames.close(None, "why")
