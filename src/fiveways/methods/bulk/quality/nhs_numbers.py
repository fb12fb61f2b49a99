"""NHS numbers, many at once: ten digits, the last of which is right by the others (modulus 11, NHS Data Dictionary), as
`nhs_number` says; a number of Scotland's range begins with a date of birth besides."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import polars as pl
from nhs_number.constants import REGION_SCOTLAND
from numpy.typing import NDArray

_HALF = 100_000


@cache
def _weights() -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The weighted sum of each five digits: of the first five, and of the last five with the check digit's weight of 1."""
    numbers = np.arange(_HALF)
    digits = [numbers // 10**place % 10 for place in (4, 3, 2, 1, 0)]
    sums = [
        sum(digit * weight for digit, weight in zip(digits, weights, strict=True))
        for weights in ((10, 9, 8, 7, 6), (5, 4, 3, 2, 1))
    ]
    return np.asarray(sums[0], np.int16), np.asarray(sums[1], np.int16)


@cache
def _birthdays() -> NDArray[np.bool_]:
    """Which six digits are a day, DDMMYY; as strptime has it, 69 to 99 are of the last century."""
    days = np.zeros(1_000_000, np.bool_)
    for ordinal in range(date(1969, 1, 1).toordinal(), date(2069, 1, 1).toordinal()):
        day = date.fromordinal(ordinal)
        days[day.day * 10_000 + day.month * 100 + day.year % 100] = True
    return days


@cache
def _scottish() -> tuple[tuple[int, int], ...]:
    return tuple((int(each.start), int(each.end)) for each in REGION_SCOTLAND.ranges)


def wrong_digit(values: pl.Series) -> NDArray[np.bool_]:
    """Which of these texts have ten digits and are no NHS number for all that. What has not ten digits, and null, is not."""
    ten = values.str.contains("^[0-9]{10}$").fill_null(value=False)
    numbers = pl.select(pl.when(ten).then(values.cast(pl.Int64, strict=False)).otherwise(0)).to_series().to_numpy()
    first, last = _weights()
    wrong = (first[numbers // _HALF] + last[numbers % _HALF]) % 11 != 0
    for low, high in _scottish():
        wrong |= (numbers >= low) & (numbers <= high) & ~_birthdays()[numbers // 10_000]
    return np.asarray(wrong & ten.to_numpy(), np.bool_)
