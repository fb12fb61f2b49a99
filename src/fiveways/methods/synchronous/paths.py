"""Raw paths: which are refused before any policy sees them, and which API they belong to.

A path is taken to a back end by concatenation and never normalised, so a path that two parties could read differently (dot
segments, an encoded slash's neighbours, a backslash, a leading double slash) is refused instead (RFC 3986 §5.2.4, §6.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from fiveways.errors import InvalidValue, UriTooLong

Entry = TypeVar("Entry")

MAX_TARGET = 16 * 1024
_AMBIGUOUS = re.compile(
    rb"""^//                                              # would be read as an authority
    | (?:^|/)(?:\.|%2[eE]){1,2}(?=[/;]|%2[fF]|%3[bB]|$)   # dot segments, however they are spelt
    | %2[fF](?:\.|%2[eE]){1,2}(?=[/;]|%2[fF]|%3[bB]|$)    # the same behind an encoded slash
    | \\ | %5[cC]                                         # backslashes
    | [\x00-\x20\x7f-\xff\#"<>]                             # not allowed in a path at all
    | %(?:[01][0-9a-fA-F]|7[fF])                          # encoded control characters
    | %(?![0-9a-fA-F]{2})                                 # broken escapes
    """,
    re.VERBOSE,
)
_PARAMETERS = re.compile(rb";[^/]*")
_REPEATED = re.compile(rb"//+")
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_$~-][A-Za-z0-9_$~.:@!&'()*+,;=-]*)+/?")
"""What nearly every path looks like; it is matched ten times faster than the above is searched for."""
_NOT_IN_QUERY = re.compile(rb"[\x00-\x20\x7f-\xff\"<>#]")


def check(path: bytes, query: bytes) -> None:
    """Raise the fault that a path or query deserves; `path` must begin with '/'."""
    if len(path) + len(query) > MAX_TARGET:
        raise UriTooLong(f"The path and query are longer than {MAX_TARGET} bytes")
    if _PLAIN.fullmatch(path) is None and (path[:1] != b"/" or _AMBIGUOUS.search(path) is not None):
        raise InvalidValue("The path can be read in more than one way (dot segments, //, backslash or control characters)")
    if query and _NOT_IN_QUERY.search(query) is not None:
        raise InvalidValue("The query has characters that must be percent-encoded")


def freely(path: bytes) -> bytes:
    """A path as the most easy-going of back ends reads it: escapes decoded, parameters and repeated slashes dropped.

    RFC 3986 §6.2.2.2 has it that an escaped unreserved character is that character; many servers decode the rest as well, and
    drop what follows a ';' (§3.3) before they look which resource is meant.
    """
    return _REPEATED.sub(b"/", _PARAMETERS.sub(b"", unquote_to_bytes(path)))


class BasePaths(Generic[Entry]):
    """Entries by base path; the longest that a path lies under wins. Looking up costs the depth of the deepest base."""

    def __init__(self, entries: Iterable[tuple[bytes, Entry]]) -> None:
        self._entries = {base.rstrip(b"/"): entry for base, entry in entries}
        self._depth = max((base.count(b"/") for base in self._entries), default=0)

    def find(self, path: bytes) -> tuple[Entry, bytes] | None:
        """The entry that `path` belongs to, and what of the path lies below its base ('' or '/…')."""
        entries = self._entries
        end, depth = len(path), path.count(b"/")
        if depth > self._depth:
            end = _nth_slash(path, self._depth + 1)
        while True:
            entry = entries.get(path[:end])
            if entry is not None:
                return entry, path[end:]
            if end <= 0:
                return None
            end = path.rfind(b"/", 0, end)


def _nth_slash(path: bytes, nth: int) -> int:
    at = -1
    for _ in range(nth):
        at = path.find(b"/", at + 1)
    return at
