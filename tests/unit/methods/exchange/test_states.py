"""The table of a job's life: drawn as it is, with ends that are ends."""

from __future__ import annotations

import re

from fiveways.methods.exchange import states
from fiveways.methods.exchange.states import KNOWN, OPEN, TRANSITIONS, State, after, before

ENDS = {State.CANCELLED, State.EXPIRED}
HAPPENINGS = {happening for _, happening in TRANSITIONS}


def test_every_state_is_reached_and_every_job_can_end() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    for state in State:
        assert (not any(origin is state for origin, _ in TRANSITIONS)) == (state in ENDS)


def test_there_is_one_outcome_and_it_is_kept_until_it_is_let_go_of() -> None:
    for (origin, happening), reached in TRANSITIONS.items():
        if origin in KNOWN:
            assert reached in {State.COLLECTED, State.CANCELLED}, happening
        if reached in {State.COMPLETED, State.FAILED}:
            assert origin is State.RUNNING
    assert not OPEN & KNOWN


def test_what_happens_leads_to_one_state() -> None:
    for happening in HAPPENINGS:
        assert len({reached for (_, each), reached in TRANSITIONS.items() if each == happening}) == 1
        assert all(after(state, happening) for state in before(happening))


def test_the_drawing_names_every_state_and_happening() -> None:
    drawing = states.__doc__ or ""
    for word in {*map(str, State), *HAPPENINGS}:
        assert re.search(rf"\b{word}\b", drawing), word
