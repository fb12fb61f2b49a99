"""When something is due and when it is late, on the days on which the clocks are changed too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fiveways.methods.bulk.schedule import Days, Expectation, LocalTime, Schedule


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def said(moment: datetime | None) -> str:
    """A moment, to read."""
    return "" if moment is None else f"{moment:%a %Y-%m-%d %H:%M}"


def runs(after: str, count: int, **settings: Any) -> list[str]:
    """The next moments of a schedule."""
    schedule, moment, found = Schedule(**settings), utc(after), []
    for _ in range(count):
        moment = schedule.next_run(moment)
        found.append(said(moment))
    return found


# In 2026 the clocks of Europe/London are put forward on 29 March (01:00 GMT) and back on 25 October (02:00 BST, 01:00 GMT).


def test_a_time_of_day_keeps_to_the_clocks_of_its_place() -> None:
    assert runs("2026-03-27T12:00", 3, at="02:00 Europe/London") == [
        "Sat 2026-03-28 02:00", "Sun 2026-03-29 01:00", "Mon 2026-03-30 01:00",
    ]  # fmt: skip
    assert runs("2026-10-23T12:00", 3, at="02:00 Europe/London") == [
        "Sat 2026-10-24 01:00", "Sun 2026-10-25 02:00", "Mon 2026-10-26 02:00",
    ]  # fmt: skip


def test_a_time_that_never_comes_is_when_the_clocks_are_put_forward() -> None:
    for never in ("01:00", "01:01", "01:30", "01:59"):
        assert runs("2026-03-28T12:00", 2, at=f"{never} Europe/London") == [
            "Sun 2026-03-29 01:00", f"Mon 2026-03-30 00:{never[3:]}",
        ]  # fmt: skip


def test_a_time_that_comes_twice_is_due_the_first_time_and_once() -> None:
    assert runs("2026-10-24T12:00", 2, at="01:30 Europe/London") == ["Sun 2026-10-25 00:30", "Mon 2026-10-26 01:30"]
    assert runs("2026-10-25T00:30", 1, at="01:30 Europe/London") == ["Mon 2026-10-26 01:30"], "not the second time"


def test_a_place_whose_clocks_are_changed_at_midnight() -> None:
    assert runs("2024-04-25T12:00", 2, at="00:30 Africa/Cairo") == ["Thu 2024-04-25 22:00", "Fri 2024-04-26 21:30"]


def test_several_times_of_a_day() -> None:
    assert runs("2026-06-01T00:00", 3, at=["18:00", "06:00 Europe/London"]) == [
        "Mon 2026-06-01 05:00", "Mon 2026-06-01 17:00", "Tue 2026-06-02 05:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("mon-fri", ["Fri 2026-01-30", "Mon 2026-02-02", "Tue 2026-02-03"]),
        ("sat,sun", ["Sat 2026-01-31", "Sun 2026-02-01", "Sat 2026-02-07"]),
        ("fri-mon", ["Fri 2026-01-30", "Sat 2026-01-31", "Sun 2026-02-01"]),
        ("monthly 3", ["Tue 2026-02-03", "Tue 2026-03-03", "Fri 2026-04-03"]),
        ("monthly 1,15", ["Sun 2026-02-01", "Sun 2026-02-15", "Sun 2026-03-01"]),
        ("monthly 30", ["Fri 2026-01-30", "Sat 2026-02-28", "Mon 2026-03-30"]),
        ("monthly last", ["Sat 2026-01-31", "Sat 2026-02-28", "Tue 2026-03-31"]),
    ],
)
def test_days(days: str, expected: list[str]) -> None:
    assert [each[:14] for each in runs("2026-01-29T12:00", 3, at="02:00", days=days)] == expected


def test_every_so_often_is_the_same_on_every_node_and_the_clocks_do_not_touch_it() -> None:
    assert [each[-5:] for each in runs("2026-03-29T00:40:01", 4, every="15m")] == ["00:45", "01:00", "01:15", "01:30"]
    assert runs("2026-10-25T00:10", 8, every="15m")[-1] == "Sun 2026-10-25 02:00"


def test_every_so_often_within_hours_and_on_days() -> None:
    found = runs("2026-03-27T18:20", 3, every="30m", between="07:00-19:00 Europe/London", days="mon-fri")
    assert found == ["Fri 2026-03-27 18:30", "Mon 2026-03-30 06:00", "Mon 2026-03-30 06:30"], "Monday 07:00 is BST"
    night = runs("2026-06-05T20:30", 5, every="60m", between="22:00-01:00", days="fri")
    assert night == [
        "Fri 2026-06-05 21:00", "Fri 2026-06-05 22:00", "Fri 2026-06-05 23:00", "Fri 2026-06-12 21:00", "Fri 2026-06-12 22:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"at": "02:00", "every": "15m"},
        {"at": "24:00"},
        {"at": "2:00"},
        {"at": "02:00 Europe/Londn"},
        {"at": "02:00 ../../etc/passwd"},
        {"at": "02:00", "between": "07:00-19:00"},
        {"every": "1s"},
        {"every": "1h", "between": "07:10-07:20"},
        {"every": "1h", "between": "07:00-07:00"},
        {"at": "02:00", "days": "mon-fry"},
        {"at": "02:00", "days": "monthly 0"},
        {"at": "02:00", "days": "monthly 32"},
        {"at": "02:00", "days": ""},
        {"at": "02:00", "days": 3},
        {"at": ["02:00"] * 49},
    ],
)
def test_what_is_no_schedule_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Schedule(**settings)


def test_what_is_said_is_written_as_it_is_read() -> None:
    schedule = Schedule.model_validate({"every": "15m", "between": "07:00-19:00 Europe/Paris", "days": "mon,wed-fri"})
    assert Schedule.model_validate(schedule.model_dump(mode="json")) == schedule
    expected = Expectation.model_validate({"by": "02:00", "days": "monthly last", "grace": "30m"})
    assert expected.model_dump(mode="json", exclude_defaults=True) == {
        "by": ["02:00 Europe/London"], "days": "monthly last", "grace": "30m",
    }  # fmt: skip
    assert issubclass(Schedule, BaseModel)
    assert Schedule.model_json_schema()["properties"]["days"]["examples"]


# --- lateness -------------------------------------------------------------------------------------------------------------

NIGHTLY = Expectation.model_validate({"by": "02:00 Europe/London", "days": "mon-fri", "grace": "30m"})


@pytest.mark.parametrize(
    ("arrival", "now", "late"),
    [
        ("2026-06-02T00:55", "2026-06-02T23:00", ""),  # Tuesday's, in time
        ("2026-06-01T00:55", "2026-06-02T01:29", ""),  # Tuesday's has not come, and has its grace
        ("2026-06-01T00:55", "2026-06-02T01:30", ""),
        ("2026-06-01T00:55", "2026-06-02T01:31", "Tue 2026-06-02 01:00"),
        ("2026-06-02T09:00", "2026-06-02T09:01", ""),  # eight hours late, but there
        ("2026-06-02T09:00", "2026-06-03T01:31", "Wed 2026-06-03 01:00"),  # and not Wednesday's
        ("2026-06-02T20:00", "2026-06-03T01:31", ""),  # the evening before: Wednesday's
        ("2026-06-05T00:55", "2026-06-07T23:00", ""),  # nothing is due on Saturday and Sunday
        ("2026-06-05T00:55", "2026-06-08T02:00", "Mon 2026-06-08 01:00"),
        ("2026-06-01T00:55", "2026-06-12T02:00", "Fri 2026-06-12 01:00"),  # the latest of several
        ("2026-10-23T01:00", "2026-10-26T02:29", ""),  # by GMT again
        ("2026-10-23T01:00", "2026-10-26T02:31", "Mon 2026-10-26 02:00"),
        ("2026-10-25T01:00", "2026-10-26T02:31", ""),  # a day early
        (None, "2026-06-02T02:00", "Tue 2026-06-02 01:00"),
    ],
)
def test_what_is_late(arrival: str | None, now: str, late: str) -> None:
    assert said(NIGHTLY.late(utc(arrival) if arrival else None, utc(now))) == late


def test_nothing_is_late_that_was_due_before_one_began_to_expect_it() -> None:
    assert NIGHTLY.late(None, utc("2026-06-02T02:00"), since=utc("2026-06-02T01:10")) is None
    assert said(NIGHTLY.late(None, utc("2026-06-03T02:00"), since=utc("2026-06-02T01:10"))) == "Wed 2026-06-03 01:00"


def test_how_early_something_may_come_can_be_said() -> None:
    monthly = Expectation.model_validate({"by": "09:00", "days": "monthly 5", "early": "2d"})
    assert monthly.late(utc("2026-06-04T00:00"), utc("2026-06-06T00:00")) is None
    assert said(monthly.late(utc("2026-06-02T00:00"), utc("2026-06-06T00:00"))) == "Fri 2026-06-05 08:00"


def test_something_that_is_expected_every_so_often() -> None:
    often = Expectation.model_validate({"every": "15m", "grace": "5m"})
    assert often.late(utc("2026-06-01T10:00:10"), utc("2026-06-01T10:20:00")) is None
    assert said(often.late(utc("2026-06-01T10:00:10"), utc("2026-06-01T10:20:01"))) == "Mon 2026-06-01 10:15"
    assert often.late(utc("2026-06-01T10:08:00"), utc("2026-06-01T10:20:01")) is None


# --- whatever is said -----------------------------------------------------------------------------------------------------

ZONES = st.sampled_from(["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata"])
DAYS = st.sampled_from(["daily", "mon-fri", "sun", "monthly 1", "monthly 30", "monthly last"])
MOMENTS = st.integers(1_704_067_200, 1_830_297_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(ZONES, DAYS, st.integers(0, 23), st.integers(0, 59), MOMENTS)
def test_a_time_is_due_once_a_day_at_the_first_moment_at_which_the_clocks_show_it(
    zone: str, days: str, hour: int, minute: int, after: datetime
) -> None:
    schedule = Expectation(by=(LocalTime(hour, minute, zone),), days=Days.parse(days))
    due = schedule.due(after)
    assert due > after
    shown = due.astimezone(ZoneInfo(zone))
    before = (due - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    assert shown.date() in Days.parse(days)
    assert (shown.hour, shown.minute) >= (hour, minute), "not before the clocks show it"
    assert before.date() < shown.date() or (before.hour, before.minute) < (hour, minute), "and no later"
    following = schedule.due(due)
    assert following.astimezone(ZoneInfo(zone)).date() > shown.date()
    assert schedule.opens(following) == due + (following - due) / 2
    assert schedule.late(due, due + timedelta(seconds=1)) is None
    assert schedule.late(due - timedelta(days=40), due + timedelta(seconds=1)) == due


@given(st.integers(10, 200_000), DAYS, st.sampled_from([None, "07:00-19:00", "22:00-03:00"]), MOMENTS)
def test_what_is_due_every_so_often_is_due_at_multiples(seconds: int, days: str, between: str | None, after: datetime) -> None:
    try:
        said = {"every": f"{seconds}s", "days": days, "between": between}
        expected = Expectation.model_validate({key: value for key, value in said.items() if value is not None})
        due = expected.due(after)
        following = expected.due(due)
    except ValueError:
        assert between is not None or days != "daily", "an interval that is long enough may miss all hours"
        return
    assert after < due < following
    assert due.timestamp() % seconds == following.timestamp() % seconds == 0
    assert expected.late(following, following + timedelta(seconds=1)) is None
    if expected.opens(following) > due:
        assert expected.late(due, following + timedelta(seconds=1)) == following
