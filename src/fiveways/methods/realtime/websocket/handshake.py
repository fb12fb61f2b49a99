"""The opening handshake, without I/O: from the bytes of a request's head to an upgrade, or to why there is none (RFC 6455 §4.2).

Extensions that a client offers are not agreed to: the answer names none (§9.1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

import httptools

from fiveways.types import Headers

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a request's head."""
FIELDS_LIMIT: Final = 128
VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ONCE: Final = (b"host", b"origin", b"content-length", b"transfer-encoding", b"sec-websocket-key", b"sec-websocket-version")
"""Fields of which a request has one at most (RFC 9112 §3.2, §6.3; RFC 6454 §7.3; RFC 6455 §11.3.1, §11.3.5)."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_PATH: Final = re.compile(rb"/[\x21\x22\x24-\x3e\x40-\x7e]*")
_QUERY: Final = re.compile(rb"[\x21\x22\x24-\x7e]*")
_REASONS: Final = {
    400: b"Bad Request", 405: b"Method Not Allowed", 426: b"Upgrade Required", 431: b"Request Header Fields Too Large",
}  # fmt: skip


@dataclass(slots=True, frozen=True)
class Upgrade:
    """A handshake that is as it must be. `path` and `query` as they were sent, `query` without its question mark; the names of
    `headers` in lower case; `subprotocols` in the client's order; `origin` where it is a browser's (RFC 6455 §10.2)."""

    path: str
    query: str
    headers: Headers
    key: bytes
    subprotocols: tuple[str, ...]
    origin: str | None
    host: str

    def accepted(self, subprotocol: str | None = None) -> bytes:
        """The answer that opens the connection (RFC 6455 §4.2.2). Raises ValueError for a subprotocol that was not offered."""
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError("a subprotocol that the client has not offered")
        digest = hashlib.sha1(self.key + _GUID, usedforsecurity=False).digest()
        chosen = b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode("ascii") if subprotocol is not None else b""
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (base64.b64encode(digest), chosen)
        )


@dataclass(slots=True, frozen=True)
class Refused:
    """A handshake that is not: an HTTP answer that says what is wrong with it, in words of ours only."""

    status: int
    headers: Headers
    body: bytes

    def answer(self) -> bytes:
        """It as bytes; the connection is to be closed after it."""
        fields = b"".join(b"%b: %b\r\n" % field for field in self.headers)
        reason = _REASONS[self.status]
        return b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (self.status, reason, fields, self.body)


class _Refusal(Exception):
    def __init__(self, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(why)
        body = why.encode() + b"\n"
        length = b"%d" % len(body)
        self.refused = Refused(status, [(b"content-type", b"text/plain"), (b"content-length", length), *headers], body)


class _Head:
    """What llhttp makes of a head, with none of its leniencies."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: Headers = []
        self.method = b""
        self.version = ""
        self.complete = False

    def parse(self, head: bytes) -> bool:
        """Whether it is the head of one HTTP request, and nothing more."""
        head = head.lstrip(b"\r\n")  # RFC 9112 §2.2
        if head.partition(b"\r\n")[0].count(b" ") != 2 or head.find(b"\r\n\r\n") != len(head) - 4:
            return False  # llhttp would let more than two blanks pass (RFC 9112 §3)
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return False
        self.method, self.version = parser.get_method(), parser.get_http_version()
        return self.complete

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True

    def values(self, name: bytes) -> list[bytes]:
        """What the fields of a name say."""
        return [value for each, value in self.fields if each == name]

    def listed(self, name: bytes) -> list[bytes]:
        """The members of a list, from however many fields; empty ones are none (RFC 9110 §5.6.1)."""
        return [member for value in self.values(name) for each in value.split(b",") if (member := each.strip(b" \t"))]

    def has_token(self, name: bytes, token: bytes) -> bool:
        """Whether a list has a token, in whatever case."""
        return any(member.lower() == token for member in self.listed(name))


def asks(head: bytes) -> bool:
    """Whether a head asks for an upgrade to WebSocket at all, rightly or wrongly (RFC 6455 §4.2.1, item 3); `read` it then. What
    is no HTTP, or has more than `HEAD_LIMIT` bytes, does not."""
    parsed = _Head()
    return len(head) <= HEAD_LIMIT and parsed.parse(head) and parsed.has_token(b"upgrade", b"websocket")


def read(head: bytes) -> Upgrade | Refused:
    """What a head comes to, which goes from the request line up to and with the empty line (RFC 6455 §4.2.1)."""
    try:
        return _upgrade(head)
    except _Refusal as refusal:
        return refusal.refused


def _upgrade(head: bytes) -> Upgrade:
    parsed = _Head()
    if len(head) > HEAD_LIMIT:
        raise _Refusal(431, f"the head of a request has at most {HEAD_LIMIT} bytes")
    if not parsed.parse(head):
        raise _Refusal(400, "this is not the head of an HTTP request")
    if len(parsed.fields) > FIELDS_LIMIT:
        raise _Refusal(431, f"a request has at most {FIELDS_LIMIT} header fields")
    if parsed.method != b"GET":
        raise _Refusal(405, "the method of an opening handshake is GET", (b"allow", b"GET"))  # RFC 6455 §4.1, item 2
    if parsed.version != "1.1":
        raise _Refusal(400, "an opening handshake is HTTP/1.1")  # RFC 6455 §4.1, item 2
    for name in _ONCE:
        if len(parsed.values(name)) > 1:
            raise _Refusal(400, f"{name.decode()} may be there once")
    if parsed.values(b"transfer-encoding") or parsed.values(b"content-length") not in ([], [b"0"]):
        raise _Refusal(400, "an opening handshake has no content")
    host = b"".join(parsed.values(b"host"))
    if not _HOST.fullmatch(host):
        raise _Refusal(400, "host is missing, or is none")  # RFC 6455 §4.2.1, item 2
    path, query = _resource(parsed.target, host)
    if not parsed.has_token(b"upgrade", b"websocket"):
        raise _Refusal(400, "upgrade must have websocket")  # RFC 6455 §4.2.1, item 3
    if not parsed.has_token(b"connection", b"upgrade"):
        raise _Refusal(400, "connection must have Upgrade")  # RFC 6455 §4.2.1, item 4
    if parsed.values(b"sec-websocket-version") != [VERSION]:  # RFC 6455 §4.2.1, item 6; §4.4
        fields = (b"sec-websocket-version", VERSION), (b"upgrade", b"websocket"), (b"connection", b"upgrade")
        raise _Refusal(426, "version 13 of WebSocket is spoken here", *fields)
    origins = parsed.values(b"origin")
    return Upgrade(
        path=path,
        query=query,
        headers=parsed.fields,
        key=_key(parsed),
        subprotocols=_subprotocols(parsed),
        origin=origins[0].decode("latin-1") if origins else None,
        host=host.decode("ascii"),
    )


def _resource(target: bytes, host: bytes) -> tuple[str, str]:
    """The path and query of a request target, which may be a whole URI of this host (RFC 6455 §3; RFC 9112 §3.2.2)."""
    if target[:1] != b"/":
        scheme, _, rest = target.partition(b"://")
        authority, slash, below = rest.partition(b"/")
        if scheme.lower() not in (b"http", b"https") or authority != host:
            raise _Refusal(400, "this is not a resource of this host")
        target = b"/" + below if slash else b"/"
    path, _, query = target.partition(b"?")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise _Refusal(400, "the request target is no path and query")  # RFC 6455 §3: no fragment either
    return path.decode("ascii"), query.decode("ascii")


def _key(parsed: _Head) -> bytes:
    """Sixteen bytes in Base64, as they came (RFC 6455 §4.2.1, item 5)."""
    key = b"".join(parsed.values(b"sec-websocket-key"))
    try:
        size = len(base64.b64decode(key, validate=True))
    except binascii.Error:
        size = 0
    if size != 16 or len(key) != 24:
        raise _Refusal(400, "sec-websocket-key must be 16 bytes in Base64")
    return key


def _subprotocols(parsed: _Head) -> tuple[str, ...]:
    """Those that the client would speak, by preference; each is a token and none comes twice (RFC 6455 §4.1, item 10)."""
    offered = parsed.listed(b"sec-websocket-protocol")
    if len(set(offered)) < len(offered) or not all(map(_TOKEN.fullmatch, offered)):
        raise _Refusal(400, "sec-websocket-protocol must list tokens, each once")
    return tuple(each.decode("ascii") for each in offered)
