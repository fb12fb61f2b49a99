"""Simple pass-through (S40-S42): one request in, one call out, and not a byte of it different."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.conftest import Backend, Seen, Served, echo, read_body, response

MEBI = 2**20


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


def test_a_request_arrives_as_it_was_sent_and_once(platform: Served, behind: Backend) -> None:
    path = behind.at(response(200, b"there", ("X-Answer", "yes")))
    answer = platform.raw(
        f"GET /open{path}/a%20b;c=d/%C3%A9?x=1&x=2&y=%2F+%20 HTTP/1.1\r\nHost: gate.example\r\nX-Odd: two  spaces\r\n"
        "Accept: a/b\r\nx-list: 1\r\nX-List: 2\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nthere")
    [seen] = behind.requests(path)
    assert seen.target == f"/base{path}/a%20b;c=d/%C3%A9?x=1&x=2&y=%2F+%20".encode()
    assert seen.all(b"x-odd") == [b"two  spaces"]
    assert seen.all(b"x-list") == [b"1", b"2"]
    assert seen.all(b"accept") == [b"a/b"]
    assert seen.all(b"host") == [f"127.0.0.1:{behind.port}".encode()]
    assert seen.all(b"x-forwarded-host") == [b"gate.example"]
    assert seen.all(b"user-agent") == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=5000), max_size=6), declared=st.booleans())
def test_any_body_in_any_chunks_comes_back_as_it_was(
    platform: Served, behind: Backend, pieces: list[bytes], declared: bool
) -> None:
    path, body = behind.at(echo), b"".join(pieces)
    framing = b"Content-Length: %d\r\n" % len(body) if declared else b"Transfer-Encoding: chunked\r\n"
    head = b"POST /open%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n" % (path.encode(), framing)
    answer = platform.raw(head + (body if declared else chunked(*pieces)))
    assert answer.partition(b"\r\n\r\n")[2] == body
    assert behind.requests(path)[0].body == body
    assert len(behind.requests(path)) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(min_size=1, max_size=3000), max_size=6))
def test_an_answer_in_any_chunks_arrives_as_it_was(platform: Served, behind: Backend, pieces: list[bytes]) -> None:
    path = behind.at(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n" + chunked(*pieces))
    answer = platform.call("GET", f"/open{path}")
    assert answer.status_code == 200
    assert answer.content == b"".join(pieces)


def test_content_codings_are_left_alone(platform: Served, behind: Backend) -> None:
    packed = gzip.compress(b"a" * 5000)
    path = behind.at(response(200, packed, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"), ("ETag", 'W/"1"')))
    with platform.client() as client, client.stream("GET", f"/open{path}", headers={"Accept-Encoding": "gzip;q=0.5"}) as answer:
        assert b"".join(answer.iter_raw()) == packed
    assert answer.headers["content-encoding"] == "gzip"
    assert behind.requests(path)[0].all(b"accept-encoding") == [b"gzip;q=0.5"]


def test_hop_by_hop_fields_end_at_the_gateway_in_both_directions(platform: Served, behind: Backend) -> None:
    """RFC 9110 §7.6.1: what Connection names, and what is always of one hop."""
    private = [("Connection", "X-Private, keep-alive"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"), ("Upgrade", "h2c")]
    path = behind.at(response(200, b"", *private, ("X-Public", "2"), ("Proxy-Authenticate", "Basic")))
    answer = platform.raw(
        f"GET /open{path} HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nX-Yours: 2\r\nKeep-Alive: timeout=9\r\n"
        "TE: trailers\r\nProxy-Authorization: Basic eA==\r\nUpgrade: h2c\r\nProxy-Connection: keep-alive\r\n\r\n".encode()
    ).lower()
    assert b"\r\nx-public: 2\r\n" in answer
    assert all(b"\r\n" + name not in answer for name in (b"x-private", b"keep-alive", b"proxy-authenticate", b"upgrade"))
    [seen] = behind.requests(path)
    assert seen.all(b"x-yours") == [b"2"]
    for name in (b"x-mine", b"keep-alive", b"te", b"proxy-authorization", b"upgrade", b"proxy-connection"):
        assert seen.all(name) == [], name


def test_connection_cannot_name_away_what_the_gateway_adds(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    sent = {"Connection": "close, NHSD-Request-ID, X-Forwarded-For, Content-Length, Host, Authorization, NHSD-ASID"}
    platform.call("POST", f"/fhir/R4{path}", headers={**platform.bearer(), **sent}, content=b"12345")
    [seen] = behind.requests(path)
    assert seen.body == b"12345"
    assert len(seen.all(b"nhsd-request-id")) == len(seen.all(b"x-forwarded-for")) == 1
    assert seen.all(b"nhsd-asid") == [b"200000001115"]


def test_set_cookie_keeps_its_order_and_its_copies(platform: Served, behind: Backend) -> None:
    cookies = [("Set-Cookie", f"c{n}={'a, b' * n}; Expires=Wed, 21 Oct 2026 07:28:00 GMT") for n in (3, 1, 2)]
    path = behind.at(response(200, b"", *cookies, ("Warning", "1"), ("Warning", "2")))
    answer = platform.call("GET", f"/open{path}")
    assert answer.headers.get_list("set-cookie") == [value for _, value in cookies]
    assert answer.headers.get_list("warning") == ["1", "2"]


@pytest.mark.parametrize(
    "status", [200, 201, 202, 206, 301, 302, 303, 307, 308, 400, 401, 404, 409, 410, 418, 429, 451, 500, 501, 599]
)
def test_a_status_passes_with_its_body_and_fields(platform: Served, behind: Backend, status: int) -> None:
    """S40: nothing is mediated; a redirect is the consumer's to follow, an error the provider's own words."""
    path = behind.at(
        response(status, b"<own words>", ("Location", "http://elsewhere.example/x"), ("WWW-Authenticate", "Own realm=1"))
    )
    answer = platform.call("GET", f"/brittle{path}")
    assert (answer.status_code, answer.content) == (status, b"<own words>")
    assert answer.headers["location"] == "http://elsewhere.example/x"
    assert answer.headers["www-authenticate"] == "Own realm=1"
    assert len(behind.requests(path)) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_provider_s_own_gateway_statuses_pass_too(platform: Served, behind: Backend, status: int) -> None:
    path = behind.at(response(status, b"mine", ("Retry-After", "7")))
    answer = platform.call("POST", f"/brittle{path}", content=b"x")
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (status, b"mine", "7")
    assert len(behind.requests(path)) == 1


def test_head_204_and_304_have_no_body_and_keep_the_connection(platform: Served, behind: Backend) -> None:
    head = behind.at(b"HTTP/1.1 200 OK\r\nContent-Length: 4711\r\nX-A: 1\r\n\r\n")
    empty = behind.at(b"HTTP/1.1 204 No Content\r\nX-A: 2\r\n\r\n")
    fresh = behind.at(b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n')
    with platform.client() as client:
        first = client.head(f"/open{head}")
        second = client.delete(f"/open{empty}")
        third = client.get(f"/open{fresh}", headers={"If-None-Match": '"e"'})
        fourth = client.get("/open/still")
    assert (first.status_code, first.headers["content-length"], first.content) == (200, "4711", b"")
    assert (second.status_code, second.content, "content-length" in second.headers) == (204, b"", False)
    assert (third.status_code, third.headers["etag"], third.content) == (304, '"e"', b"")
    assert fourth.status_code == 200
    assert behind.requests(fresh)[0].all(b"if-none-match") == [b'"e"']


def test_a_refusal_of_head_has_no_body(platform: Served) -> None:
    answer = platform.raw(b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\n")


def test_the_longest_base_path_wins_and_ends_at_a_segment(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    for asked in ("/open/deeper", "/open/deep", "/open/deeperx", "/open"):
        assert platform.call("GET", asked + path).status_code == 200
    assert [seen.target.decode().removesuffix(path) for seen in behind.requests(path)] == [
        "/deep", "/base/deep", "/base/deeperx", "/base",
    ]  # fmt: skip
    assert platform.call("GET", "/openx" + path).status_code == 404
    assert platform.call("GET", "/OPEN" + path).status_code == 404


def test_a_request_without_a_body_announces_none(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    for method in ("GET", "DELETE", "POST"):
        platform.raw(f"{method} /open{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    get, delete, post = behind.requests(path)
    assert get.all(b"content-length") == delete.all(b"content-length") == []
    assert get.all(b"transfer-encoding") == delete.all(b"transfer-encoding") == post.all(b"transfer-encoding") == []
    assert post.all(b"content-length") == [b"0"]


def test_a_body_may_come_with_any_method(platform: Served, behind: Backend) -> None:
    path = behind.at(echo)
    for method in ("GET", "DELETE", "PATCH", "OPTIONS", "PURGE"):
        answer = platform.call(method, f"/open{path}", content=b"abc")
        assert (answer.status_code, answer.content) == (200, b"abc")


def test_the_first_byte_of_an_answer_does_not_wait_for_the_last(platform: Served, behind: Backend) -> None:
    release = threading.Event()

    async def drip(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await writer.drain()
        while not release.is_set():
            await asyncio.sleep(0.01)
        writer.write(b"b")

    with platform.client() as client, client.stream("GET", f"/open{behind.at(drip)}") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"a"
        release.set()
        assert next(pieces) == b"b"


def test_a_request_reaches_the_back_end_while_it_is_still_being_sent(platform: Served, behind: Backend) -> None:
    path = behind.at(echo)
    with platform.connect() as connection:
        connection.sendall(f"POST /open{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab".encode())
        behind.wait(lambda: behind.requests(path))
        connection.sendall(b"cd")
        assert b"\r\n\r\nabcd" in _all(connection)


def test_an_answer_may_begin_before_the_request_has_ended(platform: Served, behind: Backend) -> None:
    """A back end may answer as it reads; neither body loses a byte to the other."""

    async def early(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"early")[:-5])
        await writer.drain()
        await read_body(seen, reader)
        writer.write(chunked(seen.body))

    path = behind.at(early)
    pieces = [b"%06d" % number for number in range(200)]
    with platform.connect() as connection:
        head = f"POST /open{path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        got = connection.recv(65536)
        for piece in pieces:
            connection.sendall(b"6\r\n%b\r\n" % piece)
            time.sleep(0.002)
        connection.sendall(b"0\r\n\r\n")
        got += _all(connection)
    assert behind.requests(path)[0].body == b"".join(pieces)
    assert b"".join(pieces) in got.replace(b"\r\n", b"")


def _all(connection: socket.socket) -> bytes:
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


def _through(platform: Served, behind: Backend, size: int) -> int:
    """Send `size` bytes up and down again at once; by how much the process grew at most."""

    async def counting(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = int(seen.all(b"content-length")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left:
            piece = await reader.read(min(left, MEBI))
            left -= len(piece)
            writer.write(piece)
            await writer.drain()

    path, piece = behind.at(counting), bytes(range(256)) * 1024
    before, most, back = platform.memory(), 0, 0
    with platform.connect() as connection:
        connection.sendall(f"POST /open{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode())

        def send() -> None:
            with suppress(OSError):
                for _ in range(size // len(piece)):
                    connection.sendall(piece)

        sender = threading.Thread(target=send)
        sender.start()
        got, last = connection.recv(MEBI), time.monotonic()
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        back = len(rest)
        while received := connection.recv(MEBI):
            back += len(received)
            if time.monotonic() - last > 0.02:
                most, last = max(most, platform.memory()), time.monotonic()
        sender.join()
    assert back == size
    return most - before


def test_memory_stays_flat_while_64_mebibytes_pass_each_way(platform: Served, behind: Backend) -> None:
    assert _through(platform, behind, 64 * MEBI) < 40 * MEBI


@pytest.mark.long
def test_memory_stays_flat_while_two_gibibytes_pass_each_way(platform: Served, behind: Backend) -> None:
    assert _through(platform, behind, 2048 * MEBI) < 60 * MEBI


def test_a_slow_reader_of_an_answer_holds_the_back_end_back(platform: Served, behind: Backend) -> None:
    """Back-pressure: what the consumer does not take is not fetched."""
    taken = 0

    async def pour(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MEBI))
        for _ in range(256):
            writer.write(bytes(MEBI))
            await writer.drain()
            taken += 1

    with platform.client() as client, client.stream("GET", f"/open{behind.at(pour)}") as answer:
        next(answer.iter_raw(1000))
        time.sleep(0.7)
        assert taken < 64
        answer.close()
    behind.wait(lambda: taken < 256)


def test_requests_share_connections_to_the_back_end(platform: Served, behind: Backend) -> None:
    before = behind.connections
    with platform.client() as client:
        for _ in range(20):
            assert client.get("/open/again").status_code == 200
    assert behind.connections - before <= 2


def test_an_http_2_client_reaches_an_http_1_back_end(platform: Served, behind: Backend) -> None:
    path = behind.at(echo)
    with httpx.Client(base_url=platform.url, http1=False, http2=True, trust_env=False) as client:
        answer = client.post(f"/open{path}?q=1", content=b"body", headers={"X-Request-ID": "one"})
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, b"body")
    assert answer.headers["x-request-id"] == "one"
    assert behind.requests(path)[0].all(b"via") == [b"2 fiveways"]
