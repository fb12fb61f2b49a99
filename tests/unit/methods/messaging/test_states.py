"""The table of a message's life: forward only, one end, and drawn as it is."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from fiveways.methods.messaging import states
from fiveways.methods.messaging.states import COLLECTABLE, PLACE, TRANSITIONS, State, after

ENDS = {State.ACKNOWLEDGED, State.UNDELIVERABLE, State.ERROR}
HAPPENINGS = {happening for _, happening in TRANSITIONS}


def lives(state: State | None = None) -> list[list[State]]:
    """Every life there can be, from `state` to an end."""
    following = [reached for (origin, _), reached in TRANSITIONS.items() if origin is state]
    return [[reached, *rest] for reached in following for rest in (lives(reached) or [[]])]


def test_every_transition_leads_to_a_later_place() -> None:
    for (origin, happening), reached in TRANSITIONS.items():
        assert origin is None or PLACE[origin] < PLACE[reached], happening


def test_a_life_has_one_event_at_a_place_and_three_at_most() -> None:
    assert len(lives()) == 7, "four from the beginning of an upload, three from a message sent whole"
    for life in lives():
        places = [PLACE[state] for state in life]
        assert all(before < later for before, later in pairwise(places)), "places are keys in the store"
        assert life[-1] in ENDS


def test_there_is_no_way_out_of_an_end() -> None:
    assert {PLACE[state] for state in ENDS} == {max(PLACE.values())}, "ends share a place, so that there is one"
    for state in ENDS:
        for happening in HAPPENINGS:
            with pytest.raises(ValueError, match=f"{state} cannot {happening}"):
                after(state, happening)


def test_every_state_has_a_place_and_can_be_reached() -> None:
    assert set(PLACE) == set(State) == {state for life in lives() for state in life}


def test_only_what_is_whole_and_was_not_given_up_is_collectable() -> None:
    assert set(State) - {State.UPLOADING, State.UNDELIVERABLE, State.ERROR} == COLLECTABLE


def test_the_drawing_is_of_the_table() -> None:
    assert drawn(states.__doc__ or "") == TRANSITIONS


def drawn(text: str) -> dict[tuple[State | None, str], State]:
    """The transitions of a drawing: arrows `──happening──▶ state`, from the word they follow, or the one over their corner."""
    lines = text.splitlines()
    found: dict[tuple[State | None, str], State] = {}
    for number, line in enumerate(lines):
        for arrow in re.finditer("([├└]?)─+([a-z]+)─+▶ ([a-z]+)", line):
            origin = above(lines[:number], arrow.start()) if arrow[1] else before(line[: arrow.start()])
            found[State(origin) if origin else None, arrow[2]] = State(arrow[3])
    return found


def above(lines: list[str], column: int) -> str:
    """The word that stands over a column, nearest first."""
    over = [word[0] for line in lines for word in re.finditer("[a-z]+", line) if word.start() <= column < word.end()]
    return over[-1]


def before(start: str) -> str:
    """The word that a line ends with; '' where it is blank."""
    return start.split()[-1] if start.strip() else ""
