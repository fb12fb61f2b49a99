"""HTTP/2 consumers (RFC 9113): over TLS by ALPN, and with prior knowledge over plain TCP, where the connection is handed on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpx
import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, after, echo, free_port, response

from fiveways.clock import SystemClock
from fiveways.security.certificates import issue_server, make_authority

DEPLOYMENT = """\
listeners:
  plain: {{http: "127.0.0.1:{plain}"}}
  tls: {{https: "127.0.0.1:{tls}", certificate: file:tls/server.pem, key: file:tls/server.key.pem}}
apis: {{open: {{pattern: pass-through, at: /open, target: {{url: "{url}"}}, security: [open]}}}}
"""

Fields = list[tuple[bytes, bytes]]


@dataclass
class Listeners:
    """A platform that speaks HTTP/2 in both ways."""

    served: Served
    plain: str
    tls: str
    trusted: ssl.SSLContext


@pytest.fixture(scope="module")
def listeners(serve: Serve, behind: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    clock, tls = SystemClock(), tmp_path_factory.mktemp("tls")
    authority = make_authority("Fiveways local authority", clock)
    authority.write(tls, "ca")
    issue_server(authority, clock, names=("localhost", "127.0.0.1")).write(tls, "server")
    ports = {"plain": free_port(), "tls": free_port()}
    with serve(DEPLOYMENT.format(url=behind.url, **ports), http="", started=False) as served:
        (served.folder / "tls").symlink_to(tls)
        served.start()
        served.url = f"http://127.0.0.1:{ports['plain']}"
        trusted = ssl.create_default_context(cafile=Path(tls) / "ca.pem")
        yield Listeners(served, served.url, f"https://127.0.0.1:{ports['tls']}", trusted)


@dataclass
class Stream:
    """An answer as it comes in."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.fields.get(b":status", b"0"))


class Client:
    """A connection of HTTP/2, spoken frame by frame. Nothing a test sends is made right for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        # What is not allowed must be sendable; crumbs of cookies must stay as they were made.
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=True
        )
        self.h2 = h2.connection.H2Connection(config)
        self.streams: dict[int, Stream] = {}
        self.ended = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        try:
            self.socket.sendall(self.h2.data_to_send())
        except (BrokenPipeError, ConnectionResetError):
            self.ended = True  # a server may cut off who breaks the protocol, and its last words be lost (RFC 9113 §5.4.1)

    def ask(self, method: bytes, path: str, *fields: tuple[bytes, bytes], end: bool = True) -> int:
        """Begin a request; the stream's number."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", b"gate.example"), (b":path", path.encode())]
        self.h2.send_headers(number, [*pseudo, *fields], end_stream=end)
        self.flush()
        return number

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(number, data, end_stream=end)
        self.flush()

    def until(self, *numbers: int, seconds: float = 8) -> list[Stream]:
        """Wait for answers to be complete, reset, or cut off."""
        self.socket.settimeout(seconds)
        while not self.ended and not all(self.streams[number].ended for number in numbers):
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            self.ended = not data
            for event in self.h2.receive_data(data):
                self._take(event)
            self.flush()
        return [self.streams[number] for number in numbers]

    def _take(self, event: h2.events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0, Stream())
        if isinstance(event, h2.events.ResponseReceived):
            stream.fields = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data or b""
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.ended, stream.reset = True, int(event.error_code or 0)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.ended = True


@contextmanager
def speaking(listeners: Listeners, how: str = "plain") -> Iterator[Client]:
    """A connection of HTTP/2: with prior knowledge, or after TLS."""
    url = httpx.URL(listeners.plain if how == "plain" else listeners.tls)
    connection = socket.create_connection((url.host, url.port or 0), timeout=10)
    if how == "tls":
        listeners.trusted.set_alpn_protocols(["h2"])
        connection = listeners.trusted.wrap_socket(connection, server_hostname="127.0.0.1")
    with connection:
        yield Client(connection)


both = pytest.mark.parametrize("how", ["plain", "tls"])


def test_alpn_chooses_http_2_and_the_back_end_is_told_how_it_came(listeners: Listeners, behind: Backend) -> None:
    path = behind.at(echo)
    with httpx.Client(base_url=listeners.tls, http2=True, verify=listeners.trusted, trust_env=False) as client:
        answer = client.post(f"/open{path}?q=1", content=b"body")
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, b"body")
    [seen] = behind.requests(path)
    assert seen.all(b"via") == [b"2 fiveways"]
    assert seen.all(b"x-forwarded-proto") == [b"https"]
    assert seen.all(b"x-forwarded-host") == [listeners.tls.removeprefix("https://").encode()]
    assert seen.all(b"x-forwarded-for") == [b"127.0.0.1"]


async def _many(url: str, trusted: ssl.SSLContext, path: str) -> float:
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=url, http1=False, http2=True, verify=trusted, trust_env=False, limits=limits) as client:
        await client.get("/open/warm")
        begun = time.monotonic()
        answers = await asyncio.gather(*(client.post(f"/open{path}?{n}", content=b"%d" % n) for n in range(30)))
    assert [answer.status_code for answer in answers] == [200] * 30
    return time.monotonic() - begun


@both
def test_streams_of_one_connection_do_not_wait_for_each_other(listeners: Listeners, behind: Backend, how: str) -> None:
    path = behind.at(after(0.3))
    took = asyncio.run(_many(getattr(listeners, how), listeners.trusted, path))
    assert took < 3
    assert sorted(int(seen.body) for seen in behind.requests(path)) == list(range(30))
    assert all(seen.target.endswith(b"?" + seen.body) for seen in behind.requests(path))


@both
def test_a_body_needs_no_length_and_none_is_made_up(listeners: Listeners, behind: Backend, how: str) -> None:
    """RFC 9113 §8.1.1: only what arrives tells whether there is a body."""
    path = behind.at(echo)
    with speaking(listeners, how) as client:
        get, delete, post = (
            client.ask(b"GET", f"/open{path}"),
            client.ask(b"DELETE", f"/open{path}"),
            client.ask(b"POST", f"/open{path}"),
        )
        client.until(get, delete, post)
        streamed = client.ask(b"POST", f"/open{path}", end=False)
        for piece in (b"one", b"two", b""):
            client.data(streamed, piece, end=not piece)
        declared = client.ask(b"PUT", f"/open{path}", (b"content-length", b"3"), end=False)
        client.data(declared, b"abc", end=True)
        answers = client.until(get, delete, post, streamed, declared)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"")] * 3 + [(200, b"onetwo"), (200, b"abc")]
    seen = {(seen.method, seen.body): seen for seen in behind.requests(path)}
    for method in (b"GET", b"DELETE"):
        assert seen[method, b""].all(b"content-length") == seen[method, b""].all(b"transfer-encoding") == []
    assert seen[b"POST", b""].all(b"content-length") == [b"0"]
    assert seen[b"POST", b"onetwo"].all(b"transfer-encoding") == [b"chunked"]
    assert seen[b"POST", b"onetwo"].all(b"content-length") == []
    assert seen[b"PUT", b"abc"].all(b"content-length") == [b"3"]


@both
@pytest.mark.parametrize(("declared", "sent"), [(b"3", b"ab"), (b"3", b"abcd"), (b"3", b""), (b"x", b"abc")])
def test_a_length_that_is_not_the_body_s_is_not_passed_on(
    listeners: Listeners, behind: Backend, how: str, declared: bytes, sent: bytes
) -> None:
    """RFC 9113 §8.1.1: malformed; the next hop never waits for bytes that do not come, nor takes surplus for a request."""
    path, other = behind.at(echo), behind.at(response())
    with speaking(listeners, how) as client:
        number = client.ask(b"POST", f"/open{path}", (b"content-length", declared), end=False)
        client.data(number, sent, end=True)
        [answer] = client.until(number)
        assert answer.reset is not None or answer.status in (0, 400)
    assert not any(seen.whole for seen in behind.requests(path))
    assert listeners.served.call("GET", f"/open{other}").status_code == 200


@both
def test_trailers_of_a_request_do_not_become_header_fields(listeners: Listeners, behind: Backend, how: str) -> None:
    """RFC 9110 §6.5.1: they may be left out."""
    path = behind.at(echo)
    with speaking(listeners, how) as client:
        number = client.ask(b"POST", f"/open{path}", (b"trailer", b"x-sum"), end=False)
        client.data(number, b"abc")
        client.h2.send_headers(number, [(b"x-sum", b"1"), (b"authorization", b"Bearer x")], end_stream=True)
        client.flush()
        [answer] = client.until(number)
    assert (answer.status, answer.body) == (200, b"abc")
    [seen] = behind.requests(path)
    assert seen.all(b"x-sum") == seen.all(b"authorization") == []
    assert b"x-sum" not in seen.head


@both
def test_an_answer_without_a_length_ends_with_its_stream(listeners: Listeners, behind: Backend, how: str) -> None:
    path = behind.at(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-P\r\nX-P: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    with speaking(listeners, how) as client:
        [answer] = client.until(client.ask(b"GET", f"/open{path}"))
    assert (answer.status, answer.body, answer.reset) == (200, b"abc", None)
    assert not {b"transfer-encoding", b"connection", b"x-p", b"keep-alive"} & set(answer.fields)


@both
def test_an_answer_that_breaks_off_does_not_look_whole(listeners: Listeners, behind: Backend, how: str) -> None:
    async def half(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()

    with speaking(listeners, how) as client:
        [answer] = client.until(client.ask(b"GET", f"/open{behind.at(half)}"))
    assert not answer.ended or answer.reset is not None


@both
def test_cookie_crumbs_are_one_cookie_again(listeners: Listeners, behind: Backend, how: str) -> None:
    """RFC 9113 §8.2.3: joined with "; " before they go where HTTP/2 is not spoken."""
    path = behind.at(response())
    with speaking(listeners, how) as client:
        crumbs = [(b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"), (b"cookie", b"c=3")]
        client.until(client.ask(b"GET", f"/open{path}", *crumbs), client.ask(b"GET", f"/open{path}", (b"cookie", b"whole=1; b=2")))
    assert sorted(tuple(seen.all(b"cookie")) for seen in behind.requests(path)) == [(b"a=1; b=2; c=3",), (b"whole=1; b=2",)]


def test_cookies_of_http_1_are_left_as_they_are(listeners: Listeners, behind: Backend) -> None:
    path = behind.at(response())
    listeners.served.raw(f"GET /open{path} HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n".encode())
    assert behind.requests(path)[0].all(b"cookie") == [b"a=1", b"b=2"]


def test_the_back_end_is_told_the_client_s_own_address_though_it_was_handed_on(listeners: Listeners, behind: Backend) -> None:
    path = behind.at(response())
    url = httpx.URL(listeners.plain)
    with socket.create_connection((url.host, url.port or 0), timeout=10, source_address=("127.0.0.77", 0)) as connection:
        client = Client(connection)
        client.until(client.ask(b"GET", f"/open{path}", (b"x-forwarded-for", b"6.6.6.6")))
    assert behind.requests(path)[0].all(b"x-forwarded-for") == [b"127.0.0.77"]


@both
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"connection", b"close")], id="Connection"),
        pytest.param([(b"transfer-encoding", b"chunked")], id="Transfer-Encoding"),
        pytest.param([(b"X-Upper", b"1")], id="upper case"),
        pytest.param([(b"x-a", b"b\r\nx-c: d")], id="CRLF in a value"),
        pytest.param([(b"x-a", b"b\0")], id="NUL in a value"),
        pytest.param([(b"x a", b"b")], id="blank in a name"),
        pytest.param([(b":path", b"/elsewhere")], id="two paths"),
    ],
)
def test_what_http_2_forbids_does_not_reach_a_back_end(listeners: Listeners, behind: Backend, how: str, fields: Fields) -> None:
    """RFC 9113 §8.2, §8.3: malformed, and dangerous where it is turned into HTTP/1.1."""
    path = behind.at(response())
    with speaking(listeners, how) as client:
        number = client.ask(b"GET", f"/open{path}", *fields)
        [answer] = client.until(number)
        assert answer.status != 200 or not behind.requests(path)
    assert not behind.requests(path)


@both
@pytest.mark.parametrize("count", [100, 2000])
def test_a_header_section_that_is_too_large_is_refused_and_only_that(
    listeners: Listeners, behind: Backend, how: str, count: int
) -> None:
    path, other = behind.at(response()), behind.at(response())
    with speaking(listeners, how) as client, suppress(OSError):  # it may be cut off while still sending
        number = client.ask(b"GET", f"/open{path}", *((b"x-%d" % n, b"v" * 1000) for n in range(count)))
        [answer] = client.until(number)
        assert answer.status in (0, 431)
        assert client.ended or answer.ended
    assert not behind.requests(path)
    with speaking(listeners, how) as client:
        assert client.until(client.ask(b"GET", f"/open{other}"))[0].status == 200


@both
def test_a_burst_of_requests_taken_back_at_once_does_not_stop_the_rest(listeners: Listeners, behind: Backend, how: str) -> None:
    """Rapid reset (CVE-2023-44487): the connection may be ended, others go on and nothing is left over."""
    path, other = behind.at(after(5)), behind.at(response())
    before = listeners.served.memory()
    with speaking(listeners, how) as client:
        with suppress(OSError, h2.exceptions.ProtocolError):
            for _ in range(400):
                number = client.ask(b"GET", f"/open{path}")
                client.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
                client.flush()
            client.until(client.ask(b"GET", f"/open{other}"), seconds=5)
    with speaking(listeners, how) as client:
        [answer] = client.until(client.ask(b"GET", f"/open{other}"))
    assert answer.status == 200
    behind.wait(lambda: all(seen.gone for seen in behind.requests(path)))
    assert listeners.served.memory() - before < 50 * 2**20


@both
def test_a_stream_taken_back_breaks_off_the_work_done_for_it(listeners: Listeners, behind: Backend, how: str) -> None:
    path, other = behind.at(after(8)), behind.at(response())
    with speaking(listeners, how) as client:
        number = client.ask(b"GET", f"/open{path}")
        behind.wait(lambda: behind.requests(path))
        client.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        client.flush()
        behind.wait(lambda: behind.requests(path)[0].gone)
        assert client.until(client.ask(b"GET", f"/open{other}"))[0].status == 200


def test_a_large_body_passes_a_handed_on_connection_each_way(listeners: Listeners, behind: Backend) -> None:
    body = bytes(range(256)) * 4096 * 8
    with httpx.Client(base_url=listeners.plain, http1=False, http2=True, trust_env=False, timeout=20) as client:
        answer = client.post(f"/open{behind.at(echo)}", content=body)
    assert answer.content == body


def test_the_preface_may_come_in_any_pieces(listeners: Listeners, behind: Backend) -> None:
    path = behind.at(response())
    url = httpx.URL(listeners.plain)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        class Slow(Client):
            def flush(self) -> None:
                data = self.h2.data_to_send()
                for at in range(min(30, len(data))):
                    self.socket.sendall(data[at : at + 1])
                    time.sleep(0.002)
                self.socket.sendall(data[30:])

        client = Slow(connection)
        assert client.until(client.ask(b"GET", f"/open{path}"))[0].status == 200
