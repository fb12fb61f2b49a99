"""A file of patients and their practices, as a resolver: CSV, read again when it changes.

    nhs_number,date_of_birth,family,ods_code
    9990000018,1985-03-20,O'Neill,A81001

A patient with several family names has a line for each. What is wrong with the file is told with its line and column, never with
what stands there. Where it goes wrong while Fiveways runs, what was known before is used on.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple, TextIO

import structlog
from nhs_number.validate import is_valid

from fiveways.correlation import Correlation
from fiveways.errors import DeploymentError
from fiveways.methods.messaging.routing.demographics import Demographics, day, folded
from fiveways.methods.messaging.routing.resolver import Failure, Practice

log = structlog.get_logger("fiveways.routing")

COLUMNS = ("nhs_number", "date_of_birth", "family", "ods_code")
MOST_MISTAKES = 20
_TEN_DIGITS = re.compile("[0-9]{10}")
_ISO_8601 = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ODS_CODE = re.compile("[A-Z0-9]{3,12}")


class _Patient(NamedTuple):
    date_of_birth: date
    practice: Practice
    families: tuple[str, ...]


_Version = tuple[int, int, int]
"""What tells one state of a file from another: inode, size, time of change in nanoseconds."""


class PracticeFile:
    """Finds practices in a file. Opening it raises DeploymentError, with a line for each mistake, where it is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._patients = _read(path)
        self._looking = asyncio.Lock()

    async def __call__(self, patient: Demographics, correlation: Correlation) -> Practice | Failure:
        """The practice of a patient, as the file is now."""
        async with self._looking:
            await asyncio.to_thread(self._look)
        known = self._patients.get(patient.nhs_number)
        if known is None:
            return Failure.NOT_FOUND
        return known.practice if patient.fit(known.date_of_birth, known.families) else Failure.MISMATCH

    def _look(self) -> None:
        """Read the file again where it has changed; one that is wrong is told of once, and what was known stays."""
        try:
            version = _version(self._path)
            if version == self._version:
                return
            self._version = version
            self._patients = _read(self._path)
        except DeploymentError as error:
            log.warning("the file of practices is wrong; what it said before is used on", mistakes=str(error))


def _version(path: Path) -> _Version:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read(path: Path) -> dict[str, _Patient]:
    """The patients of a file by NHS number."""
    patients: dict[str, _Patient] = {}
    mistakes: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for mistake in _entered(file, patients):
                mistakes.append(mistake)
                if len(mistakes) == MOST_MISTAKES:
                    break
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{path}: cannot be read: {type(error).__name__}") from None
    if mistakes:
        raise DeploymentError("\n".join(f"{path}:{mistake}" for mistake in mistakes))
    return patients


def _entered(file: TextIO, patients: dict[str, _Patient]) -> Iterator[str]:
    """Enter the lines of a file into `patients`; what is wrong with them, each with its line."""
    lines = csv.reader(file, strict=True)
    practices: dict[str, Practice] = {}
    try:
        heading = [name.strip().lower() for name in next(lines, [])]
        if sorted(heading) != sorted(COLUMNS):
            yield f"1: expected the columns {','.join(COLUMNS)}"
            return
        places = [heading.index(name) for name in COLUMNS]
        for line in lines:
            if not line:
                continue
            if len(line) != len(COLUMNS):
                yield f"{lines.line_num}: found {len(line)} columns, expected {len(COLUMNS)}"
                continue
            number, born, family, ods_code = (line[place].strip() for place in places)
            date_of_birth = _date(born)
            wrong = _wrong(number, date_of_birth, family, ods_code)
            if wrong or date_of_birth is None:
                yield f"{lines.line_num}: {wrong}"
                continue
            practice = practices.setdefault(ods_code, Practice(ods_code))
            known = patients.get(number)
            families = (family,) if known is None else (*known.families, family)
            if known is not None and known[:2] != (date_of_birth, practice):
                yield f"{lines.line_num}: nhs_number: stands above with another date_of_birth or ods_code"
                continue
            patients[number] = _Patient(date_of_birth, practice, families)
    except csv.Error:
        yield f"{lines.line_num}: not CSV"


def _wrong(number: str, date_of_birth: date | None, family: str, ods_code: str) -> str:
    """What is wrong with a line, '' where nothing is."""
    if _TEN_DIGITS.fullmatch(number) is None or not is_valid(number):
        return "nhs_number: expected ten digits that are an NHS number"
    if date_of_birth is None:
        return "date_of_birth: expected a date, YYYY-MM-DD"
    if not folded(family):
        return "family: expected a name"
    if ods_code and _ODS_CODE.fullmatch(ods_code) is None:
        return "ods_code: expected a code of capitals and digits, or nothing"
    return ""


def _date(written: str) -> date | None:
    """A date as ISO 8601 writes it (1985-03-20), or as an address does."""
    if _ISO_8601.fullmatch(written) is not None:
        written = written.replace("-", "")
    return day(written) if len(written) == 8 and written.isascii() and written.isdigit() else None
