"""Writing what puts messages into inboxes, and with it, in one transaction, what tells of them (`webhook.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fiveways.methods.messaging.records import Message
from fiveways.methods.messaging.webhook import Arrivals
from fiveways.store.group import GroupWriter, Result, Settled, Writing

Step = tuple[Writing, Mapping[str, Any] | Sequence[Mapping[str, Any]]]
"""A statement and the rows, or the parameters, that it is for."""


class Completing(NamedTuple):
    """A message that steps put into its inbox if it is whole. `size`: bytes of all its chunks, as far as they are known."""

    message: Message
    at: int
    size: int


class Posting:
    """The way into inboxes. `arrivals`: tells of messages, where anybody wants to be told."""

    def __init__(self, group: GroupWriter, arrivals: Arrivals | None) -> None:
        self._group = group
        self._arrivals = arrivals

    async def transact(
        self, *steps: Step, guarded: int = 0, settled: Settled | None = None, completing: Completing | None = None
    ) -> list[Result]:
        """What `GroupWriter.transact` does, and of each message that comes to be in an inbox its recipient is told.

        Results are those of `steps`; so are those that `settled` is told.
        """
        told = await self._told(steps, completing)
        if not told:
            return await self._group.transact(*steps, guarded=guarded, settled=settled)
        own = None if settled is None else lambda results: settled(results[: len(steps)])
        results = await self._group.transact(*steps, *told, guarded=guarded, settled=own)
        if self._arrivals is not None:
            self._arrivals.wake()
        return results[: len(steps)]

    async def _told(self, steps: Sequence[Step], completing: Completing | None) -> Sequence[Step]:
        if self._arrivals is None:
            return ()
        told = await self._arrivals.of(steps)
        return told if completing is None else [*told, *await self._arrivals.when_whole(*completing)]
