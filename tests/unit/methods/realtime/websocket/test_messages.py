"""Messages as RFC 6455 §5.4 to §5.6 have them: the same however they are cut, and wrong as soon as they are wrong."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.methods.realtime.websocket.conftest import closing, frame, head

import fiveways
from fiveways.methods.realtime.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    NOT_UTF8,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Violation,
)
from fiveways.methods.realtime.websocket.messages import (
    TRANSITIONS,
    Binary,
    Close,
    Event,
    MessageReader,
    Ping,
    Pong,
    State,
    Text,
)

LARGEST = 10_000
OPCODES = {Text: TEXT, Binary: BINARY, Ping: PING, Pong: PONG}


def heard(*pieces: bytes, largest: int = LARGEST) -> tuple[list[Event], int | None]:
    """What pieces that arrive one after another say, and the code of the violation that ended it."""
    reader = MessageReader(largest)
    events: list[Event] = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (event := reader.take()) is not None:
                events.append(event)
        except Violation as violation:
            for more in (b"", frame(TEXT, b"more")):
                reader.feed(more)
                assert reader.take() is None, "nothing that comes after a violation is looked at"
            return events, violation.code
    return events, None


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces."""
    edges = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


# --- the same however it is cut -------------------------------------------------------------------------------------------------

CONTROL = st.builds(Ping, st.binary(max_size=125)) | st.builds(Pong, st.binary(max_size=125))
LONG = st.integers(100, 3000).map(lambda size: b"abc\xc3\xa9" * (size // 5))
MESSAGES = st.builds(Text, st.text(max_size=60).map(str.encode) | LONG) | st.builds(Binary, st.binary(max_size=60) | LONG)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """What a client sends, each message in any fragments with anything a control frame may be in between, and what it has said."""
    sent: list[bytes] = []
    said: list[Event] = []
    for message in draw(st.lists(MESSAGES | CONTROL, max_size=6)):
        if isinstance(message, Ping | Pong):
            sent.append(frame(OPCODES[type(message)], message.payload))
            said.append(message)
            continue
        parts = cut(message.data, draw(st.lists(st.integers(0, 100), max_size=4))) or [b""]
        parts.insert(draw(st.integers(0, len(parts))), b"")
        for number, part in enumerate(parts):
            opcode = CONTINUATION if number else OPCODES[type(message)]
            sent.append(frame(opcode, part, final=number == len(parts) - 1, mask=draw(st.binary(min_size=4, max_size=4))))
            if number < len(parts) - 1 and draw(st.booleans()):
                between = draw(CONTROL)
                sent.append(frame(OPCODES[type(between)], between.payload))
                said.append(between)
        said.append(message)
    if draw(st.booleans()):
        code, reason = draw(st.sampled_from([1000, 1001, 3000, 4999])), draw(st.text(max_size=30))
        sent += [closing(code, reason.encode()), draw(st.binary(max_size=30))]
        said.append(Close(code, reason))
    return b"".join(sent), said


@settings(max_examples=200)
@given(conversations(), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_conversation_is_the_same_however_it_is_fragmented_and_chopped(
    conversation: tuple[bytes, list[Event]], cuts: list[int]
) -> None:
    sent, said = conversation
    assert heard(*cut(sent, cuts)) == (said, None)


@settings(max_examples=60)
@given(conversations())
def test_a_conversation_is_the_same_octet_by_octet(conversation: tuple[bytes, list[Event]]) -> None:
    sent, said = conversation
    assert heard(*(bytes((octet,)) for octet in sent)) == (said, None)


# --- nothing but a violation ----------------------------------------------------------------------------------------------------

FRAMES = st.builds(
    lambda opcode, payload, final, reserved: frame(opcode, payload, final=final, reserved=reserved),
    st.sampled_from([0, 1, 2, 8, 9, 10] * 3 + list(range(16))),
    st.binary(max_size=140),
    st.booleans(),
    st.sampled_from([0] * 9 + [1]),
)


@settings(max_examples=300)
@given(st.lists(FRAMES | st.binary(max_size=20), max_size=8).map(b"".join), st.lists(st.integers(0, 1000), max_size=6))
@example(b"\x88\x81" + bytes(5), [])
def test_whatever_comes_is_understood_or_a_violation_and_cutting_changes_neither(data: bytes, cuts: list[int]) -> None:
    events, code = heard(data, largest=200)
    assert code in {None, PROTOCOL_ERROR, NOT_UTF8, TOO_BIG}
    assert heard(*cut(data, cuts), largest=200) == (events, code)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_random_octets_raise_nothing_but_a_violation(data: bytes) -> None:
    heard(data)


# --- the table ------------------------------------------------------------------------------------------------------------------

OPEN = (State.IDLE, State.TEXT, State.BINARY)
BEGUN = {
    State.IDLE: b"",
    State.TEXT: frame(TEXT, b"begun", final=False),
    State.BINARY: frame(BINARY, b"begun", final=False),
}


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, PING, PONG, CLOSE])
@pytest.mark.parametrize("state", OPEN)
def test_what_is_not_in_the_table_is_a_violation_and_everything_in_it_is_not(state: State, opcode: int, final: bool) -> None:
    """RFC 6455 §5.4: a message is one frame, or begins with its kind and goes on with continuations."""
    reader = MessageReader(LARGEST)
    reader.feed(BEGUN[state] + frame(opcode, final=final))
    if (state, opcode, final) not in TRANSITIONS:
        with pytest.raises(Violation) as raised:
            reader.take()
        assert raised.value.code == PROTOCOL_ERROR
        assert reader._state is State.CLOSED
    else:
        reader.take()
        assert reader._state is TRANSITIONS[state, opcode, final]


def test_the_drawing_names_every_state() -> None:
    assert {origin for origin, _, _ in TRANSITIONS} == set(OPEN)
    assert set(TRANSITIONS.values()) == set(State)
    drawing = (Path(fiveways.__file__).parent / "methods/realtime/websocket/messages.py").read_text().split('"""')[1]
    for state in State:
        assert re.search(rf"\b{state}\b", drawing)


def test_what_breaks_off_a_message_does_so_with_its_header() -> None:
    """A message within another, and a continuation of nothing, are wrong before they have any payload."""
    assert heard(frame(TEXT, b"a", final=False), head(TEXT, 5) + b"mask") == ([], PROTOCOL_ERROR)
    assert heard(head(CONTINUATION, 5) + b"mask") == ([], PROTOCOL_ERROR)


def test_what_was_said_before_a_violation_was_said() -> None:
    sent = frame(TEXT, b"one") + frame(PING, b"two") + frame(TEXT, b"three", reserved=2) + frame(TEXT, b"four")
    assert heard(sent) == ([Text(b"one"), Ping(b"two")], PROTOCOL_ERROR)


# --- UTF-8 ----------------------------------------------------------------------------------------------------------------------

TAIL = (0x80, 0xBF)
FORMS = [
    [(0x00, 0x7F)],
    [(0xC2, 0xDF), TAIL],
    [(0xE0, 0xE0), (0xA0, 0xBF), TAIL],
    [(0xE1, 0xEC), TAIL, TAIL],
    [(0xED, 0xED), (0x80, 0x9F), TAIL],
    [(0xEE, 0xEF), TAIL, TAIL],
    [(0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL],
    [(0xF1, 0xF3), TAIL, TAIL, TAIL],
    [(0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL],
]
"""RFC 3629 §4."""


def first_wrong(data: bytes) -> int | None:
    """Where the octet is that no UTF-8 can have there; the length, where the end comes too soon; None for UTF-8."""
    open_forms: list[list[tuple[int, int]]] = []
    for at, octet in enumerate(data):
        open_forms = [form[1:] for form in (open_forms or FORMS) if form[0][0] <= octet <= form[0][1]]
        if not open_forms:
            return at
        if not open_forms[0]:
            open_forms = []
    return len(data) if open_forms else None


NEARLY = st.lists(
    st.text(max_size=4).map(str.encode)
    | st.binary(min_size=1, max_size=2)
    | st.sampled_from([b"\xed\xa0\x80", b"\xf4\x90", b"\xe0\x9f"]),
    max_size=6,
).map(b"".join)


@settings(max_examples=300)
@given(NEARLY)
@example(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited")
@example(b"ab\xc3")
def test_text_is_wrong_with_the_first_octet_that_makes_it_wrong(data: bytes) -> None:
    """RFC 6455 §8.1: in one frame, octet by octet in one frame, and in a frame for each octet."""
    wrong = first_wrong(data)
    assert heard(frame(TEXT, data)) == (([Text(data)], None) if wrong is None else ([], NOT_UTF8))
    sent = frame(TEXT, data)
    start = len(sent) - len(data)
    if wrong is None:
        assert heard(*(sent[at : at + 1] for at in range(len(sent)))) == ([Text(data)], None)
        return
    in_frames = [frame(CONTINUATION if at else TEXT, data[at : at + 1], final=False) for at in range(len(data))]
    assert heard(*in_frames[:wrong]) == ([], None)
    assert heard(*(sent[at : at + 1] for at in range(start + min(wrong, len(data) - 1)))) == ([], None)
    if wrong < len(data):
        assert heard(*in_frames[: wrong + 1]) == ([], NOT_UTF8)
        assert heard(*(sent[at : at + 1] for at in range(start + wrong + 1))) == ([], NOT_UTF8)
    else:
        assert heard(sent[:-1], sent[-1:]) == ([], NOT_UTF8)
        assert heard(*in_frames, frame(CONTINUATION)) == ([], NOT_UTF8)


def test_what_is_not_text_may_be_anything() -> None:
    assert heard(frame(BINARY, b"\xff\xfe")) == ([Binary(b"\xff\xfe")], None)
    parts = frame(BINARY, b"\xff", final=False) + frame(PING, b"\xff") + frame(CONTINUATION, b"\xfe")
    assert heard(parts) == ([Ping(b"\xff"), Binary(b"\xff\xfe")], None)


def test_a_character_is_not_carried_from_one_message_into_the_next() -> None:
    sent = frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"\xa9") + frame(TEXT, b"\xa9")
    assert heard(sent) == ([Text("é".encode())], NOT_UTF8)


# --- Close ----------------------------------------------------------------------------------------------------------------------


def test_a_close_has_nothing_or_a_code_and_a_reason() -> None:
    """RFC 6455 §5.5.1."""
    assert heard(closing()) == ([Close(NO_CODE, "")], None)
    assert heard(closing(1000)) == ([Close(1000, "")], None)
    assert heard(closing(4999, "café".encode())) == ([Close(4999, "café")], None)
    assert heard(frame(CLOSE, b"\x03")) == ([], PROTOCOL_ERROR)
    assert heard(closing(1000, b"\xff")) == ([], NOT_UTF8)
    assert heard(closing(1000, "é".encode()[:1])) == ([], NOT_UTF8)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1012, 1013, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_code_that_is_none_is_a_violation(code: int) -> None:
    assert heard(closing(code)) == ([], PROTOCOL_ERROR)


def test_after_a_close_nothing_is_looked_at() -> None:
    assert heard(frame(TEXT, b"begun", final=False) + closing(1000) + b"\xff" * 50, b"\xff" * 50) == ([Close(1000, "")], None)


# --- size -----------------------------------------------------------------------------------------------------------------------


def test_a_message_has_as_many_bytes_as_it_may_and_no_more() -> None:
    whole = Text(b"x" * LARGEST)
    assert heard(frame(TEXT, whole.data)) == ([whole], None)
    parts = frame(TEXT, b"x" * 4000, final=False) + frame(CONTINUATION, b"x" * 6000)
    assert heard(parts + parts) == ([whole, whole], None)
    assert heard(frame(TEXT, whole.data + b"x")) == ([], TOO_BIG)
    assert heard(frame(TEXT, b"x" * 4000, final=False) + head(CONTINUATION, 6001)) == ([], TOO_BIG)
