"""Moments (HL7 v2.9 §2.A.22 DTM): as precise as they are said, and in the sender's declared zone where they say none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

_DTM = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d{2})(?:(?P<day>\d{2})(?:(?P<hour>\d{2})(?:(?P<minute>\d{2})"
    r"(?:(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?(?P<zone>[+-]\d{4})?"
)
PRECISIONS = ("year", "month", "day", "hour", "minute", "second", "fraction")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, and how much of it was said: one of PRECISIONS. `at` is aware from the hour on."""

    at: datetime
    precision: str

    @property
    def fhir(self) -> str:
        """As FHIR's dateTime (R4 §2.24.0.1): a time has seconds and a zone there, so that one without seconds gets zeroes."""
        match self.precision:
            case "year":
                return f"{self.at.year:04}"
            case "month":
                return f"{self.at.year:04}-{self.at.month:02}"
            case "day":
                return self.date
        seconds = self.at.isoformat(timespec="milliseconds" if self.precision == "fraction" else "seconds")
        return seconds.replace("+00:00", "Z") if self.at.tzinfo is UTC else seconds

    @property
    def date(self) -> str:
        """As FHIR's date: no more than the day, and no more than was said."""
        if self.precision in ("year", "month"):
            return self.fhir
        return self.at.date().isoformat()


def parse(text: str, zone: tzinfo) -> Moment:
    """The moment written as `text`, in `zone` where it says none; ValueError where it is none."""
    match = _DTM.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ]")
    said = match.groupdict()
    precision = next(name for name in reversed(PRECISIONS) if said[name] is not None)
    fraction = (said["fraction"] or "")[:6].ljust(6, "0")
    day = date(int(said["year"]), int(said["month"] or 1), int(said["day"] or 1))
    second = int(said["second"] or 0)
    at = datetime(
        day.year, day.month, day.day, int(said["hour"] or 0), int(said["minute"] or 0), min(second, 59), int(fraction), zone
    )
    if second > 60:
        raise ValueError("there is no such second")
    return Moment(at.replace(tzinfo=_zone(said["zone"])) if said["zone"] else at, precision)


def written(fhir: str, zone: tzinfo) -> str:
    """A FHIR date or dateTime as DTM: a time in the zone that it says, or else in `zone`. ValueError where it is none."""
    if "T" not in fhir:
        digits = fhir.replace("-", "")
        if re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", fhir) is None:
            raise ValueError("expected a FHIR date")
        return digits
    at = datetime.fromisoformat(fhir)
    at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    fraction = f".{at.microsecond // 1000:03}" if at.microsecond else ""
    return f"{at:%Y%m%d%H%M%S}{fraction}{at:%z}"


def _zone(text: str) -> tzinfo:
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    if offset >= timedelta(hours=24):
        raise ValueError("there is no such zone")
    return timezone(-offset if text[0] == "-" else offset) if offset else UTC
