"""A document is read as YAML says, for as much of YAML as a deployment file may have; and each part has its place."""

from __future__ import annotations

import datetime
import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fiveways.deployment import document
from fiveways.errors import DeploymentError

WORDS = st.text("ab:-#[]{}\"'\n€ 01.~", max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.dates() | WORDS
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS.filter(bool), inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(st.sampled_from("abc"), DATA, max_size=3), st.booleans())
def test_data_is_what_a_general_loader_makes_of_it(data: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow)
    assert document.parse(text).data == yaml.safe_load(text) == data


@given(st.recursive(st.integers() | st.booleans() | st.text("ab1", max_size=3), st.lists, max_leaves=8))
def test_an_alias_is_a_copy_and_stands_where_it_was_written(data: Any) -> None:
    read = document.parse(f"first: {{a: &x [{json.dumps(data)}]}}\nagain: *x\n")
    first, again = read.data["first"]["a"], read.data["again"]
    assert first == again == [data]
    assert first is not again
    assert read.position(("again",)) == (2, 1)
    assert read.position(("again", 0)) == read.position(("first", "a", 0))


def test_a_key_may_have_an_anchor_too() -> None:
    assert document.parse("&x a: 1\n&y 2: b\nc: *x\nd: *y\n").data == {"a": 1, "2": "b", "c": "a", "d": 2}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1), ("'1'", "1"), ('"1"', "1"), ("!!str 1", "1"), ("!!int '1'", 1), ("|\n  1\n", "1\n"), ("", None), ("~", None),
        ("yes", True), ("'yes'", "yes"), ("0x10", 16), ("1e3", "1e3"), ("1.0e+3", 1000.0),
        ("2027-09-30", datetime.date(2027, 9, 30)), ("'<<'", "<<"),
    ],
)  # fmt: skip
def test_a_scalar_is_read_by_how_it_is_written(written: str, value: object) -> None:
    read = document.parse(f"a: {written}").data["a"]
    assert (type(read), read) == (type(value), value)


def test_the_same_word_is_read_anew_where_it_stands_in_quotes() -> None:
    assert document.parse("a: x\nb: 1\nc: '1'\nd: 1\ne: !!str 1\nf: 1\n").data == {
        "a": "x", "b": 1, "c": "1", "d": 1, "e": "1", "f": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!bool maybe", "d.yaml:1:1: a: found 'maybe': this is no bool"),
        ("a: !!timestamp later", "d.yaml:1:1: a: found 'later': this is no timestamp"),
        ("a: !!int x", "d.yaml:1:1: a: found 'x': "),
        ("a: !!float x", "d.yaml:1:1: a: found 'x': "),
        (f"a: {'1' * 5000}", "d.yaml:1:1: a: found '1"),
        ("a: &x 1\nb: &x 2\n", "d.yaml:2:4: not YAML: found duplicate anchor 'x'"),
        ("b: *x\na: &x 1\n", "d.yaml:1:4: not YAML: found undefined alias 'x'"),
        ("? [a, b]\n: 1\n", "d.yaml:1:3: a key is text, and nothing else"),
        ("? {a: 1}\n: 1\n", "d.yaml:1:3: a key is text, and nothing else"),
        ("a: &x b\n*x : 1\n", "d.yaml:2:1: a key is text, and nothing else"),
        ("a: {b: 1}\na: {b: [1, {c: 2}], d: 3}\ne: !x {f: [1]}\n", "d.yaml:2:1: a.#again: the key 'a' stands here again"),
        ("---\n", "d.yaml:2:1: (the file): found None, expected a mapping"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        document.parse(text, "d.yaml")
    assert str(refused.value).splitlines()[0].startswith(said)


def test_what_comes_after_something_that_is_passed_over_has_its_place() -> None:
    text = "a: {b: 1}\na: {b: [1, {c: 2}], d: 3}\ne: !x {f: [1]}\ng: [1, !y z]\n"
    with pytest.raises(DeploymentError) as refused:
        document.parse(text, "d.yaml")
    assert [line.partition(": ")[0] for line in str(refused.value).splitlines()] == ["d.yaml:2:1", "d.yaml:3:1", "d.yaml:4:8"]


@given(st.text("ab:-#[]{}\"'\n &*!?|>%@~ 1", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DeploymentError):
        assert isinstance(document.parse(text, "d.yaml").data, dict)
