"""The life of a request: what can be reached, and what cannot be undone."""

from __future__ import annotations

import pytest

from fiveways.client.states import TRANSITIONS, UNANSWERED, State, after


def test_every_state_is_reached_and_every_unanswered_one_can_be_answered_or_fail() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    for state in UNANSWERED:
        assert after(state, "answer") is State.ANSWERED
        assert after(state, "fail") is State.FAILED


@pytest.mark.parametrize("happening", sorted({happening for _, happening in TRANSITIONS}))
def test_nothing_takes_an_answer_back(happening: str) -> None:
    assert after(State.ANSWERED, happening) in (None, State.ANSWERED)


def test_what_is_closed_is_not_overdue() -> None:
    assert {state for state in State if after(state, "lapse") is State.OVERDUE} == {State.OPEN, State.SENT}
