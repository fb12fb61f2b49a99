"""A hospital's nightly extract, made up: a row for each admission, and one in a hundred wrong in one of eleven ways."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

HEADER: Final = "admission,nhs_number,born,admitted,discharged,ward,method,bed_days"
_WEIGHTS: Final = range(10, 1, -1)
_METHODS: Final = ("11", "12", "13", "21", "22", "28")
Row = list[str]


def nhs_number(number: int) -> str:
    """An NHS number of the range that is for tests (999…), with its check digit; the next one where this has none."""
    digits = f"999{number % 1_000_000:06}"
    rest = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False)) % 11
    check = (11 - rest) % 11
    return f"{digits}{check}" if check < 10 else nhs_number(number + 1)


def _set(place: int, value: str) -> Callable[[Row], Row]:
    return lambda row: [*row[:place], value, *row[place + 1 :]]


ERRORS: Final[dict[str, Callable[[Row], Row]]] = {
    "a wrong check digit": lambda row: _set(1, row[1][:9] + str((int(row[1][9]) + 1) % 10))(row),
    "no NHS number": _set(1, ""),
    "a birth date that is none": _set(2, "1980-02-30"),
    "a birth date to come": _set(2, "2999-01-01"),
    "a discharge before the admission": lambda row: _set(4, "2001-01-01")(row),
    "a ward of another form": _set(5, "ward 7"),
    "a code that is not listed": _set(6, "99"),
    "bed days below nothing": _set(7, "-1"),
    "bed days in words": _set(7, "three"),
    "a column too many": lambda row: [*row, "x"],
    "a column too few": lambda row: row[:-1],
}
"""What is wrong with a row, and how it is made so."""


def extract(rows: int, first: int, today: date) -> tuple[str, Counter[str], str]:
    """An extract of so many rows, whose admissions are numbered from `first`; how many rows are wrong in each way; and the first
    row whose check digit is wrong, as it should have been."""
    choose, errors, counted, mended = random.Random(first), list(ERRORS), Counter[str](), ""  # noqa: S311 - no secret
    lines = [HEADER]
    for number in range(rows):
        admitted = today - timedelta(days=choose.randrange(1, 400))
        days = choose.randrange(0, 20)
        born = date(1930, 1, 1) + timedelta(days=choose.randrange(30_000))
        row = [
            str(first + number), nhs_number(number * 7), str(born), str(admitted),
            str(min(admitted + timedelta(days=days), today)), f"{choose.choice('ABCDEF')}{choose.randrange(1, 30):02}",
            choose.choice(_METHODS), str(days),
        ]  # fmt: skip
        if number % 100 == 17:
            what = errors[number // 100 % len(errors)]
            counted[what] += 1
            mended = mended or (",".join(row) if what == "a wrong check digit" else "")
            row = ERRORS[what](row)
        lines.append(",".join(row))
    return "\n".join(lines) + "\n", counted, mended
