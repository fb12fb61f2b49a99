"""Posting: to real servers, through the guard, signed, and what each answer means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.listening import listening

from fiveways.clock import ManualClock, SystemClock
from fiveways.delivery.guard import Guard
from fiveways.delivery.outbound import Outbound, retry_after
from fiveways.delivery.queue import Delivery, GiveUp, Retry
from fiveways.security.certificates import issue_server, make_authority
from fiveways.signing import verify

pytestmark = pytest.mark.anyio

SECRET = b"a secret of 20 bytes"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Receiver:
    """A server that keeps what it is sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.port = 0
        self.endless = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        while True:
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            fields = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            self.requests.append((line, fields, body))
            if self.answer is None:
                await reader.read()  # until the client has had enough
                return
            writer.write(self.answer)
            while self.endless:
                writer.write(b"x" * 65536)
                await writer.drain()
            await writer.drain()


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with listening(receiver.serve, host, port) as receiver.port:
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def to(target: str, body: bytes = b"{}") -> Delivery:
    """A delivery."""

    async def content() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    return Delivery("id-1", "q", "k", target, "application/json", len(body), "corr", NOW, 1, content)


def loopback(host: str, port: int) -> Any:
    """A resolver to which every name is this machine."""

    async def resolve() -> Sequence[str]:
        return ["127.0.0.1"]

    return resolve()


def outbound(networks: Sequence[str] = ("127.0.0.0/8",), resolver: Any = loopback, **more: Any) -> Outbound:
    guard = Guard(["hooks.example", "127.0.0.1"], networks, plain=True, resolver=resolver)
    more.setdefault("secrets", lambda delivery: [SECRET])
    return Outbound(guard, ManualClock(NOW), **more)


async def test_a_delivery_is_posted_signed_with_its_id_and_correlation(receiver: Receiver) -> None:
    post = outbound()
    for _ in range(3):
        await post(to(f"http://hooks.example:{receiver.port}/in?x=1", b'{"a": 1}'))
    line, fields, body = receiver.requests[0]
    assert line == "POST /in?x=1 HTTP/1.1"
    assert body == b'{"a": 1}'
    assert fields["host"] == f"hooks.example:{receiver.port}"
    assert fields["idempotency-key"] == "id-1"
    assert fields["x-correlation-id"] == "corr"
    assert fields["content-type"] == "application/json"
    assert fields["user-agent"].startswith("fiveways/")
    verify([SECRET], fields["fiveways-signature"], body, NOW.timestamp())
    assert receiver.connections == 1  # kept for the next
    await post.close()


async def test_a_large_body_is_streamed_and_signed(receiver: Receiver) -> None:
    large = bytes(range(256)) * 4000
    await outbound()(to(f"http://hooks.example:{receiver.port}/", large))
    ((_, fields, body),) = receiver.requests
    assert body == large
    assert "transfer-encoding" not in fields
    verify([SECRET], fields["fiveways-signature"], body, NOW.timestamp())


async def test_without_secrets_nothing_is_signed(receiver: Receiver) -> None:
    await outbound(secrets=lambda delivery: [])(to(f"http://hooks.example:{receiver.port}/"))
    assert "fiveways-signature" not in receiver.requests[0][1]


async def test_a_name_that_leads_to_this_machine_is_refused_unless_allowed(receiver: Receiver) -> None:
    for url in (f"http://hooks.example:{receiver.port}/", f"http://127.0.0.1:{receiver.port}/", f"http://127.1:{receiver.port}/"):
        with pytest.raises(GiveUp, match="outbound guard"):
            await outbound(networks=())(to(url))
    assert receiver.connections == 0


async def test_the_connection_is_made_to_the_address_that_was_judged_whatever_the_name_means_then() -> None:
    """DNS rebinding: the name leads to an allowed address when it is judged, and elsewhere each time it is asked for again."""
    asked = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.2"] if asked == 1 else ["127.0.0.1"]

    async with receiving("127.0.0.2") as allowed, receiving("127.0.0.1", allowed.port) as inside:
        post = outbound(networks=["127.0.0.2/32"], resolver=rebinding)
        await post(to(f"http://hooks.example:{allowed.port}/"))
        assert asked == 1
        with pytest.raises(GiveUp, match="loopback"):  # and what was kept of the first connection makes no difference
            await post(to(f"http://hooks.example:{allowed.port}/"))
    assert len(allowed.requests) == 1
    assert inside.connections == 0


async def test_the_next_address_of_a_name_is_tried_where_one_cannot_be_connected_to(receiver: Receiver) -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.3", "127.0.0.1"]

    await outbound(resolver=two)(to(f"http://hooks.example:{receiver.port}/"))
    assert len(receiver.requests) == 1


async def test_the_next_address_is_not_asked_where_one_has_read_it_and_said_nothing() -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "127.0.0.3"]

    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))

    async with listening(serve) as port, receiving("127.0.0.3", port) as other:
        with pytest.raises(Retry, match="broke off"):
            await outbound(resolver=two)(to(f"http://hooks.example:{port}/"))
    assert (len(read), other.connections) == (1, 0)


async def test_a_retry_after_that_is_not_in_ascii_says_nothing(receiver: Receiver) -> None:
    receiver.answer = "HTTP/1.1 503 X\r\nRetry-After: 5é\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    with pytest.raises(Retry, match="answered 503") as refused:
        await outbound()(to(f"http://hooks.example:{receiver.port}/"))
    assert refused.value.after is None


async def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await outbound()(to(f"http://hooks.example:{receiver.port}/"))
    assert (len(receiver.requests), proxy.connections) == (1, 0)


def head(status: int, *fields: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} X", *fields, "content-length: 0", "", "")).encode()


@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_2xx_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.answer = head(status)
    await outbound()(to(f"http://hooks.example:{receiver.port}/"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answer = head(status, "retry-after: 7")
    with pytest.raises(Retry, match=str(status)) as retry:
        await outbound()(to(f"http://hooks.example:{receiver.port}/"))
    assert retry.value.after == timedelta(seconds=7)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422])
async def test_what_will_not_pass_is_given_up(receiver: Receiver, status: int) -> None:
    receiver.answer = head(status)
    with pytest.raises(GiveUp, match=str(status)):
        await outbound()(to(f"http://hooks.example:{receiver.port}/"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_says_so(receiver: Receiver, status: int) -> None:
    receiver.answer = head(status, f"location: http://127.0.0.1:{receiver.port}/elsewhere")
    with pytest.raises(GiveUp, match="redirects are not followed"):
        await outbound()(to(f"http://hooks.example:{receiver.port}/"))
    assert len(receiver.requests) == 1


async def test_an_answer_without_end_is_read_to_a_bound(receiver: Receiver) -> None:
    receiver.answer, receiver.endless = b"HTTP/1.1 200 OK\r\n\r\n", True
    async with asyncio.timeout(5):
        await outbound(patience=timedelta(seconds=30))(to(f"http://hooks.example:{receiver.port}/"))


async def test_an_answer_that_does_not_come_is_waited_for_to_a_bound(receiver: Receiver) -> None:
    receiver.answer = None
    async with asyncio.timeout(5):
        with pytest.raises(Retry, match="did not answer in time"):
            await outbound(patience=timedelta(milliseconds=200))(to(f"http://hooks.example:{receiver.port}/"))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_what_is_no_answer_is_tried_again(receiver: Receiver, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with listening(serve) as port:
        with pytest.raises(Retry):
            await outbound()(to(f"http://hooks.example:{port}/"))
    with pytest.raises(Retry, match="could not be connected to"):
        await outbound()(to(f"http://hooks.example:{port}/"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("120", 120), ("0", 0), ("-1", None), ("1.5", None), ("soon", None), ("9999999999", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60), ("Wed, 31 Dec 2025 00:00:00 GMT", 0), ("Thu, 01 Jan 2026 00:01:00 -0000", 60),
        ("²", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_its_forms(value: str | None, seconds: int | None) -> None:
    assert retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=40))
def test_retry_after_may_be_nonsense(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or found >= timedelta(0)


async def test_a_receivers_certificate_is_checked_for_its_name_though_the_connection_is_to_an_address(tmp_path: Path) -> None:
    authority = make_authority("test", SystemClock())
    for name, good in (("hooks.example", True), ("other.example", False)):
        pair = issue_server(authority, SystemClock(), names=[name])
        files = pair.write(tmp_path, name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        asked: list[str | None] = []
        context.sni_callback = lambda _, asked_for, __, asked=asked: asked.append(asked_for)
        receiver = Receiver()
        async with listening(receiver.serve, tls=context) as port:
            url = f"https://hooks.example:{port}/"
            if good:
                await outbound(authority=authority.certificate)(to(url))
                with pytest.raises(Retry, match="could not be connected to"):
                    await outbound()(to(url))  # an authority that nobody trusts
            else:
                with pytest.raises(Retry, match="could not be connected to"):
                    await outbound(authority=authority.certificate)(to(url))
        assert set(asked) == {"hooks.example"}
        assert len(receiver.requests) == int(good)
