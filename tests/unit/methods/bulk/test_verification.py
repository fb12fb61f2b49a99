"""Whether what came is what was sent, and what a sequence's numbers say."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.agreement import Agreement, Claims
from fiveways.methods.bulk.contents import Content
from fiveways.methods.bulk.settings import FeedSettings
from fiveways.methods.bulk.verification import MOST_GAPS, Read, gaps, read, verify

pytestmark = pytest.mark.anyio
BODY = b"id\n1\n2\n"


async def reading(pieces: list[bytes]) -> Read:
    """What a content in these pieces is found to be."""

    async def each() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return await read(each(), hashlib.sha256())


def agreed(**said: Any) -> Agreement:
    """A feed's agreement."""
    return Agreement("f", FeedSettings.model_validate({"from": "north", **said}))


@given(st.lists(st.binary(min_size=1, max_size=30) | st.sampled_from([b"\n", b"a\n"]), max_size=12))
async def test_it_is_read_alike_in_whatever_pieces(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    found = await reading(pieces)
    assert (found.size, found.sha256, found.blake3) == (len(whole), hashlib.sha256(whole).digest(), blake3(whole).digest())
    assert found.lines == whole.count(b"\n") + (bool(whole) and not whole.endswith(b"\n"))
    assert found.end == whole[-65536:]


def content(found: Read) -> Content:
    """As it was taken down when it was uploaded."""
    return Content("c", found.size, blake3=found.blake3, kept=True)


async def test_what_agrees_has_nothing_against_it() -> None:
    found = await reading([BODY])
    said = Claims(len(BODY), hashlib.sha256(BODY).hexdigest(), blake3(BODY).hexdigest(), 2, ("manifest",))
    assert verify(agreed(), said, content(found), found, counted=False) == (said, [])
    assert verify(agreed(), Claims(records=3), content(found), found, counted=False)[1] == [], "a header may be none"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Claims(size=6), "7 bytes, and 6"),
        (Claims(sha256="ab" * 32), "its SHA-256 is"),
        (Claims(blake3="ab" * 32), "its BLAKE3 is"),
        (Claims(records=1), "1 records are said"),
        (Claims(records=4), "4 records are said"),
        (Claims(unreadable="the digest beside it is not one"), "beside it"),
    ],
)
async def test_whatever_does_not_agree_is_a_reason(said: Claims, reason: str) -> None:
    found = await reading([BODY])
    reasons = verify(agreed(), said, content(found), found, counted=False)[1]
    assert len(reasons) == 1
    assert reason in reasons[0]


async def test_records_that_quality_control_counts_are_not_counted_here() -> None:
    found = await reading([BODY])
    assert verify(agreed(), Claims(records=99), content(found), found, counted=True)[1] == []


async def test_a_store_that_gives_back_something_else_is_told_of() -> None:
    found = await reading([BODY])
    for other in (replace(content(found), size=8), replace(content(found), blake3=b"x" * 32)):
        assert "does not give back" in verify(agreed(), Claims(), other, found, counted=False)[1][0]


async def test_a_digest_that_was_agreed_has_to_be_said() -> None:
    found = await reading([BODY])
    reasons = verify(
        agreed(digest={"algorithm": "blake3"}), Claims(sha256=found.sha256.hex()), content(found), found, counted=False
    )
    assert reasons[1] == ["no blake3 is said of it"]


async def test_a_trailer_is_compared_with_a_manifest_and_with_what_there_is() -> None:
    agreement = agreed(complete_when={"trailer": r"T,(?P<records>\d+)"})
    found = await reading([b"id\n1\n2\nT,2\n"])
    claims, reasons = verify(agreement, Claims(), content(found), found, counted=False)
    assert (claims.records, claims.said_by, reasons) == (2, ("trailer",), [])
    assert "two things" in verify(agreement, Claims(records=9), content(found), found, counted=True)[1][0]
    cut = await reading([b"id\n1\n2\n"])
    assert "not the trailer" in verify(agreement, Claims(), content(cut), cut, counted=False)[1][0]


@pytest.mark.parametrize(
    ("number", "earlier", "said"),
    [
        (None, [1], []),
        (5, [], []),
        (5, [4], []),
        (5, [3, 4, 9], []),
        (5, [3], ["number 4 of the sequence has not come"]),
        (5, [2, 1], ["numbers 3, 4 of the sequence have not come"]),
        (5, [5], ["number 5 of the sequence came before"]),
        (5, [6, 9], ["number 5 of the sequence came after 6"]),
        (10**17, [1], [f"numbers 2 to {10**17 - 1} of the sequence have not come"]),
    ],
)
def test_gaps_of_a_sequence(number: int | None, earlier: list[int], said: list[str]) -> None:
    assert gaps(number, earlier) == said


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**18), max_size=20))
def test_gaps_are_said_in_a_line_however_many_there_are(number: int, earlier: list[int]) -> None:
    said = gaps(number, earlier)
    assert len(said) <= 1
    assert not said or len(said[0]) < 22 * MOST_GAPS
    assert bool(said) == ((bool(earlier) and number - 1 not in earlier) or number in earlier)
