"""What a feed asks of its records: each rule is seen to be kept and to be broken, and every one that is broken is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from nhs_number.validate import is_valid
from pydantic import ValidationError
from tests.unit.methods.bulk.quality.examined import look, settings

from fiveways.methods.bulk.quality.nhs_numbers import wrong_digit
from fiveways.methods.bulk.quality.unique import Seen


def broken(column: dict[str, Any], value: str, **options: Any) -> list[str]:
    """The rules that a value breaks."""
    quoted = '"' + value.replace('"', '""') + '"'
    found = look(f"id,value\n1,{quoted}\n".encode(), settings(columns={"id": {}, "value": column}, lines=3), **options)
    return [rule for rules in found.rules.values() for rule in rules]


@pytest.mark.parametrize(
    ("column", "fine", "wrong"),
    [
        ({"type": "integer"}, ["0", "-12", "9223372036854775807"], ["1.5", "x", "9223372036854775808", " 1", "1e3", "١"]),
        ({"type": "decimal"}, ["0", "-1.50", "1e3"], ["x", "nan", "inf", "1,5", " 1"]),
        ({"type": "date"}, ["2024-02-29"], ["2026-02-30", "2026-1-1", "26-01-01", "+2026-01-1", "2026-01-01T00:00", "2026-01- 1"]),
        ({"type": "date", "format": "%d/%m/%Y"}, ["29/02/2024"], ["2024-02-29", "1/2/2024", "31/04/2024"]),
        (
            {"type": "datetime"},
            ["2026-11-23T10:00", "2026-11-23T10:00:59Z", "2026-11-23T10:00:59.123+01:00"],
            ["2026-11-23 10:00", "2026-11-23T25:00", "2026-11-23T10:00:61", "2026-11-23T10:00:00+25:00", "2026-11-23"],
        ),
        ({"type": "datetime", "format": "%Y%m%d%H%M%S"}, ["20261123101500"], ["2026112310150", "20261123106500"]),
        ({"type": "boolean"}, ["true", "FALSE", "1", "0", "Y", "n"], ["yes", "2", "T"]),
        ({"type": "nhs_number"}, ["9434765919", "0101200007"], ["943476591", "943 476 5919", "94347659190", "943476591x"]),
    ],
)
def test_a_type_is_kept_or_broken(column: dict[str, Any], fine: list[str], wrong: list[str]) -> None:
    assert {each: broken(column, each) for each in fine if each != "0101200007"} == {
        each: [] for each in fine if each != "0101200007"
    }
    assert {each: broken(column, each)[:1] for each in wrong} == {each: ["type"] for each in wrong}


@pytest.mark.parametrize(
    ("column", "fine", "wrong", "rule"),
    [
        ({"pattern": "[A-Z]{2}|x"}, ["AB", "x"], ["ABC", "AB\n", "xA", "ab"], "pattern"),
        ({"min_length": 2, "max_length": 3}, ["éé", "abc"], ["é", "abcd"], "length"),
        ({"type": "integer", "min": 0, "max": 9}, ["0", "9"], ["-1", "10"], "range"),
        ({"type": "decimal", "max": 0.1}, ["0.1", "-5"], ["0.11"], "range"),
        (
            {"type": "date", "min": "2000-01-01", "max": "today"},
            ["2000-01-01", "2026-11-23"],
            ["1999-12-31", "2026-11-24"],
            "range",
        ),
        ({"type": "date", "min": date(2000, 1, 1)}, ["2000-01-01"], ["1999-12-31"], "range"),
        (
            {"type": "datetime", "max": "2026-11-23T10:00:00Z"},
            ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00", "2026-11-23T09:00:00.5-00:30"],
            ["2026-11-23T10:00:01Z", "2026-11-23T10:00:00-01:00", "2026-11-23T10:00:00.001Z"],
            "range",
        ),
        ({"type": "code", "codes": ["1", "2"]}, ["1", "2"], ["3", "01"], "code"),
        ({"type": "text", "references": ["RXN"]}, ["RXN"], ["RTR"], "reference"),
        ({"type": "nhs_number"}, ["9434765919"], ["9434765918", "1010101010"], "check-digit"),
        ({}, ["a=b", "44"], ["=1+1", "+44", "-x", "@SUM(A1)", "\tx", "\rx", "＝1"], "formula"),
        ({"formulas": True}, ["=1+1"], [], "formula"),
    ],
)
def test_a_rule_is_kept_or_broken(column: dict[str, Any], fine: list[str], wrong: list[str], rule: str) -> None:
    assert {each: broken(column, each) for each in fine} == {each: [] for each in fine}
    assert {each: broken(column, each) for each in wrong} == {each: [rule] for each in wrong}


def test_an_empty_value_breaks_no_rule_but_required() -> None:
    column = {"type": "integer", "min": 1, "pattern": "[0-9]", "codes": ["1"]}
    assert broken(column, "") == []
    assert broken({**column, "required": True}, "") == ["required"]


def test_what_stands_for_no_value_is_the_feeds() -> None:
    said = settings(columns={"id": {}, "n": {"type": "integer", "required": True}}, nulls=["", "NULL"])
    found = look(b"id,n\n1,NULL\n2,\n3,4\n", said)
    assert found.rules == {1: ["required"], 2: ["required"]}


def test_every_rule_that_a_record_broke_is_told() -> None:
    said = settings(
        columns={"id": {"pattern": "E[0-9]"}, "nhs": {"type": "nhs_number"}, "from": {"type": "date"}, "to": {"type": "date"}},
        unique=["id"],
        rules={"order": {"compare": "to >= from"}},
    )
    found = look(b"id,nhs,from,to\nX,9434765919,,\nX,9434765918,2026-02-02,2026-02-01\n", said)
    assert found.broken == {
        1: [("pattern", "id")],
        2: [("pattern", "id"), ("order", None), ("check-digit", "nhs"), ("unique", "id")],
    }
    assert found.bad[1].breaches[-1].note == "The same as of record 1"


@pytest.mark.parametrize(
    ("compare", "wrong"),
    [("a <= b", [2]), ("a != b", [3]), ("a < 2", [2, 4]), ("n == 'x'", [2]), ("d > 2026-01-01", [1, 3]), ("d <= today", [2])],
)
def test_columns_are_compared(compare: str, wrong: list[int]) -> None:
    said = settings(
        columns={"a": {"type": "integer"}, "b": {"type": "decimal"}, "n": {}, "d": {"type": "date"}},
        rules={"rule": {"compare": compare}},
    )
    rows = b"a,b,n,d\n1,2.5,x,2025-01-01\n3,2,y,2026-12-01\n1,1,x,2026-01-01\n2,,,\n"
    assert look(rows, said).rules == {each: ["rule"] for each in wrong}


def test_a_column_may_be_required_where_others_say_so() -> None:
    said = settings(
        columns={"died": {}, "on": {}, "by": {}},
        rules={
            "day": {"require": "on", "when": {"died": ["Y"]}},
            "who": {"require": "by", "when": {"died": ["Y", "U"], "on": []}},
        },
    )
    found = look(b"died,on,by\nY,,\nN,,\nU,2026-01-01,\n,,\n", said)
    assert found.broken == {1: [("day", "on")], 3: [("who", "by")]}


def test_keys_are_of_several_columns_and_an_empty_part_is_not_looked_at() -> None:
    said = settings(columns={"a": {}, "b": {}, "c": {}}, unique=[["a", "b"], "c"])
    found = look(b"a,b,c\n1,2,x\n1,2,y\n12,,x\n12,,\n1,22,\n", said)
    assert found.broken == {2: [("unique", "a + b")], 3: [("unique", "c")]}


def test_lists_may_be_in_a_file_and_of_another_feed(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("name,code\nNorth,RXN\nSouth,RTR\n")
    said = settings(
        columns={"site": {"codes": {"file": "sites.csv", "column": "code"}}, "patient": {"references": {"feed": "patients"}}}
    )
    asked = []

    def feeds(feed: str, column: str) -> list[str]:
        asked.append((feed, column))
        return ["P1", "P2"]

    found = look(b"site,patient\nRXN,P1\nR0A,P3\n", said, base=tmp_path, feeds=feeds)
    assert found.broken == {2: [("code", "site"), ("reference", "patient")]}
    assert asked == [("patients", "patient")]


def test_a_list_that_is_not_there_rejects_the_file() -> None:
    said = settings(columns={"site": {"codes": {"file": "nowhere.csv"}}})
    for each in (said, settings(columns={"site": {"references": {"feed": "patients"}}})):
        fault = look(b"site\nx\n", each).examination.fault
        assert fault is not None
        assert fault.code == "list"


def test_functions_of_the_feeds_own_get_batches_and_rows(tmp_path: Path) -> None:
    (tmp_path / "northshire_checks.py").write_text(
        "def batch(frame):\n    return frame['n'] % 2 == 0\n"
        "def row(record):\n    if record['n'] == 4: raise ValueError('secret')\n    return record['n'] != 2 or 'is two'\n"
        "def short(frame):\n    return [True]\n"
    )
    rules = {"even": {"check": "northshire_checks:batch"}, "two": {"check": "northshire_checks:row", "of": "row"}}
    found = look(b"n\n1\n2\n4\n6\n", settings(columns={"n": {"type": "integer"}}, rules=rules), base=tmp_path)
    assert found.rules == {1: ["even"], 2: ["two"], 3: ["two"]}
    assert [each.breaches[0].note for each in found.bad] == ["", "is two", "The check failed: ValueError"]
    for name in ("short", "none"):
        said = settings(columns={"n": {"type": "integer"}}, rules={"x": {"check": f"northshire_checks:{name}"}})
        fault = look(b"n\n1\n2\n", said, base=tmp_path).examination.fault
        assert fault is not None
        assert fault.code == "check"


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ({"type": "nhs_number"}, "9434765918", "(hidden)"),
        ({"pattern": "x"}, "Khan", "(hidden)"),
        ({"pattern": "x", "mask": "show"}, "Kh\x1ban", "Kh\\x1ban"),
        ({"pattern": "x", "mask": "length"}, "Khan", "(4 characters)"),
        ({"type": "date"}, "9434765918", "(10 characters)"),
        ({"type": "date", "max": "today"}, "2030-01-01", "2030-01-01"),
        ({"type": "code", "codes": ["1"]}, "Khan", "(4 characters)"),
        ({"type": "code", "codes": ["1"], "mask": "show"}, "y" * 90, "y" * 80 + "…"),
    ],
)
def test_values_are_shown_as_the_mask_says(column: dict[str, Any], value: str, shown: str) -> None:
    found = look(f"id,value\n1,{value}\n".encode(), settings(columns={"id": {}, "value": column}))
    assert found.bad[0].breaches[0].value == shown


@pytest.mark.parametrize(
    "said",
    [
        {"columns": {"a": {"type": "code"}}},
        {"columns": {"a": {"pattern": "(?=x)"}}},
        {"columns": {"a": {"format": "%Y"}}},
        {"columns": {"a": {"type": "date", "format": "%q"}}},
        {"columns": {"a": {"min": 3}}},
        {"columns": {"a": {"type": "date", "min": "yesterday"}}},
        {"columns": {"a": {"codes": {"values": ["x"], "file": "y"}}}},
        {"columns": {"a": {}}, "unique": ["b"]},
        {"columns": {"a": {}}, "rules": {"x": {"compare": "b > c"}}},
        {"columns": {"a": {}}, "rules": {"x": {"compare": "a"}}},
        {"columns": {"a": {}}, "rules": {"x": {"require": "a"}}},
        {"columns": {"a": {}}, "delimiter": '"'},
        {"columns": {"a": {}}, "encoding": "shift_jis"},
        {"columns": {"a": {}}, "format": "fixed"},
        {"columns": {"a": {"path": "b..c"}}},
        {},
    ],
)
def test_settings_that_mean_nothing_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**said)


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.from_regex("[0-9]{10}", fullmatch=True), st.from_regex("[0-3][0-9][01][0-9]{7}", fullmatch=True)), max_size=40
    )
)
def test_check_digits_are_as_the_library_says(values: list[str]) -> None:
    assert wrong_digit(pl.Series(values, dtype=pl.String)).tolist() == [not is_valid(each) for each in values]


@pytest.mark.parametrize("same_first", [False, True], ids=["hashes", "a first hash that all share"])
def test_keys_are_known_again_through_memory_and_runs(tmp_path: Path, same_first: bool) -> None:
    random = np.random.default_rng(5)
    keys = random.integers(0, 4000, 9000).astype(np.uint64)
    first = np.zeros(9000, np.uint64) if same_first else keys * np.uint64(0x9E3779B97F4A7C15)
    second = keys * np.uint64(0xC2B2AE3D27D4EB4F)
    seen, found = Seen(tmp_path, run=500), []
    for start in range(0, 9000, 700):
        stop = min(9000, start + 700)
        found += seen.add(first[start:stop], second[start:stop], np.arange(start, stop)).tolist()
    seen.close()
    before: dict[int, int] = {}
    expected = [before.setdefault(int(key), at) for at, key in enumerate(keys)]
    assert found == expected
    assert list(tmp_path.iterdir()) == []
