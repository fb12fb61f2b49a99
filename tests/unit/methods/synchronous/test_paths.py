"""Raw paths: what is refused, what the rest can be read as, and which base path wins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiveways.errors import Fault, InvalidValue, UriTooLong
from fiveways.methods.synchronous import paths
from fiveways.methods.synchronous.paths import BasePaths, check, freely


def without_dot_segments(path: bytes) -> bytes:
    """RFC 3986 §5.2.4, step by step."""
    out = b""
    while path:
        if path.startswith((b"../", b"./")):
            path = path[path.index(b"/") + 1 :]
        elif path.startswith(b"/./") or path == b"/.":
            path = b"/" + path[3:]
        elif path.startswith(b"/../") or path == b"/..":
            path = b"/" + path[4:]
            out = out[: max(out.rfind(b"/"), 0)]
        elif path in (b".", b".."):
            path = b""
        else:
            end = path.find(b"/", 1)
            end = len(path) if end < 0 else end
            out, path = out + path[:end], path[end:]
    return out


def accepted(path: bytes, query: bytes = b"") -> bool:
    try:
        check(path, query)
    except Fault:
        return False
    return True


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"/a", b"/a/", b"/a/b.c", b"/a/b..c", b"/a/...", b"/a/.hidden", b"/a/b;v=1", b"/Patient/$everything", b"/a/%20b",
        b"/a/%2Fb", b"/a%252e%252e/b", b"/a//b", b"/a/@!:+,='()*&", b"/a/%E2%82%AC", b"/a/b.", b"/a/b..",
    ],
)  # fmt: skip
def test_a_path_with_one_meaning_passes(path: bytes) -> None:
    check(path, b"")


@pytest.mark.parametrize(
    "path",
    [
        b"", b"a", b"*", b"http://a/b", b"//a/b", b"/.", b"/..", b"/a/../b", b"/a/./b", b"/a/%2e%2E/b", b"/a/.%2e", b"/a/%2e",
        b"/a/..;x/b", b"/a/..%3bx/b", b"/a/.%3B/b", b"/a/..%2fb", b"/a%2f..%2fb", b"/a%2F%2e%2e", b"/a\\b", b"/a/%5cb", b"/a b",
        b"/a\tb", b"/a\x00b", b"/a\x7fb", b"/caf\xc3\xa9", b"/a#b", b'/a"b', b"/a<b>", b"/a%00", b"/a%0d%0a", b"/a%1F", b"/a%7f",
        b"/a%", b"/a%2", b"/a%zz", b"/a%u002e",
    ],
)  # fmt: skip
def test_a_path_with_two_meanings_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidValue, match="read in more than one way"):
        check(path, b"")


@pytest.mark.parametrize("query", [b" ", b"a b", b"a\r\nb", b"a\x00", b"\xff", b'"', b"<", b">", b"#", b"\x7f"])
def test_a_query_that_should_have_been_escaped_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidValue, match="query"):
        check(b"/a", b"a=" + query)


@pytest.mark.parametrize("query", [b"", b"a=b&c=d", b"name:exact=%20x", b"_has:a:b:c=d|e", b"a=../..", b"?", b"a[]={}^`\\"])
def test_an_ordinary_query_passes(query: bytes) -> None:
    check(b"/a", query)


def test_path_and_query_together_may_be_so_long() -> None:
    check(b"/" + b"a" * (paths.MAX_TARGET - 11), b"b" * 10)
    with pytest.raises(UriTooLong):
        check(b"/" + b"a" * (paths.MAX_TARGET - 10), b"b" * 10)


SEPARATORS = st.sampled_from([b"/", b"//", b"%2f", b"%2F"])
BEGINNINGS = st.sampled_from([b"", b"a", b".", b"..", b"...", b"%2e", b"%2E.", b"%252e", b"%5c", b"\\"])
ENDINGS = st.sampled_from([b"", b"a", b";", b";a", b"%3b", b"%3Ba", b";.", b"%253b", b"%41", b"%"])
RISKY = st.lists(st.tuples(SEPARATORS, BEGINNINGS, ENDINGS).map(b"".join), max_size=4).map(lambda parts: b"/a" + b"".join(parts))
"""Paths of what path confusion is made of."""


@settings(max_examples=400)
@given(RISKY | st.binary(max_size=20).map(lambda rest: b"/" + rest))
def test_nothing_that_passes_changes_when_dot_segments_are_removed(path: bytes) -> None:
    """However freely it is read: raw, decoded, or decoded with its parameters dropped (RFC 3986 §5.2.4, §6.2.2)."""
    if accepted(path):
        assert without_dot_segments(path) == path
        assert without_dot_segments(freely(path)) == freely(path)


@given(st.text("abcXYZ019._~-", min_size=1).filter(lambda name: name.strip(".") != ""), st.integers(0, 3))
def test_segments_of_unreserved_characters_always_pass(segment: str, deep: int) -> None:
    path = b"/" + b"/".join([segment.encode()] * (deep + 1))
    assert accepted(path)
    assert freely(path) == path


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (b"/%61/b", b"/a/b"),
        (b"/a;v=1/b", b"/a/b"),
        (b"/a//b", b"/a/b"),
        (b"/a%2fb", b"/a/b"),
        (b"/a%3bx/b", b"/a/b"),
        (b"/a;x", b"/a"),
    ],
)
def test_an_easy_going_back_end_reads_it_so(path: bytes, read: bytes) -> None:
    assert freely(path) == read


# --- base paths -----------------------------------------------------------------------------------------------------------

SEGMENTS = st.lists(st.sampled_from([b"a", b"b", b"ab", b""]), max_size=5)
BASES = st.lists(SEGMENTS.map(lambda parts: b"".join(b"/" + part for part in parts if part)), max_size=6, unique=True)
LOOKED_UP = SEGMENTS.map(lambda parts: b"/" + b"/".join(parts))


@given(BASES, LOOKED_UP)
def test_the_longest_base_wins(bases: list[bytes], path: bytes) -> None:
    """Against looking at every base: the longest that the path is, or goes on from with a slash."""
    under = [base for base in bases if path == base or path.startswith(base + b"/")]
    longest = max(under, key=len, default=None)
    found = BasePaths((base, base.decode() or "root") for base in bases).find(path)
    assert found == (None if longest is None else (longest.decode() or "root", path[len(longest) :]))


def test_a_base_is_not_a_prefix_of_letters() -> None:
    known = BasePaths([(b"/a", 1), (b"/a/b/", 2)])
    assert known.find(b"/ab") is None
    assert known.find(b"/a/bc") == (1, b"/bc")
    assert known.find(b"/a/b") == (2, b"")
    assert known.find(b"/a/b/c/d/e") == (2, b"/c/d/e")


def test_without_bases_nothing_is_found() -> None:
    assert BasePaths[int]([]).find(b"/a") is None
