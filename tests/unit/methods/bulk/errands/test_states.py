"""The table of a file's life on an errand."""

from __future__ import annotations

from fiveways.methods.bulk.errands import states
from fiveways.methods.bulk.errands.records import happenings
from fiveways.methods.bulk.errands.states import ENDED, TRANSITIONS, WANTED, State, after, before

HAPPENINGS = {happening for _, happening in TRANSITIONS}


def test_every_state_is_reached_and_every_file_can_come_to_its_end() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    reached = {State.SETTLED}
    for _ in State:
        reached |= {origin for (origin, _), state in TRANSITIONS.items() if state in reached and origin is not None}
    assert reached == set(State)


def test_what_happens_leads_to_one_state_and_is_written_by_one_statement() -> None:
    for happening in HAPPENINGS:
        assert len({reached for (_, each), reached in TRANSITIONS.items() if each == happening}) == 1
        assert all(after(state, happening) for state in before(happening))
    assert set(happenings) == HAPPENINGS - {"see"}


def test_what_is_ready_is_not_forgotten() -> None:
    assert State.READY not in WANTED | ENDED
    assert State.PLACED not in WANTED | ENDED
    assert {happening for state, happening in TRANSITIONS if state is State.PLACED} == {"settle"}
    assert not any(state is State.SETTLED for state, _ in TRANSITIONS)


def test_the_drawing_has_every_state_and_happening() -> None:
    drawing = states.__doc__ or ""
    assert all(each in drawing for each in (*State, *HAPPENINGS))
