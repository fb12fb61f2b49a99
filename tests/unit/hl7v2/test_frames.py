"""Frames are found however the bytes come, and what is no frame is told of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.hl7v2.frames import BadFrame, Deframer, framed


def whole(content: bytes) -> bool:
    return b"\x0b" not in content and b"\x1c\r" not in content and not content.endswith(b"\x1c")


@given(
    contents=st.lists(st.binary(max_size=60).filter(whole), max_size=5),
    between=st.sampled_from([b"", b"\r", b"\r\n", b"\n\n"]),
    cuts=st.lists(st.integers(1, 20), max_size=40),
)
def test_messages_come_out_as_they_went_in_however_they_are_cut(contents: list[bytes], between: bytes, cuts: list[int]) -> None:
    sent = between + between.join(framed(content) for content in contents)
    deframer, found, at = Deframer(), [], 0
    for cut in [*cuts, len(sent) + 1]:
        found += deframer.feed(sent[at : at + cut])
        at += cut
    assert found == contents
    assert not deframer.inside


@given(st.binary(max_size=100), st.integers(0, 100))
def test_any_bytes_are_messages_or_told_of(received: bytes, cut: int) -> None:
    deframer = Deframer(limit=50)
    try:
        found = deframer.feed(received[:cut]) + deframer.feed(received[cut:])
    except BadFrame:
        return
    assert all(len(message) <= 50 for message in found)


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (b"MSH|^~\\&|", "start of a frame"), (b"\x0bMSH|\x0bMSH|\x1c\r", "inside another"), (b"\x0b" + b"x" * 101, "longer than"),
        (b"\x0bx\x1c\rjunk\x0by\x1c\r", "start of a frame"), (b"GET / HTTP/1.1\r\n\r\n", "start of a frame"),
    ],
)  # fmt: skip
def test_what_is_no_frame(received: bytes, why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        Deframer(limit=100).feed(received)


def test_a_message_that_is_not_whole_is_waited_for() -> None:
    deframer = Deframer()
    assert deframer.feed(b"\x0bMSH|^~\\&|\x1c") == []
    assert deframer.inside
    assert deframer.feed(b"\r") == [b"MSH|^~\\&|"]


def test_a_frame_holds_no_frame() -> None:
    for content in (b"a\x0bb", b"a\x1c\rb"):
        with pytest.raises(ValueError, match="frame"):
            framed(content)
