"""Messages, without I/O: a client's frames become what it has said, or a Violation where the protocol does not allow them.

    idle ──TEXT──▶ text ──CONTINUATION──▶ text ──the final one──▶ idle
    idle ──BINARY──▶ binary ──CONTINUATION──▶ binary ──the final one──▶ idle
    idle ──TEXT or BINARY that is final──▶ idle
    idle, text or binary ──PING or PONG──▶ as it was
    idle, text or binary ──CLOSE──▶ closed

Text is looked at as it arrives, and the first octet that no UTF-8 can have there ends it (RFC 6455 §8.1).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, FrameReader, Violation


class State(StrEnum):
    """Where a client is in what it says."""

    IDLE = "idle"
    """A message may begin."""
    TEXT = "text"
    """A text message has begun and not ended."""
    BINARY = "binary"
    """A binary message has begun and not ended."""
    CLOSED = "closed"
    """It has said its last, or what can no longer be understood; the rest is not looked at (RFC 6455 §5.5.1, §7.1.7)."""


TRANSITIONS: Final[dict[tuple[State, int, bool], State]] = {
    (State.IDLE, TEXT, True): State.IDLE,
    (State.IDLE, TEXT, False): State.TEXT,
    (State.IDLE, BINARY, True): State.IDLE,
    (State.IDLE, BINARY, False): State.BINARY,
    (State.TEXT, CONTINUATION, False): State.TEXT,
    (State.TEXT, CONTINUATION, True): State.IDLE,
    (State.BINARY, CONTINUATION, False): State.BINARY,
    (State.BINARY, CONTINUATION, True): State.IDLE,
    **{(state, opcode, True): state for state in (State.IDLE, State.TEXT, State.BINARY) for opcode in (PING, PONG)},
    **{(state, CLOSE, True): State.CLOSED for state in (State.IDLE, State.TEXT, State.BINARY)},
}
"""By state, opcode and whether a frame is final: the state then (RFC 6455 §5.4, §5.5). What is not here breaks the protocol."""


@dataclass(slots=True)
class Text:
    """A text message: `data` is UTF-8."""

    data: bytes


@dataclass(slots=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(slots=True)
class Ping:
    """A Ping, which wants a Pong with the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(slots=True)
class Pong:
    """A Pong, whether asked for or not (RFC 6455 §5.5.3)."""

    payload: bytes


@dataclass(slots=True)
class Close:
    """A Close; `code` is 1005 where it had none (RFC 6455 §7.1.5)."""

    code: int
    reason: str


Event = Text | Binary | Ping | Pong | Close


class MessageReader:
    """Reads what one client says. `feed` what has arrived, then `take` until there is None.

    `largest`: bytes that a message may have.
    """

    __slots__ = ("_frames", "_gathered", "_state", "_tail")

    def __init__(self, largest: int) -> None:
        self._frames = FrameReader(largest)
        self._state = State.IDLE
        self._gathered = bytearray()
        self._tail = b""
        """The beginning of a character whose end has not arrived."""

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        if self._state is not State.CLOSED:
            self._frames.feed(data)

    def take(self) -> Event | None:
        """What the client has said next, None until more has arrived. Raises Violation; after that or a Close, always None."""
        while self._state is not State.CLOSED:
            try:
                frame = self._frames.take()
                if frame is None:
                    return None
                if frame.final and self._state is State.IDLE:
                    if frame.opcode == TEXT:
                        if not frame.payload.isascii():
                            self._check(frame.payload, True)
                        return Text(frame.payload)
                    if frame.opcode == BINARY:
                        return Binary(frame.payload)
                event = self._follow(frame)
            except Violation:
                self._state = State.CLOSED
                self._forget()
                raise
            if event is not None:
                return event
        return None

    def _follow(self, frame: Frame) -> Event | None:
        """What a frame makes of the message that is under way, by the table."""
        before, opcode, payload = self._state, frame.opcode, frame.payload
        state = TRANSITIONS.get((before, opcode, frame.final))
        if state is None:
            _out_of_turn(opcode)
        self._state = state
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        if opcode == CLOSE:
            self._forget()
            return _closing(payload)
        if State.TEXT in (before, state) and (self._tail or not payload.isascii()):
            self._check(payload, frame.final)
        self._gathered += payload
        if not frame.final:
            return None
        whole = bytes(self._gathered)
        self._gathered = bytearray()
        return Text(whole) if before is State.TEXT else Binary(whole)

    def _check(self, payload: bytes, final: bool) -> None:
        """Text is UTF-8 as far as it has come, and at its end no character is left unfinished (RFC 6455 §5.6, §8.1)."""
        data = self._tail + payload
        try:
            read = codecs.utf_8_decode(data, "strict", final)[1]
        except UnicodeDecodeError:
            raise Violation(frames.NOT_UTF8, "text that is not UTF-8") from None
        tail = self._tail = data[read:]
        if len(tail) == 2 and tail[0] == 0xED and tail[1] >= 0xA0:  # half of UTF-16's pairs, for which Python waits (RFC 3629 §3)
            raise Violation(frames.NOT_UTF8, "text that is not UTF-8")

    def _forget(self) -> None:
        """Let go of what no message will come of."""
        self._frames = FrameReader(0)
        self._gathered = bytearray()


def _out_of_turn(opcode: int) -> NoReturn:
    if opcode == CONTINUATION:
        raise Violation(frames.PROTOCOL_ERROR, "a continuation of nothing")  # RFC 6455 §5.4
    raise Violation(frames.PROTOCOL_ERROR, "a message that begins within another")  # RFC 6455 §5.4


def _closing(payload: bytes) -> Close:
    """What a Close says (RFC 6455 §5.5.1)."""
    if not payload:
        return Close(frames.NO_CODE, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not frames.closes(code):
        raise Violation(frames.PROTOCOL_ERROR, "a Close whose code is none")  # RFC 6455 §7.4
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise Violation(frames.NOT_UTF8, "a Close whose reason is not UTF-8") from None  # RFC 6455 §5.5.1, §8.1
