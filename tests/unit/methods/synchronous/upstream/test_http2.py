"""HTTP/2 targets: the same seam, over real sockets, against a server made of the h2 library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from fiveways.errors import MalformedRequest, PayloadTooLarge
from fiveways.methods.synchronous.upstream import (
    UpstreamAnswer,
    UpstreamBusy,
    UpstreamFault,
    UpstreamFaulty,
    UpstreamRequest,
    UpstreamTimeout,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Backend, Network

pytestmark = pytest.mark.anyio

Fields = list[tuple[bytes, bytes]]


class Stream:
    """A request as the server saw it."""

    def __init__(self, number: int, fields: Fields) -> None:
        self.number = number
        self.fields = dict(fields)
        self.names = [name for name, _ in fields]
        self.body = bytearray()
        self.ended = False
        self.reset = asyncio.Event()


class Server:
    """Speaks HTTP/2; `answer` is called with each complete request and does what it likes with the connection."""

    def __init__(self, answer: Callable[[Server, h2.connection.H2Connection, Stream], None], *, at_once: bool = False) -> None:
        self._answer = answer
        self._at_once = at_once
        self.streams: list[Stream] = []
        self.goaways = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Header validation is off so that a test can send what is not allowed.
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        mine: dict[int, Stream] = {}
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            if connection.state_machine.state is h2.connection.ConnectionState.CLOSED:
                continue  # h2 takes what comes after its own GOAWAY for an error
            for event in connection.receive_data(data):
                self._take(connection, event, mine)
            writer.write(connection.data_to_send())
            await writer.drain()

    def _take(self, connection: h2.connection.H2Connection, event: h2.events.Event, mine: dict[int, Stream]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            assert event.headers is not None
            stream = Stream(event.stream_id, [(bytes(name), bytes(value)) for name, value in event.headers])
            mine[event.stream_id] = stream
            self.streams.append(stream)
            if self._at_once:
                self._answer(self, connection, stream)
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            assert event.data is not None
            mine[event.stream_id].body += event.data
            connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            mine[event.stream_id].ended = True
            if not self._at_once:
                self._answer(self, connection, mine[event.stream_id])
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            mine[event.stream_id].reset.set()


def saying(status: bytes, fields: Fields, body: bytes | None, *, end: bool = True) -> Callable[..., None]:
    def answer(_server: Server, connection: h2.connection.H2Connection, stream: Stream) -> None:
        connection.send_headers(stream.number, [(b":status", status), *fields], end_stream=body is None and end)
        if body is not None:
            connection.send_data(stream.number, body, end_stream=end)

    return answer


def nothing(*_: Any) -> None:
    """Never answer."""


async def serve(network: Network, answer: Callable[..., None], *, at_once: bool = False) -> tuple[Server, Backend]:
    server = Server(answer, at_once=at_once)
    return server, await network.serve(server.handle)


async def whole(answer: UpstreamAnswer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b"".join([piece async for piece in answer.body])


async def pieces(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part
        await asyncio.sleep(0)


def get(target: bytes = b"/", method: bytes = b"GET") -> UpstreamRequest:
    return UpstreamRequest(method, target, [])


async def test_a_request_goes_as_it_is_and_its_answer_comes_as_it_is(network: Network) -> None:
    fields = [(b"content-type", b"a/b"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-encoding", b"gzip")]
    server, backend = await serve(network, saying(b"200", fields, b"not really gzip"))
    upstream = network.upstream(backend, http="2")
    target = b"/a//b/c;d=1/e%2Ff%20?x=%41&y=a+b|c"
    for _ in range(3):
        answer = await upstream.send(
            UpstreamRequest(b"GET", target, [(b"accept", b"x/y"), (b"user-agent", b"me"), (b"x-two", b"1"), (b"x-two", b"2")])
        )
        assert answer.status == 200
        assert sorted(answer.headers) == sorted(fields)
        assert await whole(answer) == b"not really gzip"
    stream = server.streams[0]
    assert (stream.fields[b":path"], stream.fields[b":method"], stream.fields[b":scheme"]) == (target, b"GET", b"http")
    assert stream.fields[b":authority"] == b"127.0.0.1:%d" % backend.port
    assert sorted(stream.names) == [
        b":authority", b":method", b":path", b":scheme", b"accept", b"user-agent", b"x-two", b"x-two",
    ]  # fmt: skip
    assert backend.connections == 1


async def test_what_the_library_adds_is_known(network: Network) -> None:
    server, backend = await serve(network, saying(b"204", [], None))
    await network.upstream(backend, http="2").send(get())
    assert server.streams[0].fields[b"user-agent"] == b"fiveways"
    assert set(server.streams[0].names) == {b":authority", b":method", b":path", b":scheme", b"user-agent", b"accept"}
    assert server.streams[0].fields[b"accept"] == b"*/*"


@pytest.mark.parametrize(
    "target", [b"/../x", b"/a/../x", b"/a/./x", b"/a\\b", b"/caf\xe9", b'/a?x="', b"/a#b", b"/a?x=<y>", b"/%2e%2e/x"]
)
async def test_a_target_that_would_be_rewritten_is_refused(network: Network, target: bytes) -> None:
    server, backend = await serve(network, saying(b"204", [], None))
    upstream = network.upstream(backend, http="2")
    with pytest.raises(MalformedRequest):
        await upstream.send(get(target))
    assert server.streams == []


async def test_a_target_cannot_choose_another_server(network: Network) -> None:
    other, elsewhere = await serve(network, saying(b"204", [], None))
    server, backend = await serve(network, saying(b"204", [], None))
    upstream = network.upstream(backend, http="2")
    assert (await upstream.send(get(b"//127.0.0.1:%d/x" % elsewhere.port))).status == 204
    assert server.streams[0].fields[b":path"] == b"//127.0.0.1:%d/x" % elsewhere.port
    assert other.streams == []


@pytest.mark.parametrize("status", [b"301", b"302", b"307", b"401", b"503"])
async def test_no_status_is_acted_upon(network: Network, status: bytes) -> None:
    server, backend = await serve(network, saying(status, [(b"location", b"/elsewhere"), (b"retry-after", b"0")], None))
    answer = await network.upstream(backend, http="2").send(get())
    assert (answer.status, await whole(answer)) == (int(status), b"")
    assert len(server.streams) == 1


@pytest.mark.parametrize(("status", "method"), [(b"204", b"GET"), (b"304", b"GET"), (b"200", b"HEAD")])
async def test_no_body_is_bytes(network: Network, status: bytes, method: bytes) -> None:
    _, backend = await serve(network, saying(status, [(b"etag", b'"1"')], None))
    upstream = network.upstream(backend, http="2")
    for _ in range(2):
        assert (await upstream.send(get(method=method))).body == b""
    assert backend.connections == 1


@pytest.mark.parametrize(
    ("method", "parts", "length", "sent"),
    [
        (b"POST", b"whole", None, b"5"),
        (b"PUT", b"whole", None, b"5"),
        (b"POST", (b"in ", b"", b"parts"), 8, b"8"),
        (b"POST", (b"in ", b"parts"), None, None),
        (b"POST", None, None, b"0"),
        (b"PATCH", b"", None, b"0"),
    ],
)
async def test_bodies_arrive(
    network: Network, method: bytes, parts: bytes | tuple[bytes, ...] | None, length: int | None, sent: bytes | None
) -> None:
    server, backend = await serve(network, saying(b"201", [], b"made"))
    body = pieces(*parts) if isinstance(parts, tuple) else parts
    answer = await network.upstream(backend, http="2").send(UpstreamRequest(method, b"/", [], body, length))
    assert (answer.status, await whole(answer)) == (201, b"made")
    expected = b"".join(parts) if isinstance(parts, tuple) else parts or b""
    assert bytes(server.streams[0].body) == expected
    assert server.streams[0].fields.get(b"content-length") == sent


@pytest.mark.parametrize(
    ("parts", "fault"),
    [((b"1234", b"56"), MalformedRequest), ((b"1234",), MalformedRequest), ((b"12", PayloadTooLarge()), PayloadTooLarge)],
)
async def test_a_request_body_that_goes_wrong_is_its_own_fault(
    network: Network, parts: tuple[bytes | Exception, ...], fault: type[Exception]
) -> None:
    server, backend = await serve(network, nothing)
    with pytest.raises(fault):
        await network.upstream(backend, http="2").send(UpstreamRequest(b"POST", b"/", [], pieces(*parts), 5))
    assert not any(stream.ended for stream in server.streams)


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
@pytest.mark.parametrize("body", [None, b"x"])
@pytest.mark.parametrize("way", ["refused", "goaway"])
async def test_what_is_not_idempotent_is_never_sent_twice(network: Network, method: bytes, body: bytes | None, way: str) -> None:
    def refuse(_server: Server, connection: h2.connection.H2Connection, stream: Stream) -> None:
        if way == "refused":
            connection.reset_stream(stream.number, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            connection.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=0)

    server, backend = await serve(network, refuse)
    with pytest.raises(UpstreamFaulty) as caught:
        await network.upstream(backend, http="2").send(UpstreamRequest(method, b"/", [], body))
    assert caught.value.reached
    assert len(server.streams) == 1


async def test_a_broken_stream_is_not_asked_for_again(network: Network) -> None:
    def reset(_server: Server, connection: h2.connection.H2Connection, stream: Stream) -> None:
        connection.reset_stream(stream.number, h2.errors.ErrorCodes.INTERNAL_ERROR)

    server, backend = await serve(network, reset)
    with pytest.raises(UpstreamFaulty):
        await network.upstream(backend, http="2").send(get())
    assert len(server.streams) == 1


async def test_a_body_that_breaks_off_is_faulted(network: Network) -> None:
    def half(_server: Server, connection: h2.connection.H2Connection, stream: Stream) -> None:
        connection.send_headers(stream.number, [(b":status", b"200")])
        connection.send_data(stream.number, b"half")
        asyncio.get_running_loop().call_later(
            0.05, lambda: connection.reset_stream(stream.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        )

    _, backend = await serve(network, half)
    answer = await network.upstream(backend, http="2", timeout={"progress": "200ms"}).send(get())
    with pytest.raises(UpstreamFault) as caught:
        await whole(answer)
    assert caught.value.phase == "body"


async def test_an_answer_with_bytes_outside_ascii_is_refused(network: Network) -> None:
    _, backend = await serve(network, saying(b"200", [(b"x-name", b"caf\xe9")], None))
    with pytest.raises(UpstreamFaulty, match="malformed") as caught:
        await network.upstream(backend, http="2").send(get())
    assert caught.value.reached


async def test_a_header_section_over_the_limit_is_refused(network: Network) -> None:
    _, backend = await serve(network, saying(b"200", [(b"x-%d" % n, b"y" * 100) for n in range(100)], None))
    for limits in ({"header_bytes": "4KiB"}, {"header_count": 50}):
        with pytest.raises(UpstreamFaulty):
            await network.upstream(backend, http="2", limits=limits).send(get())


async def test_what_is_not_http_2_is_the_providers_fault(network: Network) -> None:
    backend = await network.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(UpstreamFault):
        await network.upstream(backend, http="2").send(get())


async def test_nobody_listening_means_not_reached(network: Network) -> None:
    backend = await network.answering(b"")
    await backend.stop()
    with pytest.raises(UpstreamUnreachable) as caught:
        await network.upstream(backend, http="2").send(get())
    assert not caught.value.reached


async def test_an_answer_that_does_not_come(network: Network) -> None:
    _, backend = await serve(network, nothing)
    upstream = network.upstream(backend, http="2", timeout={"first_byte": "150ms", "connect": "50ms"})
    with pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(get())
    assert (caught.value.phase, caught.value.reached) == ("first_byte", True)


async def test_the_total_bounds_everything(network: Network) -> None:
    _, backend = await serve(network, saying(b"200", [], b"x", end=False))
    upstream = network.upstream(backend, http="2", timeout={"total": "200ms"})
    answer = await upstream.send(get())
    with pytest.raises(UpstreamTimeout) as caught:
        await whole(answer)
    assert caught.value.phase == "total"


async def test_a_drip_comes_as_it_is_sent(network: Network) -> None:
    _, backend = await serve(network, saying(b"200", [], b"first", end=False))
    answer = await network.upstream(backend, http="2").send(get())
    assert not isinstance(answer.body, bytes)
    assert await asyncio.wait_for(anext(answer.body), 1) == b"first"
    await answer.body.aclose()


@pytest.mark.parametrize("when", ["waiting", "reading", "closing"])
async def test_stopping_resets_the_stream(network: Network, when: str) -> None:
    """At once where the answer has begun, otherwise when the total time-out has passed."""
    answering = nothing if when == "waiting" else saying(b"200", [], b"x", end=False)
    server, backend = await serve(network, answering)
    upstream = network.upstream(backend, http="2", timeout={"total": "300ms"} if when == "waiting" else {})

    async def exchange() -> None:
        answer = await upstream.send(get())
        if when == "closing":
            assert not isinstance(answer.body, bytes)
            await answer.body.aclose()
        else:
            await whole(answer)

    task = asyncio.create_task(exchange())
    while not server.streams:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    if when != "closing":
        task.cancel()
    await asyncio.wait([task], timeout=1)
    await asyncio.wait_for(server.streams[0].reset.wait(), 3 if when == "waiting" else 1)


async def test_closing_turns_requests_away(network: Network) -> None:
    _, backend = await serve(network, saying(b"204", [], None))
    upstream = network.upstream(backend, http="2")
    await upstream.send(get())
    await upstream.close()
    with pytest.raises(UpstreamBusy):
        await upstream.send(get())


async def test_more_requests_than_declared_wait_and_are_turned_away(network: Network) -> None:
    _, backend = await serve(network, nothing)
    upstream = network.upstream(backend, http="2", connections=1, timeout={"connect": "100ms", "first_byte": "400ms"})
    first = asyncio.create_task(upstream.send(get()))
    await asyncio.sleep(0.05)
    with pytest.raises(UpstreamBusy) as caught:
        await upstream.send(get())
    assert not caught.value.reached
    with pytest.raises(UpstreamTimeout):
        await first
