"""Writes the header section of an HTTP/1.1 request, so that nothing in it can be taken for something else."""

from __future__ import annotations

import re
from typing import Final

from fiveways.methods.synchronous.upstream.message import HOP_BY_HOP, UpstreamRequest

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET: Final = re.compile(rb"/[^\x00-\x20\x7f]*")
_OWN: Final = HOP_BY_HOP | {b"host", b"content-length"}
_KNOWN_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_MOST_NAMES: Final = 1024


class _Prefixes(dict[bytes, bytes]):
    """`name: ` for each field name met and found well-formed; empty for the fields that are left out."""

    def __missing__(self, name: bytes) -> bytes:
        if _TOKEN.fullmatch(name) is None:
            raise ValueError("a request header field name is not a token")
        prefix = b"" if name.lower() in _OWN else name + b": "
        if len(self) < _MOST_NAMES:
            self[name] = prefix
        return prefix


def check_request(request: UpstreamRequest) -> None:
    """ValueError where the method or target could be read as anything else (RFC 9112 §3)."""
    if request.method not in _KNOWN_METHODS and (_TOKEN.fullmatch(request.method) is None or request.method == b"CONNECT"):
        raise ValueError("the request method is not a token, or is CONNECT")
    if _TARGET.fullmatch(request.target) is None:
        raise ValueError("the request target must start with '/' and have no blanks or control characters")


class RequestHead:
    """Renders requests to one authority. `absolute` is put before the target where a proxy is asked (RFC 9112 §3.2.2)."""

    __slots__ = ("_absolute", "_prefixes", "_tail")

    def __init__(self, authority: bytes, *, absolute: bytes = b"") -> None:
        self._absolute = absolute
        self._tail = b" HTTP/1.1\r\nhost: " + authority
        self._prefixes = _Prefixes()

    def render(self, request: UpstreamRequest) -> bytes:
        """The header section, empty line included. ValueError where a part of it would be read as another (CR, LF, NUL, …)."""
        check_request(request)
        prefixes = self._prefixes
        lines = [b"%b %b%b%b" % (request.method, self._absolute, request.target, self._tail)]
        for name, value in request.headers:
            prefix = prefixes[name]
            if prefix:
                lines.append(prefix + value)
        framing = self._framing(request)
        if framing:
            lines.append(framing)
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        breaks = len(lines) + 1  # one between each two, one in the first (after the target), one in the last: all are ours
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or 0 in head:
            raise ValueError("a request header field value holds CR, LF or NUL")
        return head

    @staticmethod
    def _framing(request: UpstreamRequest) -> bytes:
        """How the body's end is told (RFC 9112 §6.1, §6.2; RFC 9110 §8.6: `content-length: 0` where a body is usual)."""
        body = request.body
        if body is None:
            return b"content-length: 0" if request.method in (b"POST", b"PUT", b"PATCH") else b""
        if isinstance(body, bytes):
            return b"content-length: %d" % len(body)
        return b"transfer-encoding: chunked" if request.length is None else b"content-length: %d" % request.length
