"""The guards of a back end, in one policy: each may refuse a request before it goes out, and is told what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fiveways.types import Handler, Interaction, Outcome


class Guard(Protocol):
    """Stands before a back end. Whoever has been entered is told once: `answered` or `failed`."""

    def enter(self, interaction: Interaction) -> None:
        """Let the request through, or raise the fault that refuses it."""
        ...

    def answered(self, outcome: Outcome) -> None:
        """The back end has answered."""
        ...

    def failed(self, error: BaseException) -> None:
        """There is no answer, and why."""
        ...


class Guarded:
    """Passes a request by all of `guards`, in their order."""

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = tuple(guards)

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Let the request through if every guard does."""
        entered = 0
        try:
            for guard in self._guards:
                guard.enter(interaction)
                entered += 1
            outcome = await handler(interaction)
        except BaseException as error:
            for guard in self._guards[:entered]:
                guard.failed(error)
            raise
        for guard in self._guards:
            guard.answered(outcome)
        return outcome
