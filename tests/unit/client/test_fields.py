"""What header fields say, whoever wrote them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client import fields

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.text() | st.from_regex(r"\s*[0-9]{0,30}\s*") | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} .*"))
def test_whatever_retry_after_says_it_is_a_time_from_now_or_nothing(said: str) -> None:
    found = fields.retry_after(said, NOW)
    assert found is None or timedelta(0) <= found


@given(st.integers(0, 10**9 - 1))
def test_seconds_are_read_as_they_are(seconds: int) -> None:
    assert fields.retry_after(f" {seconds} ", NOW) == timedelta(seconds=seconds)


@given(st.integers(0, 2 * 10**11))
def test_dates_are_read_as_they_are(seconds: int) -> None:
    aware = NOW + timedelta(seconds=seconds)
    assert fields.retry_after(format_datetime(aware, usegmt=True), NOW) == aware - NOW


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", timedelta(0)),
        ("9" * 40, timedelta(seconds=10**9)),
    ],
)
def test_what_cannot_be_read_is_nothing_and_the_past_is_now(said: str | None, expected: timedelta | None) -> None:
    assert fields.retry_after(said, NOW) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['</held/1>; rel="monitor"'], "/held/1"),
        (["</held/1>;rel=monitor"], "/held/1"),
        (['</a>; rel="next", </held/1>; rel="up Monitor"'], "/held/1"),
        (["</a>; rel=next", '</held/1> ; title="a, \\"b\\"; rel=x" ; rel=monitor'], "/held/1"),
        (["<https://a.example/x,y;z>; rel=monitor"], "https://a.example/x,y;z"),
        (['</a>; rel=next; rel="monitor"'], None),
        (['</a>; rel=monitor; anchor="#other"'], None),
        (["/a; rel=monitor"], None),
        (["</a>; rel=monitoring"], None),
        (["</a"], None),
        ([], None),
    ],
)
def test_links_are_found_by_their_relation(values: list[str], expected: str | None) -> None:
    assert fields.linked(values, "monitor") == expected


@given(st.lists(st.text(alphabet='<>;,="\\ relmonitoar/', max_size=200)))
def test_whatever_links_say_it_is_one_of_them_or_nothing(values: list[str]) -> None:
    found = fields.linked(values, "monitor")
    assert found is None or any(f"<{found}>" in value.replace(" ", "") or found in value for value in values)


def test_a_long_list_of_links_takes_no_long_time() -> None:
    value = '<a>; rel="' + "\\" * 50_000 + ", <b>" * 10_000 + '"; ' * 1000
    assert fields.linked([value], "monitor") is None


@given(st.text())
def test_progress_is_short_and_may_be_shown(said: str) -> None:
    shown = fields.progress(said)
    assert len(shown) <= 100
    assert shown.isprintable()
    percent = fields.percent(shown)
    assert percent is None or 0 <= percent <= 100


@pytest.mark.parametrize(
    ("said", "expected"), [("30%", 30.0), ("12.5 % of 80", 12.5), ("999%", 100.0), ("half", None), ("1234%", None), ("", None)]
)
def test_how_much_is_done_is_read_where_it_is_said(said: str, expected: float | None) -> None:
    assert fields.percent(said) == expected
