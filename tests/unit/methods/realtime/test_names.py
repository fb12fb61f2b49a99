"""Names of channels: what a pattern takes, and what a name says by it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fiveways.methods.realtime.names import LONGEST, Names, Pattern, filled, holes

PATTERN: TypeAdapter[str] = TypeAdapter(Pattern)
PART = st.text("ABCxyz019._~-", min_size=1, max_size=20)


@pytest.mark.parametrize(
    "pattern", ["news", "ward:{ward}:board", "{ward}", "a/{b}/{c}", "talk:{a}:{b}", "bed-{bed}.now", "w{ward}x:{b_d}", "a" * 255]
)
def test_patterns_that_are_taken(pattern: str) -> None:
    assert PATTERN.validate_python(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a" * 256,
        "a b",
        "a*",
        "{",
        "{}",
        "{A}",
        "{1}",
        "{a",
        "a}",
        "{a b}",
        "é",
        "a\n",
        "{a}:{a}",
        "{a}{b}",
        "{a}-{b}",
        "{a}x.{b}",
    ],
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        PATTERN.validate_python(pattern)


def test_a_name_is_of_the_first_pattern_that_it_has() -> None:
    names = Names([("board", "ward:{ward}:board"), ("ward", "ward:{ward}"), ("any", "{place}:{what}"), ("news", "news")])
    assert names.find("ward:8:board") == ("board", {"ward": "8"})
    assert names.find("ward:8") == ("ward", {"ward": "8"})
    assert names.find("clinic:8") == ("any", {"place": "clinic", "what": "8"})
    assert names.find("news") == ("news", {})


@pytest.mark.parametrize(
    "name",
    ["", "ward", "ward:", "ward::board", "ward:8:boards", "xward:8:board", "ward:a/b:board", "ward:a b:board", "ward:8:board\n",
     "ward:٣:board", "ward:é:board", "ward:{ward}:board", "WARD:8:board", "ward:8:9:board"],
)  # fmt: skip
def test_names_that_no_channel_may_have(name: str) -> None:
    assert Names([("board", "ward:{ward}:board")]).find(name) is None


def test_what_is_no_name_in_braces_is_taken_as_it_is() -> None:
    assert Names([("a", "a.b")]).find("axb") is None
    assert Names([("a", "a.{b}")]).find("a.1") is not None


def test_a_name_has_its_longest() -> None:
    names = Names([("any", "{a}")])
    assert names.find("a" * LONGEST) is not None
    assert names.find("a" * (LONGEST + 1)) is None


def test_no_name_takes_long_to_be_read() -> None:
    pattern = ":".join(f"{{{letter}}}" for letter in "abcdefghijklmnopqrst")
    began = time.monotonic()
    Names([("any", PATTERN.validate_python(pattern))]).find("." * (LONGEST - 1) + "!")
    assert time.monotonic() - began < 0.5


@given(PART, PART)
def test_what_was_put_in_is_found_again(ward: str, bed: str) -> None:
    pattern = PATTERN.validate_python("ward:{ward}:bed/{bed}")
    name = filled(pattern, {"ward": ward, "bed": bed})
    found = Names([("beds", pattern)]).find(name)
    assert found == ("beds", {"ward": ward, "bed": bed})


def test_what_is_not_known_stays() -> None:
    assert filled("{ward}:{bed}", {"ward": "{bed}"}) == "{bed}:{bed}"
    assert holes("ward:{ward}:bed:{bed}:{BED}") == {"ward", "bed"}
