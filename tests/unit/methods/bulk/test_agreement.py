"""What is agreed of a feed's files: which file is what by its name, and what its sender may say of it. Whatever a sender writes, it
is read, or it is a Disagreement."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.agreement import MOST_LISTED, Agreement, Agreements, Claims, Disagreement, decode, encode
from fiveways.methods.bulk.settings import FeedSettings

SHA = "ab" * 32
hostile = st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["files", "name", "size", "sha256", "records", "sequence", "x"]), inner, max_size=5)
    ),
    max_leaves=12,
)


def agreed(**said: Any) -> Agreement:
    """A feed's agreement."""
    return Agreement("activity", FeedSettings.model_validate({"from": "northshire", "files": "*.csv", **said}))


LISTED = agreed(complete_when={"manifest": "*.json"}, digest={"by": "manifest"})
MARKED = agreed(complete_when={"marker": "ok-{name}.done"}, digest={})
ENDED = agreed(complete_when={"trailer": r"TRL,(?P<records>\S+)"}, sequence=r"N(?P<sequence>\w+)")


# --- names -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreement", "name", "role"),
    [
        (LISTED, "a.csv", ("data", "a.csv")),
        (LISTED, "a.json", ("manifest", "")),
        (LISTED, "a.txt", None),
        (LISTED, ".a.csv", None),
        (MARKED, "a.csv", ("data", "a.csv")),
        (MARKED, "ok-a.csv.done", ("marker", "a.csv")),
        (MARKED, "ok-.done", None),
        (MARKED, "ok-a.txt.done", None),
        (MARKED, "a.csv.sha256", ("sidecar", "a.csv")),
        (MARKED, "a.txt.sha256", None),
        (MARKED, ".csv.sha256", None),
        (agreed(files=".*"), ".hidden", ("data", ".hidden")),
        (agreed(files="*", digest={"algorithm": "blake3"}), "a.blake3", ("sidecar", "a")),
    ],
)
def test_a_name_says_what_a_file_is(agreement: Agreement, name: str, role: tuple[str, str] | None) -> None:
    assert agreement.role(name) == role


@given(st.text(max_size=60))
def test_any_name_is_something_or_nothing(name: str) -> None:
    for agreement in (LISTED, MARKED, ENDED):
        role = agreement.role(name)
        assert role is None or role[0] in {"data", "manifest", "marker", "sidecar"}
        if role is not None and role[0] in {"marker", "sidecar"}:
            assert agreement.role(role[1]) == ("data", role[1])


def test_two_feeds_of_one_folder_are_told_apart_by_names() -> None:
    feeds = {
        name: FeedSettings.model_validate({"from": "north", "folder": "/in", "files": f"{name}_*", "to": [{"partner": "south"}]})
        for name in ("a", "b")
    }
    agreements = Agreements(feeds)
    found = [agreements.of("north", "/in", name) for name in ("a_1", "b_1", "c_1")]
    assert [each[0].feed if each else None for each in found] == ["a", "b", None]
    assert agreements.of("south", "/in", "a_1") is None
    assert (agreements.folders("north"), agreements.folders("south")) == (["/in"], ["/a", "/b"])


@pytest.mark.parametrize(("name", "number"), [("N7.csv", 7), ("xN007.csv", 7), ("N999999999999999999.csv", 10**18 - 1)])
def test_a_name_has_its_number(name: str, number: int) -> None:
    assert ENDED.sequence(name) == number
    assert LISTED.sequence(name) is None


@pytest.mark.parametrize("name", ["a.csv", "Nx.csv", "N\u0661.csv", "N1000000000000000000.csv", "N" + "9" * 5000])
def test_a_name_without_its_number_is_a_disagreement(name: str) -> None:
    with pytest.raises(Disagreement, match="no number"):
        ENDED.sequence(name)


# --- manifests -------------------------------------------------------------------------------------------------------------


def manifest(*files: dict[str, Any], **more: Any) -> bytes:
    """A manifest."""
    return json.dumps({"files": files, **more}).encode()


def test_a_manifest_says_what_is_in_each_file() -> None:
    said = LISTED.manifest(
        manifest({"name": "a.csv", "size": 3, "sha256": SHA.upper(), "records": 1}, {"name": "b.csv"}, sequence=7)
    )
    assert said["a.csv"] == Claims(3, SHA, None, 1, ("manifest",), ("a.csv", "b.csv"))
    assert said["b.csv"] == Claims(said_by=("manifest",), together=("a.csv", "b.csv"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"files": [{"name": "\xff.csv"}]}', "not JSON"),
        (b'{"files": [{"name": "\\ud800.csv"}]}', "not JSON"),
        (b'{"x": ' * 200_000, "not JSON"),
        (b"[" * 1_000_000, "not as agreed"),
        (manifest(), "not as agreed"),
        (manifest({}), "not as agreed"),
        (manifest({"name": ""}), "not as agreed"),
        (manifest({"name": "a/b.csv"}), "not as agreed"),
        (manifest({"name": "a\0.csv"}), "not as agreed"),
        (manifest({"name": "a\n.csv"}), "not as agreed"),
        (manifest({"name": "a" * 255 + ".csv"}), "not as agreed"),
        (manifest({"name": "a.csv", "size": -1}), "not as agreed"),
        (manifest({"name": "a.csv", "size": 2**53 + 1}), "not as agreed"),
        (manifest({"name": "a.csv", "size": "12"}), "not as agreed"),
        (manifest({"name": "a.csv", "records": 1.5}), "not as agreed"),
        (manifest({"name": "a.csv", "sha256": "ab"}), "not as agreed"),
        (manifest({"name": "a.csv", "sha256": SHA + "\n"}), "not as agreed"),
        (manifest({"name": "a.csv"}, {"name": "a.csv"}), "twice"),
        (manifest({"name": "a.txt"}), "not of this feed"),
        (manifest({"name": "x.json"}), "not of this feed"),
        (manifest(*({"name": f"{number}.csv"} for number in range(MOST_LISTED + 1))), "not as agreed"),
    ],
    ids=range(23),
)
def test_a_manifest_that_lies_about_itself_is_a_disagreement(content: bytes, reason: str) -> None:
    with pytest.raises(Disagreement, match=reason):
        LISTED.manifest(content)


@given(
    hostile | json_like.map(lambda value: json.dumps(value).encode()) | json_like.map(lambda v: json.dumps({"files": [v]}).encode())
)
def test_whatever_is_sent_as_a_manifest_is_read_or_a_disagreement(content: bytes) -> None:
    try:
        said = LISTED.manifest(content)
    except Disagreement:
        return
    assert said
    for name in said:
        assert LISTED.role(name) == ("data", name)
        assert not set(name) & {"/", "\0", "\n"}


# --- digests beside files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [SHA, SHA.upper(), f"{SHA}  a.csv\n", f"{SHA} *a.csv\r\n", f"\\{SHA}  a.csv", f"\ufeff{SHA}  ./out/a.csv"]
)
def test_a_digest_beside_a_file_is_what_sha256sum_writes(text: str) -> None:
    assert MARKED.sidecar(text.encode(), "a.csv") == Claims(sha256=SHA, said_by=("sidecar",))


@pytest.mark.parametrize("text", ["", "no", SHA[:-1], SHA + "a", f"{SHA}  a.csv\n{SHA}  b.csv", f"{SHA}  b.csv", "zz" * 32])
def test_another_digest_beside_it_is_a_disagreement(text: str) -> None:
    with pytest.raises(Disagreement):
        MARKED.sidecar(text.encode(), "a.csv")


@given(hostile)
def test_whatever_lies_beside_a_file_is_read_or_a_disagreement(content: bytes) -> None:
    with contextlib.suppress(Disagreement):
        assert MARKED.sidecar(content, "a.csv").said_by == ("sidecar",)
    with contextlib.suppress(Disagreement):
        assert ENDED.trailer(content).said_by == ("trailer",)


@pytest.mark.parametrize("content", [b"a" + b" " * 65_000 + b"\nx", b"a" * 65_000 + b"x", b"\\" * 65_000])
def test_a_hostile_digest_takes_no_time(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Disagreement):
        MARKED.sidecar(content, "a.csv")
    assert time.process_time() - began < 0.2


# --- trailers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"1\nTRL,12", b"1\nTRL,12\n", b"1\r\nTRL,12\r\n", b"TRL,12\n\n"])
def test_the_last_line_says_how_many_records_there_are(end: bytes) -> None:
    assert ENDED.trailer(end) == Claims(records=12, said_by=("trailer",))


@pytest.mark.parametrize("end", [b"", b"1\n", b"TRL,12\n1\n", b"TRL,x", "TRL,\u0661".encode(), b"TRL," + b"9" * 5000])
def test_another_last_line_is_a_disagreement(end: bytes) -> None:
    with pytest.raises(Disagreement):
        ENDED.trailer(end)


# --- claims ----------------------------------------------------------------------------------------------------------------

claims = st.builds(
    Claims, st.none() | st.integers(0, 3), st.none() | st.sampled_from(["a", "b"]), st.none(), st.none() | st.integers(0, 3),
    st.lists(st.sampled_from(["manifest", "sidecar"]), unique=True).map(tuple), st.just(()), st.sampled_from(["", "no"]),
    st.lists(st.sampled_from("123"), unique=True).map(tuple),
)  # fmt: skip


@given(claims, claims)
def test_claims_are_put_together_unless_they_contradict_each_other(first: Claims, second: Claims) -> None:
    contradict = any(
        None not in (mine, theirs) and mine != theirs
        for mine, theirs in ((first.size, second.size), (first.sha256, second.sha256), (first.records, second.records))
    )
    if contradict:
        with pytest.raises(Disagreement, match="two things are said"):
            first.also(second)
        return
    both = first.also(second)
    assert both == first.also(second).also(second), "what is heard twice is heard once"
    assert set(both.said_by) == {*first.said_by, *second.said_by}
    assert both.size == (first.size if first.size is not None else second.size)
    assert decode(encode(both)) == both


def test_nothing_said_is_no_claim() -> None:
    assert decode(None) == decode(b"") == Claims()
