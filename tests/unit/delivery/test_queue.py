"""Back-off: random, doubling, bounded."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fiveways.delivery.queue import Delivery, Queue

spans = st.timedeltas(timedelta(milliseconds=1), timedelta(days=7))


async def nothing(delivery: Delivery) -> None: ...


@given(spans, spans, st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_nothing_and_its_bound_for_every_attempt(
    first: timedelta, longest: timedelta, attempt: int, chance: float
) -> None:
    queue = Queue(name="q", handler=nothing, first_wait=first, longest_wait=longest)
    wait = queue.backoff(attempt, lambda: chance)
    assert timedelta(0) <= wait <= longest
    assert wait.total_seconds() <= first.total_seconds() * 2.0 ** min(attempt - 1, 40) * 1.000001
    most = queue.backoff(attempt, lambda: 1.0)
    assert queue.backoff(attempt + 1, lambda: 1.0) >= most
    if attempt == 1:
        assert most == min(first, longest)


def test_many_that_failed_together_do_not_come_back_together() -> None:
    queue = Queue(name="q", handler=nothing, first_wait=timedelta(seconds=1))
    waits = [queue.backoff(5).total_seconds() for _ in range(2000)]
    for quarter in range(4):  # spread evenly over 0 to 16 s
        assert 400 < sum(4 * quarter <= wait < 4 * quarter + 4 for wait in waits) < 600
