"""When something is due, and when it is late: by the clocks of a place, which are put forward and back twice a year.

A time of day is the first moment of its day at which the clocks there show it or later. So what is due at 01:30 is due once on the
day on which that comes twice (in Europe/London the last Sunday of October), the first time; and on the day on which it never comes
(the last Sunday of March, when 02:00 follows 00:59), at the moment when the clocks are put forward.

What is due every so often is due at the multiples of that since the Unix epoch, the same on every node and after every restart;
changes of the clocks do not touch it, but for the days and the hours to which it is restricted.

Python's `zoneinfo` reads the machine's time zones, or else the package `tzdata`; a zone that neither has is a mistake in the file.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fiveways.clock import moment_of
from fiveways.deployment.settings import Duration, Settings

HOME: Final = "Europe/London"
"""The time zone where none is said."""
_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = moment_of(0)
_SEARCH: Final = 800
"""Days among which a due one is looked for: there is one in every month."""
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?: ([A-Za-z][A-Za-z0-9_+/-]{1,63}))?")
_HOURS: Final = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)(?: (\S+))?")


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"no time zone {name} is known here: expected one such as Europe/London (a machine without any needs `tzdata`)"
        raise ValueError(text) from None


class LocalTime(NamedTuple):
    """A time of day in a place: `02:00 Europe/London`, or `02:00` for that of Europe/London."""

    hour: int
    minute: int
    zone: str = HOME

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02} {self.zone}"

    def on(self, day: date) -> datetime:
        """The first moment of a day, in UTC, at which the clocks show this time or a later one."""
        return _first(datetime.combine(day, time(self.hour, self.minute)), _zone(self.zone))

    def day(self, moment: datetime) -> date:
        """The day that it is there."""
        return moment.astimezone(_zone(self.zone)).date()

    @classmethod
    def parse(cls, value: Any) -> LocalTime:
        """A time of day from its spelling in the deployment file."""
        if isinstance(value, LocalTime):
            return value
        found = _TIME.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError("expected a time of day such as 02:00 Europe/London")
        _zone(found[3] or HOME)
        return cls(int(found[1]), int(found[2]), found[3] or HOME)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_TIME.pattern}$", "examples": ["02:00 Europe/London"]}


class Hours(NamedTuple):
    """The hours of a day between which something happens, without the last moment: `07:00-19:00 Europe/London`. They may go past
    midnight, and belong then to the day on which they begin."""

    begin: LocalTime
    end: LocalTime

    def __str__(self) -> str:
        return f"{self.begin.hour:02}:{self.begin.minute:02}-{self.end.hour:02}:{self.end.minute:02} {self.begin.zone}"

    def on(self, day: date) -> tuple[datetime, datetime]:
        """From when to when they are of a day, in UTC."""
        return self.begin.on(day), self.end.on(day if self.end > self.begin else day + _DAY)

    @classmethod
    def parse(cls, value: Any) -> Hours:
        """Hours from their spelling in the deployment file."""
        if isinstance(value, Hours):
            return value
        found = _HOURS.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[1] == found[2]:
            raise ValueError("expected hours such as 07:00-19:00 Europe/London")
        zone = f" {found[3] or HOME}"
        return cls(LocalTime.parse(found[1] + zone), LocalTime.parse(found[2] + zone))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_HOURS.pattern}$", "examples": ["07:00-19:00 Europe/London"]}


class Days(NamedTuple):
    """On which days: `daily`; `mon-fri`, `sat,sun`, `fri-mon`; `monthly 3`, `monthly 1,15`, `monthly last`. Of a month that has no
    31st day, that is its last."""

    weekdays: frozenset[int] = frozenset(range(7))
    """From 0, Monday."""
    of_month: frozenset[int] = frozenset()
    """Days of the month, from 1; empty: by weekdays. 31 is the last, whichever that is."""
    text: str = "daily"

    def __str__(self) -> str:
        return self.text

    def __contains__(self, day: object) -> bool:
        if not isinstance(day, date):
            return False
        if not self.of_month:
            return day.weekday() in self.weekdays
        last = monthrange(day.year, day.month)[1]
        return day.day in self.of_month or (day.day == last and any(each > last for each in self.of_month))

    @classmethod
    def parse(cls, value: Any) -> Days:
        """Days from their spelling in the deployment file."""
        if isinstance(value, Days):
            return value
        if value == "daily":
            return cls()
        said = value if isinstance(value, str) else ""
        if said.startswith("monthly "):
            days = [31 if each == "last" else _number(each) for each in said.removeprefix("monthly ").split(",")]
            if all(1 <= day <= 31 for day in days):
                return cls(of_month=frozenset(days), text=said)
        elif said and (found := _weekdays(said)):
            return cls(found, text=said)
        raise ValueError("expected days such as daily, mon-fri, sat,sun, monthly 3, monthly 1,15 or monthly last")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "examples": ["daily", "mon-fri", "monthly 3", "monthly last"]}


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str | LocalTime) else value


Times = Annotated[tuple[LocalTime, ...], BeforeValidator(_many), Field(max_length=48)]
"""One time of day, or several."""


class _Timetable(Settings):
    """What errands and expectations have in common."""

    every: Duration | None = Field(default=None, ge=timedelta(seconds=10))
    """How often, instead of at times of the day: 15m. Counted from the Unix epoch, so that 15m is at 00, 15, 30 and 45."""
    days: Days = Days()
    """On which days: daily, mon-fri, sat,sun, monthly 3, monthly last."""
    between: Hours | None = None
    """Of what happens every so often, the hours: 07:00-19:00 Europe/London."""

    def _times(self) -> tuple[LocalTime, ...]:
        raise NotImplementedError

    def _next(self, after: datetime) -> datetime:
        """The first due moment after another; both aware, the result in UTC. Raises ValueError where there is none."""
        times = self._times()
        if times:
            return min(self._of_day(each, after) for each in times)
        for begin, end in self._spans(after):
            moment = self._multiple(max(after, begin - _MICROSECOND))
            if moment < end:
                return moment
        raise ValueError("nothing is due on any day")

    def _last(self, until: datetime) -> datetime:
        """The latest due moment that is not after another. Raises ValueError where there is none within two years."""
        times = self._times()
        if times:
            return max(self._of_day_before(each, until) for each in times)
        for begin, end in self._spans(until, back=True):
            moment = self._multiple(min(until, end - _MICROSECOND)) - self._every()
            if moment >= begin:
                return moment
        raise ValueError("nothing was due")

    def _of_day(self, at: LocalTime, after: datetime) -> datetime:
        first = at.day(after) - _DAY  # where clocks go back over midnight, a day's moment may be in the next
        for ahead in range(_SEARCH):
            day = first + ahead * _DAY
            if day in self.days and (moment := at.on(day)) > after:
                return moment
        raise ValueError("nothing is due on any day")

    def _of_day_before(self, at: LocalTime, until: datetime) -> datetime:
        last = at.day(until) + _DAY
        for ago in range(_SEARCH):
            day = last - ago * _DAY
            if day in self.days and (moment := at.on(day)) <= until:
                return moment
        raise ValueError("nothing was due")

    def _spans(self, moment: datetime, *, back: bool = False) -> Iterator[tuple[datetime, datetime]]:
        """From when to when something is due every so often, of the days from that of a moment on, or `back` from it."""
        hours, midnight = self.between, LocalTime(0, 0, self.between.begin.zone if self.between is not None else HOME)
        step = -_DAY if back else _DAY
        first = midnight.day(moment) - step  # the hours of a day may go on into the next
        for ahead in range(_SEARCH):
            day = first + ahead * step
            if day in self.days:
                begin, end = hours.on(day) if hours is not None else (midnight.on(day), midnight.on(day + _DAY))
                if begin <= moment if back else end > moment:
                    yield begin, end

    def _multiple(self, after: datetime) -> datetime:
        return _EPOCH + ((after - _EPOCH) // self._every() + 1) * self._every()

    def _every(self) -> timedelta:
        assert self.every is not None
        return self.every


_T = TypeVar("_T", bound=_Timetable)


class Schedule(_Timetable):
    """When something is done: at times of the day, or every so often."""

    at: Times = ()
    """At which time of the day, or times: 02:00 Europe/London."""

    def _times(self) -> tuple[LocalTime, ...]:
        return self.at

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _checked(self, "at")

    def next_run(self, after: datetime) -> datetime:
        """The first moment after another at which it is to be done, in UTC. That what takes longer is not begun again beside itself
        is the business of who runs it."""
        return self._next(after)


class Expectation(_Timetable):
    """When something is to have come, and how late it may be."""

    by: Times = ()
    """By which time of the day, or times: 02:00 Europe/London."""
    grace: Duration = timedelta(0)
    """How long after that nobody is told yet."""
    early: Duration | None = None
    """How long before it is expected it may come; what came before that belongs to the time before. Default: half of the time from
    the one to the other."""

    def _times(self) -> tuple[LocalTime, ...]:
        return self.by

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _checked(self, "by")

    def due(self, after: datetime) -> datetime:
        """The first moment after another by which something is to have come, in UTC."""
        return self._next(after)

    def opens(self, due: datetime) -> datetime:
        """From when on what comes belongs to a due moment."""
        before = self._last(due - _MICROSECOND)
        return max(before, due - self.early) if self.early is not None else before + (due - before) / 2

    def late(self, last_arrival: datetime | None, now: datetime, *, since: datetime | None = None) -> datetime | None:
        """The moment by which something was to have come that has not, its grace included; None where nothing is late.

        Of several that were missed it is the latest. `last_arrival`: when something came last, if ever; `since`: when one began to
        expect it, so that nothing is late that was due before.
        """
        due = self._last(now - self.grace)
        if due + self.grace >= now:  # it may come up to that very moment
            due = self._last(due - _MICROSECOND)
        if since is not None and due <= since:
            return None
        return due if last_arrival is None or last_arrival < self.opens(due) else None


def _checked(said: _T, name: str) -> _T:
    times = getattr(said, name)
    if bool(times) == (said.every is not None):
        raise ValueError(f"expected either {name} or every")
    if said.between is not None and said.every is None:
        raise ValueError("between: says the hours of every, and means nothing without it")
    if said.every is not None:
        try:
            said._next(_EPOCH)  # noqa: SLF001 - of this module
        except ValueError:
            raise ValueError("every: is so long that it never comes between these hours on these days") from None
    return said


def _first(shown: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the clocks of a zone show a time or a later one."""
    early, late = sorted(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) == shown:
        return early
    while late - early > timedelta(seconds=1):  # it is left out: the clocks are put forward in between
        middle = early + (late - early) // 2
        if middle.astimezone(zone).replace(tzinfo=None) >= shown:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)


def _weekdays(said: str) -> frozenset[int]:
    found: set[int] = set()
    for part in said.split(","):
        first, dash, last = part.partition("-")
        if first not in _WEEK or (dash and last not in _WEEK):
            return frozenset()
        begin = _WEEK.index(first)
        end = _WEEK.index(last) if dash else begin
        found |= {(begin + each) % 7 for each in range((end - begin) % 7 + 1)}
    return frozenset(found)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[1-9]\d?", text) else 0
