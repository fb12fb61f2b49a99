"""The life of a delivery."""

from __future__ import annotations

import pytest

from fiveways.delivery.states import ENDED, TRANSITIONS, State, after


def test_every_state_is_reached_and_every_one_but_the_ends_is_left() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {source for source, _ in TRANSITIONS} == {None, *State} - ENDED


def test_a_delivery_is_delivered_by_whoever_holds_it_and_by_nobody_else() -> None:
    assert [source for (source, happening), state in TRANSITIONS.items() if state is State.DELIVERED] == [State.HELD]
    for state in set(State) - {State.HELD}:
        with pytest.raises(ValueError, match="cannot deliver"):
            after(state, "deliver")


def test_a_person_has_a_say_in_dead_letters_and_may_decide_against_what_is_still_to_be_delivered() -> None:
    for happening in ("mend", "resend"):
        assert [source for source, each in TRANSITIONS if each == happening] == [State.DEAD]
    assert {source for source, each in TRANSITIONS if each == "discard"} == set(State) - ENDED


def test_a_happening_leads_to_one_state_wherever_it_starts() -> None:
    """A statement that appends it may start from several (`records.append`)."""
    for happening in {each for _, each in TRANSITIONS}:
        assert len({state for (_, each), state in TRANSITIONS.items() if each == happening}) == 1
