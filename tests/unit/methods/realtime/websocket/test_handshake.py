"""The opening handshake as RFC 6455 §4.2 has it: what is an upgrade, and what is wrong with what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.methods.realtime.websocket.conftest import KEY

from fiveways.methods.realtime.websocket.handshake import HEAD_LIMIT, Refused, Upgrade, asks, read

FIELDS = {
    b"Host": b"server.example.com",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Origin": b"http://example.com",
    b"Sec-WebSocket-Protocol": b"chat, superchat",
    b"Sec-WebSocket-Version": b"13",
}
"""RFC 6455 §1.2."""
LINE = b"GET /chat HTTP/1.1"


def head(line: bytes = LINE, /, *more: tuple[bytes, bytes], **changes: bytes | None) -> bytes:
    """The head of the RFC's request, with fields changed or, where None, left out; their names with underscores."""
    changed = {name.replace("_", "-").lower().encode(): value for name, value in changes.items()}
    fields = [(name, changed.pop(name.lower(), value)) for name, value in FIELDS.items()] + list(more)
    assert not changed
    return line + b"\r\n" + b"".join(b"%b: %b\r\n" % (name, value) for name, value in fields if value is not None) + b"\r\n"


def upgrade(data: bytes) -> Upgrade:
    """The upgrade that it is."""
    result = read(data)
    assert isinstance(result, Upgrade), result
    assert asks(data)
    return result


def refused(data: bytes) -> Refused:
    """The refusal that it comes to."""
    result = read(data)
    assert isinstance(result, Refused), result
    answer = result.answer()
    assert answer.startswith(b"HTTP/1.1 %d " % result.status)
    assert b"\r\nconnection: close\r\n" in answer
    assert b"content-length: %d\r\n" % len(result.body) in answer
    assert answer.endswith(b"\r\n\r\n" + result.body)
    return result


def test_the_example_of_the_rfc() -> None:
    """RFC 6455 §1.2, §1.3."""
    found = upgrade(head())
    assert (found.path, found.query, found.host, found.origin) == ("/chat", "", "server.example.com", "http://example.com")
    assert found.key == KEY
    assert found.subprotocols == ("chat", "superchat")
    assert found.headers[0] == (b"host", b"server.example.com")
    assert found.accepted("chat") == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
    assert b"Protocol:" not in found.accepted()
    with pytest.raises(ValueError, match="not offered"):
        found.accepted("other")


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": b"WebSocket"},
        {"upgrade": b"h2c, websocket"},
        {"connection": b"keep-alive, upgrade"},
        {"connection": b"UPGRADE"},
        {"origin": None},
        {"sec_websocket_protocol": None},
        {"host": b"[::1]:8080"},
    ],
    ids=repr,
)
def test_what_is_an_upgrade_too(changes: dict[str, bytes | None]) -> None:
    assert upgrade(head(**changes)).accepted().startswith(b"HTTP/1.1 101 ")


def test_what_a_client_may_say_in_more_than_one_field() -> None:
    """RFC 6455 §11.3.2, §11.3.4."""
    extensions = (b"Sec-WebSocket-Extensions", b"permessage-deflate"), (b"Sec-WebSocket-Extensions", b"x-other; a=1")
    found = upgrade(head(LINE, (b"Sec-WebSocket-Protocol", b" ,third"), *extensions))
    assert found.subprotocols == ("chat", "superchat", "third")
    assert b"xtensions" not in found.accepted(), "none is agreed to (RFC 6455 §9.1)"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/a%20b//c;d?x=1&y=%C3%A9?z", "/a%20b//c;d", "x=1&y=%C3%A9?z"),
        (b"/?", "/", ""),
        (b"http://server.example.com/a?b", "/a", "b"),
        (b"HTTPS://server.example.com", "/", ""),
    ],
)
def test_the_resource_is_as_it_was_asked_for(target: bytes, path: str, query: str) -> None:
    found = upgrade(head(b"GET %b HTTP/1.1" % target))
    assert (found.path, found.query) == (path, query)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"POST /chat HTTP/1.1", 405),
        (b"HEAD /chat HTTP/1.1", 405),
        (b"OPTIONS * HTTP/1.1", 405),
        (b"GET /chat HTTP/1.0", 400),
        (b"GET /chat HTTP/2.0", 400),
        (b"GET /chat#fragment HTTP/1.1", 400),
        (b"GET /chat?a#fragment HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET http://other.example.com/chat HTTP/1.1", 400),
        (b"GET ws://server.example.com/chat HTTP/1.1", 400),
        (b"GET  /chat HTTP/1.1", 400),
        (b"GET /ch at HTTP/1.1", 400),
        (b"GET /chat", 400),
        (b"GET /\xe9 HTTP/1.1", 400),
        (b"NONSENSE /chat HTTP/1.1", 400),
    ],
)
def test_a_request_line_that_opens_nothing(line: bytes, status: int) -> None:
    result = refused(head(line))
    assert result.status == status
    assert ((b"allow", b"GET") in result.headers) == (status == 405)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": None},
        {"host": b""},
        {"host": b"a b"},
        {"host": b"a/b"},
        {"upgrade": None},
        {"upgrade": b"websockets"},
        {"connection": None},
        {"connection": b"keep-alive"},
        {"sec_websocket_key": None},
        {"sec_websocket_key": b""},
        {"sec_websocket_key": KEY[:-1]},
        {"sec_websocket_key": KEY[:-4]},
        {"sec_websocket_key": KEY + b"AAAA"},
        {"sec_websocket_key": KEY.replace(b"G", b"!")},
        {"sec_websocket_key": b"AAAAAAAAAAAAAAAAAAAAAAAA"},
        {"sec_websocket_protocol": b"chat, chat"},
        {"sec_websocket_protocol": b"chat room"},
        {"sec_websocket_protocol": b"caf\xe9"},
    ],
    ids=repr,
)
def test_a_field_that_is_not_as_it_must_be(changes: dict[str, bytes | None]) -> None:
    result = refused(head(**changes))
    assert result.status == 400
    assert len(result.body) > 10


@pytest.mark.parametrize("name", [b"Host", b"Origin", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version"])
def test_a_field_that_may_be_there_once(name: bytes) -> None:
    result = refused(head(LINE, (name.upper(), FIELDS[name])))
    assert (result.status, result.body) == (400, name.lower() + b" may be there once\n")


@pytest.mark.parametrize("version", [None, b"8", b"0", b"14", b"13, 8", b"013", b""])
def test_another_version_is_told_which_is_spoken(version: bytes | None) -> None:
    """RFC 6455 §4.2.2, §4.4; RFC 9110 §15.5.22."""
    result = refused(head(sec_websocket_version=version))
    assert result.status == 426
    assert {(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")} <= set(result.headers)


@pytest.mark.parametrize("field", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")])
def test_what_has_content_is_refused_and_its_content_never_read_as_frames(field: tuple[bytes, bytes]) -> None:
    assert refused(head(LINE, field)).status == 400
    assert upgrade(head(LINE, (b"Content-Length", b"0")))


def test_a_head_has_a_size() -> None:
    most = HEAD_LIMIT - len(head(LINE, (b"x", b"")))
    assert upgrade(head(LINE, (b"x", b"y" * most)))
    assert refused(head(LINE, (b"x", b"y" * (most + 1)))).status == 431
    assert refused(head(LINE, *[(b"x", b"y")] * 122)).status == 431
    assert upgrade(head(LINE, *[(b"x", b"y")] * 121))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"abc",
        LINE + b"\r\n\r\n",
        head()[:-2],
        head() + b"\x81",
        head().replace(b"\r\n", b"\n"),
        head().replace(b"Origin: ", b"Origin:\r\n "),
        head().replace(b"Origin: ", b"Origin : "),
        head().replace(b"Origin: http", b"Origin: \x00"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    assert refused(data).status == 400


def test_blank_lines_before_it_are_passed_over() -> None:
    """RFC 9112 §2.2."""
    assert upgrade(b"\r\n" + head())


def test_whether_an_upgrade_is_asked_for() -> None:
    """Rightly or wrongly: who asks for it is told what is wrong, and everything else is plain HTTP."""
    for asked in (
        head(),
        head(connection=None),
        head(sec_websocket_key=None),
        head(b"POST / HTTP/1.1"),
        head(upgrade=b"WEBSOCKET"),
    ):
        assert asks(asked)
    for other in (head(upgrade=None), head(upgrade=b"h2c"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"garbage", head()[:-2]):
        assert not asks(other)


@given(st.binary(max_size=200), st.sampled_from([0, 4, 18, 60, 200]))
def test_whatever_comes_is_an_upgrade_or_refused(garbage: bytes, at: int) -> None:
    for data in (garbage, head()[:at] + garbage + head()[at:], head()[:at] + garbage + b"\r\n\r\n"):
        result = read(data)
        assert isinstance(result, Refused) or result.accepted()
        asks(data)
