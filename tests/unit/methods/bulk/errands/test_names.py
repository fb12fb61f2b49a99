"""Names that come from a stranger's server."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.errands.names import LONGEST, below, identity, is_meant, is_name, marker, name_of, resolved, temporary


@pytest.mark.parametrize("name", ["a.csv", ".hidden", "ä ☃ 文.csv", "a b", "-rf", "~", "a" * LONGEST, "..a", "a'b\"c$d;e|f"])
def test_names_that_are_taken(name: str) -> None:
    assert name_of(name.encode()) == name


@pytest.mark.parametrize(
    "raw",
    [
        b"", b".", b"..", b"/", b"a/b", b"../a", b"a\\b", b"a\0b", b"a\nb", b"a\rb", b"\x1b[2J", b"a\x7f", b"\xc2\x85",
        b" a", b"a ", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", "a\u202ecsv.exe".encode(), "a\u200bb".encode(),
        "a\u2028b".encode(), b"a" * (LONGEST + 1), ("ä" * 128).encode(),
    ],
)  # fmt: skip
def test_names_that_are_not_taken(raw: bytes) -> None:
    assert name_of(raw) is None


@given(st.binary(max_size=300))
def test_whatever_is_taken_stays_in_its_folder(raw: bytes) -> None:
    name = name_of(raw)
    if name is not None:
        assert name.encode() == raw
        assert posixpath.normpath(below("/in", name)) == f"/in/{name}"


@given(st.text(max_size=300))
def test_a_name_of_ours_is_looked_at_in_the_same_way(name: str) -> None:
    try:
        assert is_name(name) == (name_of(name.encode()) == name)
    except UnicodeEncodeError:
        assert not is_name(name)


def test_patterns_mean_what_they_mean_in_a_shell() -> None:
    assert is_meant("a.csv", "*.csv")
    assert is_meant("a.csv", "[ab].cs?")
    assert not is_meant("a.CSV", "*.csv")
    assert not is_meant(".a.csv", "*.csv")
    assert not is_meant(".a.csv", "?a.csv")
    assert is_meant(".a.csv", ".*.csv")


def test_a_file_is_known_by_its_path_size_and_time() -> None:
    made = {identity("e", "/a", 1, 2), identity("f", "/a", 1, 2), identity("e", "/b", 1, 2), identity("e", "/a", 2, 2),
            identity("e", "/a", 1, 3), identity("e", "/a1", 1, 2)}  # fmt: skip
    assert len(made) == 6
    assert identity("e", "/a", 1, 2) == identity("e", "/a", 1, 2)
    assert temporary(".{id}.part", identity("e", "/a", 1, 2)) != temporary(".{id}.part", identity("e", "/b", 1, 2))


def test_markers_and_folders() -> None:
    assert marker("{name}.done", "a.csv.gz") == "a.csv.gz.done"
    assert marker("{stem}.ok", "a.csv.gz") == "a.csv.ok"
    assert resolved("/out", "done") == "/out/done"
    assert resolved("/out", "/done") == "/done"
    assert below(".", "a") == "./a"
