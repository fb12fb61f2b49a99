"""Raw paths: which are refused before any policy sees them, and which API they belong to.

A path is taken to a back end by concatenation and never normalised, so a path that two parties could read differently (dot
segments, an encoded slash's neighbours, a backslash, a leading double slash) is refused instead (RFC 3986 §5.2.4, §6.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from fiveways.errors import InvalidValue, UriTooLong

Entry = TypeVar("Entry")

MAX_TARGET: Final = 16 * 1024
_AMBIGUOUS: Final = re.compile(
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
_PARAMETERS: Final = re.compile(rb";[^/]*")
_REPEATED: Final = re.compile(rb"//+")
_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9_$~-][A-Za-z0-9_$~.:@!&'()*+,=-]*)+/?")
"""What nearly every path looks like: it can be read in one way only, and is matched faster than the above is searched for."""
_NOT_IN_QUERY: Final = re.compile(rb"[\x00-\x20\x7f-\xff\"<>#]")


def check(path: bytes, query: bytes) -> bool:
    """Raise the fault that a path or query deserves; `path` must begin with '/'. Whether all back ends read it alike (`freely`)."""
    if len(path) + len(query) > MAX_TARGET:
        raise UriTooLong(f"The path and query are longer than {MAX_TARGET} bytes")
    plain = _PLAIN.fullmatch(path) is not None
    if not plain and (path[:1] != b"/" or _AMBIGUOUS.search(path) is not None):
        raise InvalidValue("The path can be read in more than one way (dot segments, //, backslash or control characters)")
    if query and _NOT_IN_QUERY.search(query) is not None:
        raise InvalidValue("The query has characters that must be percent-encoded")
    return plain


def freely(path: bytes) -> bytes:
    """A path as the most easy-going of back ends reads it: escapes decoded, parameters and repeated slashes dropped.

    RFC 3986 §6.2.2.2 has it that an escaped unreserved character is that character; many servers decode the rest as well, and
    drop what follows a ';' (§3.3) before they look which resource is meant.
    """
    return _REPEATED.sub(b"/", _PARAMETERS.sub(b"", unquote_to_bytes(path)))


class BasePaths(Generic[Entry]):
    """Entries by base path; the longest that a path lies under wins. Bases with its first segment are looked at in turn."""

    def __init__(self, entries: Iterable[tuple[bytes, Entry]]) -> None:
        self._under: dict[bytes, list[tuple[bytes, Entry]]] = {}
        self._root: Entry | None = None
        for path, entry in entries:
            base = path.rstrip(b"/")
            if base:
                self._under.setdefault(_first_segment(base), []).append((base, entry))
            else:
                self._root = entry
        for bases in self._under.values():
            bases.sort(key=lambda each: len(each[0]), reverse=True)

    def find(self, path: bytes) -> tuple[Entry, bytes] | None:
        """The entry that `path` belongs to, and what of the path lies below its base ('' or '/…')."""
        for base, entry in self._under.get(_first_segment(path), ()):
            if path.startswith(base):
                below = path[len(base) :]
                if not below or below[:1] == b"/":
                    return entry, below
        return (self._root, path) if self._root is not None else None


def _first_segment(path: bytes) -> bytes:
    end = path.find(b"/", 1)
    return path if end < 0 else path[:end]
