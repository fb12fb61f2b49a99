"""What header fields say: Retry-After, Link, X-Progress; no I/O. Whoever wrote them may have been careless, or hostile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_PROGRESS = 100
"""Characters of X-Progress that are kept."""
_TARGET = re.compile(r"[\s,]*<([^<>]*)>")
_PARAMETER = re.compile(r"\s*;\s*([!#$&+.^_`|~*0-9A-Za-z-]+)\s*(?:=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]*))?")
_PERCENT = re.compile(r"(?<![0-9.])([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What Retry-After asks for: seconds, or until a date (RFC 9110 §10.2.3); never less than 0. None where it cannot be read."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:9]) if len(value) <= 9 else 10**9)
    try:
        date = parsedate_to_datetime(value)
        return max(timedelta(0), (date if date.tzinfo is not None else date.replace(tzinfo=UTC)) - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def linked(values: Sequence[str], relation: str) -> str | None:
    """The first target of a relation among Link fields (RFC 8288 §3) that is about what was asked for; None where there is none."""
    for value in values:
        for target, parameters in _links(value):
            relations = parameters.get("rel", "").lower().split()
            if relation in relations and "anchor" not in parameters:
                return target
    return None


def _links(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    place = 0
    while (target := _TARGET.match(value, place)) is not None:
        place = target.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(value, place)) is not None:
            place = parameter.end()
            said = parameter[2] or ""
            if said.startswith('"'):
                said = re.sub(r"\\(.)", r"\1", said[1:-1])
            parameters.setdefault(parameter[1].lower(), said)  # a second `rel` is to be ignored (§3.3)
        yield target[1].strip(), parameters
        if value[place:].lstrip()[:1] not in ("", ","):
            return  # what cannot be read ends it: nothing behind it is guessed


def progress(value: str | None) -> str:
    """X-Progress as it may be shown: on one line, printable, and not long."""
    said = "".join(letter if letter.isprintable() else " " for letter in value or "")
    return said.strip()[:LONGEST_PROGRESS]


def percent(said: str) -> float | None:
    """How much is done, where X-Progress says so (`30%`): 0 to 100."""
    found = _PERCENT.search(said)
    return min(100.0, float(found[1])) if found is not None else None
