"""Lives: a table says what happens to a thing in which state, and what has happened is kept as events.

What happens to a thing is appended, numbered, and its state is that of its newest event. The events' table has a column for the
thing's id, which with `number` is its key, so that of two nodes that would take a life further only one does; and `happening`,
`state`, `at`, `by` and `reason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from sqlalchemy import BigInteger, Column, Table, Text, bindparam, func, literal, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert

_State = TypeVar("_State", bound=StrEnum)


class Life(Generic[_State]):
    """What happens to a kind of thing, by state, and the state it is in then; None is the state of what is not there yet. What is
    not in the table does not happen."""

    def __init__(self, thing: str, transitions: Mapping[tuple[_State | None, str], _State]) -> None:
        self._thing = thing
        self._transitions = transitions

    def after(self, state: _State | None, happening: str) -> _State:
        """The state after `happening`. Raises ValueError for what does not happen in `state`."""
        reached = self._transitions.get((state, happening))
        if reached is None:
            raise ValueError(f"a {self._thing} that is {state or 'not there'} cannot {happening}")
        return reached

    def before(self, happening: str) -> tuple[_State, ...]:
        """The states in which something happens."""
        return tuple(state for state, known in self._transitions if known == happening and state is not None)


def appending(events: Table, of: Column[str], happening: str, states: Iterable[str], reached: str) -> Insert:
    """A statement by which `happening` befalls the thing `b_id`, at `b_at`, by `b_by` and for `b_reason`, where it is in one of
    `states`; it is in the state `reached` then. Otherwise it touches nothing."""
    event, this = events.c, of == bindparam("b_id", type_=Text)
    newest = select(func.max(event.number)).where(this).scalar_subquery()
    said = (bindparam("b_at", type_=BigInteger), bindparam("b_by", type_=Text), bindparam("b_reason", type_=Text))
    made = select(of, event.number + 1, literal(happening), literal(reached), *said).where(
        this, event.number == newest, or_(*(event.state == state for state in states))
    )
    return insert(events).from_select([column.name for column in events.columns], made).on_conflict_do_nothing()
