"""A life's table, read both ways."""

from __future__ import annotations

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.store.lives import Life


class Lamp(StrEnum):
    """Where a lamp is."""

    OFF = "off"
    ON = "on"
    BROKEN = "broken"


TRANSITIONS = {
    (None, "make"): Lamp.OFF,
    (Lamp.OFF, "press"): Lamp.ON,
    (Lamp.ON, "press"): Lamp.OFF,
    (Lamp.ON, "drop"): Lamp.BROKEN,
    (Lamp.OFF, "drop"): Lamp.BROKEN,
}
LIFE = Life("lamp", TRANSITIONS)


def test_what_is_in_the_table_happens_and_leads_where_it_says() -> None:
    assert {(state, happening): LIFE.after(state, happening) for state, happening in TRANSITIONS} == TRANSITIONS


def test_where_something_happens_is_said_in_the_order_of_the_table() -> None:
    assert LIFE.before("drop") == (Lamp.ON, Lamp.OFF)
    assert LIFE.before("make") == LIFE.before("sell") == (), "what begins a life happens in no state"


@pytest.mark.parametrize(
    ("state", "happening", "said"),
    [
        (Lamp.BROKEN, "press", "a lamp that is broken cannot press"),
        (Lamp.ON, "make", "a lamp that is on cannot make"),
        (None, "drop", "a lamp that is not there cannot drop"),
    ],
)
def test_what_is_not_in_the_table_does_not_happen(state: Lamp | None, happening: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        LIFE.after(state, happening)


@given(st.sampled_from(Lamp), st.sampled_from(("make", "press", "drop", "sell")))
def test_before_and_after_agree(state: Lamp, happening: str) -> None:
    if state in LIFE.before(happening):
        assert LIFE.after(state, happening) is TRANSITIONS[state, happening]
    else:
        with pytest.raises(ValueError, match="cannot"):
            LIFE.after(state, happening)
