"""What a listener remembers: attempts are counted before they are made, and what was handled stays handled."""

from __future__ import annotations

from datetime import timedelta

from fiveways.client import Ledger
from fiveways.client.deliveries import Deliveries, Stage
from fiveways.clock import ManualClock

HOUR = timedelta(hours=1)


def stage(deliveries: Deliveries, message: str) -> Stage | None:
    found = deliveries.of(message)
    return found.stage if found is not None else None


def test_attempts_are_counted_and_one_that_we_broke_off_is_not(ledger: Ledger) -> None:
    deliveries = Deliveries(ledger, "BOB")
    assert [deliveries.begin("M1") for _ in range(3)] == [1, 2, 3]
    deliveries.take_back("M1")
    assert Deliveries(ledger, "BOB").begin("M1") == 3
    assert Deliveries(ledger, "CAROL").of("M1") is None


def test_what_failed_is_due_again_when_it_is_and_not_before(ledger: Ledger, clock: ManualClock) -> None:
    deliveries = Deliveries(ledger, "BOB")
    assert deliveries.next_due() is None
    for number, message in enumerate(("M1", "M2"), start=1):
        deliveries.begin(message)
        deliveries.put_off(message, clock.now() + number * HOUR, "why")
    assert deliveries.next_due() == clock.now() + HOUR
    assert deliveries.due() == []
    clock.advance(2 * HOUR)
    assert deliveries.due() == ["M1", "M2"]
    deliveries.handled("M1")
    deliveries.dead("M2", "hopeless")
    assert deliveries.due() == []
    assert (stage(deliveries, "M1"), stage(deliveries, "M2")) == (Stage.HANDLED, Stage.DEAD)


def test_the_reason_of_a_dead_letter_outlives_its_acknowledgement_and_all_is_forgotten_in_the_end(
    ledger: Ledger, clock: ManualClock
) -> None:
    deliveries = Deliveries(ledger, "BOB")
    for message in ("M1", "M2"):
        deliveries.begin(message)
        deliveries.dead(message, "hopeless")
    deliveries.over("M1")
    found = deliveries.of("M1")
    assert found is not None
    assert (found.stage, found.reason) == (Stage.OVER, "hopeless")
    clock.advance(2 * HOUR)
    assert deliveries.forget(HOUR) == 1
    assert (stage(deliveries, "M1"), stage(deliveries, "M2")) == (None, Stage.DEAD)
