"""Chunked transfer coding (RFC 9112 §7.1): a strict decoder that takes bytes as they come."""

from __future__ import annotations

import re

from fiveways.methods.synchronous.upstream.response_head import MalformedResponse

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_LONGEST_SIZE_LINE = 256

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)

LAST_CHUNK = b"0\r\n\r\n"
"""What ends a body sent in chunks."""


class ChunkedDecoder:
    """Decodes one chunked body. Extensions and trailers are checked for form and dropped.

    `done` turns True with the last byte of the body; `excess` says whether bytes followed it.
    """

    __slots__ = ("_line", "_remaining", "_state", "_trailer_budget", "done", "excess")

    def __init__(self, trailer_bytes: int) -> None:
        self._state = _SIZE
        self._line = b""
        self._remaining = 0
        self._trailer_budget = trailer_bytes
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of content in `data`, in order; MalformedResponse where it is not chunked coding."""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._state == _DATA:
                piece = data[at : at + self._remaining]
                pieces.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
                if self._remaining == 0:
                    self._state = _DATA_END
                continue
            if self._state == _DONE:
                self.excess = True
                break
            line_end = data.find(b"\n", at)
            stop = end if line_end < 0 else line_end + 1
            line = self._line + data[at:stop]
            at = stop
            if line_end < 0:
                self._check_unfinished(line)
                self._line = line
                break
            self._line = b""
            self._end_of_line(line)
        return pieces

    def _check_unfinished(self, line: bytes) -> None:
        limit = {_SIZE: _LONGEST_SIZE_LINE, _DATA_END: 1, _TRAILER: self._trailer_budget}[self._state]
        if len(line) > limit or (self._state == _DATA_END and line != b"\r"):
            raise MalformedResponse("bad chunk")

    def _end_of_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise MalformedResponse("a line of chunked coding ends without CR LF")
        text = line[:-2]
        if self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(text) if len(line) <= _LONGEST_SIZE_LINE else None
            if match is None:
                raise MalformedResponse("bad chunk size")
            self._remaining = int(match[1], 16)
            self._state = _DATA if self._remaining else _TRAILER
        elif self._state == _DATA_END:
            if text:
                raise MalformedResponse("a chunk is longer than its size")
            self._state = _SIZE
        elif not text:
            self._state = _DONE
            self.done = True
        else:
            self._trailer_budget -= len(line)
            if self._trailer_budget < 0 or _TRAILER_LINE.fullmatch(text) is None:
                raise MalformedResponse("bad trailer section")
