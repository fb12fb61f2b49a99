"""A patient as an address names one: `GPPROVIDER_<NHS number>_<date of birth>_<surname>`.

Who reads one keeps none of it: not in rows, audit, logs, metrics or traces, nor in an error's text (principle 7). So none of this
is shown by `repr`, and what comes of an address is a mailbox or a `Failure`, neither of which says whose it was.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

from nhs_number.validate import is_valid

PREFIX = "GPPROVIDER_"
_ADDRESS = re.compile(PREFIX + r"([^_]*)_([0-9]{8})_(.+)", re.IGNORECASE | re.DOTALL)
_OLDEST = 1800
"""The earliest year of a birth; it is what makes the two ways in which a date is written exclude each other (`day`)."""
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Letters that Unicode does not decompose, as people type them who do not have them."""


class Demographics:
    """What an address says of a patient. `date_of_birth` is None where there is no such date; it is nobody's then."""

    __slots__ = ("date_of_birth", "family", "nhs_number")

    def __init__(self, nhs_number: str, date_of_birth: date | None, family: str) -> None:
        self.nhs_number = nhs_number
        self.date_of_birth = date_of_birth
        self.family = family

    @property
    def has_nhs_number(self) -> bool:
        """Whether the NHS number can be one: ten digits, the last of which checks the others."""
        return _is_nhs_number(self.nhs_number)

    def fit(self, date_of_birth: date | None, families: Iterable[str]) -> bool:
        """Whether this is the person who was born then and has one of these family names."""
        if date_of_birth is None or date_of_birth != self.date_of_birth:
            return False
        return folded(self.family) in {folded(family) for family in families} - {""}

    def __repr__(self) -> str:
        return "Demographics(…)"


def read(address: str) -> Demographics | None:
    """Whom an address names; None where it is not of the form. The NHS number is as it was written, right or wrong."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        return None
    number, born, family = found.groups()
    return Demographics(number, day(born), family) if folded(family) else None


def day(digits: str) -> date | None:
    """The date that eight digits are: YYYYMMDD, or DDMMYYYY; None where they are neither.

    None is both: where DDMMYYYY has the first half of its year, 18 or more, YYYYMMDD has its month.
    """
    for year, month, number in ((digits[:4], digits[4:6], digits[6:]), (digits[4:], digits[2:4], digits[:2])):
        if int(year) >= _OLDEST:
            try:
                return date(int(year), int(month), int(number))
            except ValueError:
                continue
    return None


def folded(name: str) -> str:
    """A name as people compare names: without case, diacritics, spaces, hyphens, apostrophes (Unicode NFKD, case-folded)."""
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    return "".join(each for each in plain if each.isalnum()).casefold()


def _is_nhs_number(text: str) -> bool:
    return re.fullmatch("[0-9]{10}", text) is not None and is_valid(text)
