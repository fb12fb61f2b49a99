"""Reads the header section of an HTTP/1.1 response: strictly, and quickly because back ends repeat themselves.

A back end's answers differ in few lines. Each line is parsed and checked once and then found again by its bytes; a line whose
value hardly ever recurs is not kept.
"""

from __future__ import annotations

import re
from typing import Final

from fiveways.methods.synchronous.upstream.message import HOP_BY_HOP
from fiveways.types import Headers

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_SPECIAL: Final = HOP_BY_HOP | {b"content-length"}
_VARYING: Final = frozenset({b"set-cookie", b"location", b"content-location", b"x-request-id", b"x-correlation-id"})
_KEEP_ALIVE: Final = (b"connection", b"keep-alive")  # says nothing that HTTP/1.1 does not (RFC 9112 §9.3)
_MOST_LINES: Final = 512
_LONGEST_LINE: Final = 256
_LONGEST_ETAG: Final = 16
"""Short entity tags are the version ids of FHIR resources and recur; long ones are hashes and do not."""


class MalformedResponse(Exception):
    """What arrived is not a response that means one thing only; the message says why, without quoting it."""


ResponseHead = tuple[int, Headers, int, bool]
"""A header section read: the status, the fields, the body's length (or CHUNKED or UNTIL_CLOSE), whether the connection stays."""


class ResponseHeadParser:
    """Parses the header sections of one back end's responses."""

    __slots__ = ("_lines", "_most", "_specials", "_statuses")

    def __init__(self, header_count: int) -> None:
        self._most = header_count
        self._lines: dict[bytes, tuple[bytes, bytes]] = {}
        self._specials: dict[bytes, tuple[bytes, bytes]] = {}
        self._statuses: dict[bytes, tuple[int, bool]] = {}

    def parse(self, section: bytes, *, bodyless: bool) -> ResponseHead:
        """The header section up to (not including) its last CR LF CR LF. `bodyless`: the request was HEAD (RFC 9110 §9.3.2)."""
        lines = section.split(b"\r\n")
        if len(lines) > self._most + 1:
            raise MalformedResponse("too many header fields")
        status, keep = self._statuses.get(lines[0]) or self._status(lines[0])
        known = self._lines
        headers: Headers = []
        special: Headers | None = None
        length: bytes | None = None
        del lines[0]
        for line in lines:
            field = known.get(line)
            if field is None:
                field = self._specials.get(line) or self._field(line)
                name = field[0]
                if name in _SPECIAL:
                    if name == b"content-length" and length is None:
                        length = field[1]
                        headers.append(field)
                    elif field == _KEEP_ALIVE:
                        pass
                    elif special is None:
                        special = [field]
                    else:
                        special.append(field)
                    continue
            headers.append(field)
        framing = UNTIL_CLOSE
        if length is not None:
            if not length.isdigit() or len(length) > 18:
                raise MalformedResponse("Content-Length is not a number")
            framing = int(length)
        if special is not None:
            headers, framing, keep = _connection(headers, special, framing, keep)
        if bodyless or status == 204 or status == 304 or status < 200:
            if status == 204 or status < 200:
                headers = [field for field in headers if field[0] != b"content-length"]
            return status, headers, 0, keep
        return status, headers, framing, keep and framing != UNTIL_CLOSE

    def _status(self, line: bytes) -> tuple[int, bool]:
        """Status code, and whether the version keeps connections by default; HTTP/1.0 is taken not to (RFC 9112 §9.3)."""
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise MalformedResponse("bad status line")
        status = int(match[2]), match[1] == b"1"
        if len(self._statuses) < 64 and len(line) <= _LONGEST_LINE:
            self._statuses[line] = status
        return status

    def _field(self, line: bytes) -> tuple[bytes, bytes]:
        """Name in lower case and value of one field line. Folded lines and bare CR or LF do not match (RFC 9112 §5)."""
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise MalformedResponse("bad header field")
        name, value = match.groups()
        field = name.lower(), value.rstrip(b" \t")
        if len(line) <= (_LONGEST_ETAG if field[0] == b"etag" else _LONGEST_LINE) and field[0] not in _VARYING:
            lines = self._specials if field[0] in _SPECIAL else self._lines
            if len(lines) >= _MOST_LINES:
                lines.clear()
            lines[line] = field
        return field


def _connection(headers: Headers, special: Headers, framing: int, keep: bool) -> tuple[Headers, int, bool]:
    """Framing and persistence from the fields that rule them (RFC 9112 §6.3, §9.3), and the headers they leave."""
    named: set[bytes] = set()
    chunked = False
    for name, value in special:
        if name == b"content-length":
            raise MalformedResponse("more than one Content-Length")
        if name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise MalformedResponse("a Transfer-Encoding other than one 'chunked'")
            chunked = True
        elif name == b"connection":
            named.update(option.strip(b" \t").lower() for option in value.split(b","))
    if chunked:
        if not keep:
            raise MalformedResponse("Transfer-Encoding in HTTP/1.0")
        if framing != UNTIL_CLOSE:
            raise MalformedResponse("both Content-Length and Transfer-Encoding")
        framing = CHUNKED
    if b"close" in named:
        keep = False
    if named:
        headers = [field for field in headers if field[0] not in named or field[0] == b"content-length"]
    return headers, framing, keep
