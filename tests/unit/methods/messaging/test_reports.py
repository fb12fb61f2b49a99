"""What reports say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fiveways.methods.messaging.reports import in_words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=5), "5 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=1.5), "1.5 seconds"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_a_length_of_time_is_said_in_the_largest_unit_that_is_exact(span: timedelta, words: str) -> None:
    assert in_words(span) == words
