"""When a listener looks again: never outside the protocol's rules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client.errors import ClientError
from fiveways.client.schedule import LEAST_OFTEN, MOST_OFTEN, Retry, Schedule

MINUTE = timedelta(minutes=1)


@given(st.timedeltas(MOST_OFTEN, LEAST_OFTEN), st.integers(0, 10_000), st.floats(0, 1))
def test_it_looks_within_the_rules_whatever_happens(every: timedelta, rounds: int, chance: float) -> None:
    wait = Schedule(every).after(rounds, lambda: chance)
    assert MOST_OFTEN <= every <= wait <= LEAST_OFTEN


def test_it_looks_as_often_as_it_may_while_messages_come_and_less_often_while_none_do() -> None:
    schedule = Schedule(5 * MINUTE, idle=60 * MINUTE)
    assert [schedule.after(rounds, lambda: 1.0) / MINUTE for rounds in range(6)] == [5, 10, 20, 40, 60, 60]
    assert schedule.after(5, lambda: 0.0) == 5 * MINUTE


@pytest.mark.parametrize(
    ("every", "idle"), [(MINUTE, None), (timedelta(days=2), None), (10 * MINUTE, 5 * MINUTE), (10 * MINUTE, timedelta(days=2))]
)
def test_what_the_protocol_does_not_allow_is_refused(every: timedelta, idle: timedelta | None) -> None:
    with pytest.raises(ClientError, match="MESH wants"):
        Schedule(every, idle)


def test_a_sandbox_may_be_looked_at_often_but_not_without_end() -> None:
    assert Schedule(timedelta(seconds=1), sandbox=True).after(0) == timedelta(seconds=1)
    with pytest.raises(ClientError):
        Schedule(timedelta(0), sandbox=True)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_a_message_is_tried_again_later_and_later_up_to_an_hour(attempt: int, chance: float) -> None:
    wait = Retry().after(attempt, lambda: chance)
    assert timedelta(seconds=15) <= wait <= timedelta(hours=1)
    assert Retry().after(attempt + 1, lambda: chance) >= wait
