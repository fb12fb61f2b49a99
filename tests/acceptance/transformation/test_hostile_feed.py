"""Whatever is sent to a feed is answered, or its connection is closed: never a hang, and the feed goes on for everybody else."""

from __future__ import annotations

import random
import socket
import time
from contextlib import suppress
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.transformation.conftest import Sender, Trust, adt

from fiveways.hl7v2.frames import framed
from fiveways.hl7v2.message import Message

SECONDS = 10


def exchanged(port: int, sent: bytes) -> bytes:
    """Send bytes and no more; all that comes until the connection ends."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        with suppress(ConnectionError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                got += piece
    return got


def answers(got: bytes) -> list[Message]:
    """The acknowledgements in what came."""
    return [Message.parse(each.strip(b"\x0b").decode()) for each in got.split(b"\x1c\r") if each.strip(b"\x0b")]


def still_there(trust: Trust) -> None:
    """The feed serves others."""
    id_ = uuid4().hex[:12]
    assert trust.send("promised", adt(id_)).get("MSA-2") == id_


hostile_text = st.binary(min_size=1, max_size=400)
damaged = st.builds(
    lambda at, cut, put: (lambda text: text[: at % len(text)] + put + text[at % len(text) + cut :])(adt("FUZZ")),
    st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=20),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(hostile_text, damaged))
def test_each_framed_message_is_answered(trust: Trust, message: bytes) -> None:
    message = message.replace(b"\x1c", b"").replace(b"\x0b", b"") or b"?"
    got = answers(exchanged(trust.ports["promised"], framed(message)))
    assert len(got) == 1, trust.served.log[-800:]
    assert got[0].get("MSA-1") in ("AA", "AE", "AR", "CA", "CE", "CR") or b"|||" in message


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600))
def test_what_is_no_frame_ends_the_connection(trust: Trust, sent: bytes) -> None:
    exchanged(trust.ports["promised"], sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x0b",
        b"\x1c\r",
        b"\x0b\x1c\r",
        b"MSH|^~\\&|no frame\r",
        framed(adt("T1"))[:-2],
        framed(adt("T2"))[:40],
        framed(adt("T3"))[1:],
        b"\x0b" + framed(adt("T4")),
        framed(adt("T5"))[:100] + framed(adt("T6")),
        b"\x0b" + b"A" * 11 * 2**20,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda sent: repr(bytes(sent[:12])),
)
def test_framing_faults(trust: Trust, sent: bytes) -> None:
    started = time.monotonic()
    exchanged(trust.ports["promised"], sent)
    assert time.monotonic() - started < SECONDS
    still_there(trust)


@pytest.mark.parametrize(
    "message",
    [
        b"MSH" + b"|" * 100_000,
        b"MSH|^~\\&|" + b"~" * 100_000 + b"\rPID|1\r",
        b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4\r" + b"PID|1\r" * 30_000,
        b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4\rPID|1||" + b"^" * 500_000 + b"\r",
        b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4\rPID|1||1||" + b"A^B~" * 100_000 + b"\r",
        b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4\rPID|1||1||\\X" + b"41" * 200_000 + b"\\\r",
        b"MSH||||||||||||||||\rPID|1\r",
        b"MSHAAAAAAAAA\rPID|1\r",
        b"\xff\xfeM\x00S\x00H\x00",
        b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4||||||UNICODE UTF-16\rPID|1||1\r",
        b"MSH|^~\\&|\x00\x00|B|||20260101||ADT^A01|\x00|P|2.4\rPID|1||\x00\r",
        "MSH|^~\\&|A|B|||20260101||ADT^A01|\ud800|P|2.4\rPID|1||1\r".encode("utf-8", "surrogatepass"),
    ],
    ids=lambda message: repr(bytes(message[:40])),
)
def test_hostile_messages_get_one_clear_answer(trust: Trust, message: bytes) -> None:
    started = time.monotonic()
    sender = Sender(trust.ports["promised"], SECONDS)
    assert sender.send(message).get("MSA-1") in ("AA", "AE", "AR")
    sender.close()
    assert time.monotonic() - started < SECONDS
    still_there(trust)


def test_a_message_that_drips_in(trust: Trust) -> None:
    sender = Sender(trust.ports["promised"])
    frame = framed(adt(uuid4().hex[:12]))
    for at in range(0, len(frame), 7):
        sender.connection.sendall(frame[at : at + 7])
        time.sleep(0.001)
    assert sender.answer().get("MSA-1") == "AA"
    sender.close()


def test_many_who_say_nothing_keep_nobody_out(trust: Trust) -> None:
    quiet = [socket.create_connection(("127.0.0.1", trust.ports["promised"])) for _ in range(100)]
    still_there(trust)
    for connection in quiet:
        connection.close()


def test_senders_that_go_in_the_middle(trust: Trust) -> None:
    chance = random.Random(7)
    for _ in range(50):
        frame = framed(adt(uuid4().hex[:12]))
        connection = socket.create_connection(("127.0.0.1", trust.ports["promised"]))
        connection.sendall(frame[: chance.randrange(1, len(frame) + 1)])
        connection.close()
    still_there(trust)
