"""The life of a transfer: every state is reached, and what has ended begins nothing anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.bulk.records import HAPPENINGS
from fiveways.methods.bulk.states import AT_WORK, COMING, ENDED, TRANSITIONS, State, after

ALL = sorted({happening for _, happening in TRANSITIONS})


def test_every_state_is_reached_and_every_transition_can_come_about() -> None:
    reached: set[State | None] = {None}
    while True:
        more = {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == {None, *State}
    assert {state for state, _ in TRANSITIONS} <= reached


def test_every_state_is_coming_at_work_or_ended_and_only_one_of_them() -> None:
    assert sorted((*COMING, *AT_WORK, *ENDED)) == sorted(State)
    for (state, _), to in TRANSITIONS.items():
        if state in AT_WORK:
            assert to not in COMING
        if state in ENDED:
            assert to in ENDED, "what is judged is never worked on again"
    assert not [state for state, _ in TRANSITIONS if state in (State.REJECTED, State.EXPIRED)], "nothing follows these"


@given(st.lists(st.sampled_from(ALL), max_size=30))
def test_no_way_leads_to_a_release_but_by_verification(happenings: list[str]) -> None:
    state: State | None = None
    gone: list[str] = []
    for happening in happenings:
        if (state, happening) in TRANSITIONS:
            state = after(state, happening)
            gone.append(happening)
        if state in (State.RELEASED, State.PART_RELEASED):
            assert "receive" in gone
            assert gone.index("receive") < gone.index("verify")


def test_whatever_may_befall_a_transfer_has_its_statement() -> None:
    assert set(HAPPENINGS) == set(ALL) - {"announce"}
