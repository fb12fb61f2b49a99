"""Frames out of a stream, and paths out of what clients send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.names import absolute
from fiveways.methods.bulk.sftp.wire import Fields, Frames, Malformed
from fiveways.methods.bulk.tree import Refused


def _write(number: int, handle: bytes, offset: int, data: bytes) -> bytes:
    return wire.answer(wire.WRITE, number, wire.string(handle) + offset.to_bytes(8, "big") + wire.string(data))


PACKETS = st.one_of(
    st.builds(_write, st.integers(0, 2**32 - 1), st.binary(max_size=300), st.integers(0, 2**64 - 1), st.binary(max_size=2000)),
    st.builds(wire.answer, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=600)),
)


@given(st.lists(PACKETS, max_size=6), st.lists(st.integers(1, 400), min_size=1))
def test_packets_come_out_as_they_went_in_however_they_are_cut(packets: list[bytes], cuts: list[int]) -> None:
    stream, frames, found = b"".join(packets), Frames(), []
    at = number = 0
    while at < len(stream):
        size = cuts[number % len(cuts)]
        frames.add(stream[at : at + size])
        at, number = at + size, number + 1
        while (packet := frames.next()) is not None:
            body = bytes(packet.body) + packet.data
            found.append(wire.answer(packet.kind, packet.number, body))
    assert found == packets
    assert frames.held == 0


@pytest.mark.parametrize("length", [0, 4, wire.LONGEST_PACKET + 1, 2**32 - 1])
def test_a_packet_that_is_too_short_or_too_long_is_none(length: int) -> None:
    frames = Frames()
    frames.add(length.to_bytes(4, "big"))
    with pytest.raises(Malformed):
        frames.next()


@given(st.binary(max_size=80))
def test_fields_are_read_or_malformed(body: bytes) -> None:
    for read in (Fields.number, Fields.long, Fields.string, Fields.attributes):
        fields = Fields(memoryview(body))
        try:
            read(fields)
            fields.end()
        except Malformed:
            pass


@given(st.binary(max_size=300))
def test_a_path_is_below_the_root_or_refused(sent: bytes) -> None:
    try:
        path = absolute(sent)
    except Refused:
        return
    assert path.startswith("/")
    parts = path[1:].split("/")
    assert path == "/" or not {"", ".", ".."} & set(parts)
    assert absolute(path.encode()) == path


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (b"", "/"), (b".", "/"), (b"..", "/"), (b"/../../etc/passwd", "/etc/passwd"), (b"a/./b//c/..", "/a/b"), (b"/a/../..", "/"),
        ("é/é".encode(), "/é/é"), (b"...", "/..."), (b"a\\..\\b", "/a\\..\\b"),
    ],
)  # fmt: skip
def test_where_paths_lead(sent: bytes, path: str) -> None:
    assert absolute(sent) == path


@pytest.mark.parametrize(
    "sent",
    [b"a\0b", b"a\nb", b"a\x7fb", "a\u202eb".encode(), b"\xff", b"x" * 256, "é".encode() * 128, b"a/" * 2049, "a\u0085".encode()],
)
def test_names_that_are_refused(sent: bytes) -> None:
    with pytest.raises(Refused):
        absolute(sent)
