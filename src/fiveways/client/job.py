"""A request that was made, and whose outcome follows: now, after a while, or after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from fiveways.client.answer import Answer
from fiveways.client.following import Following, Status
from fiveways.client.polling import Step
from fiveways.client.states import State


class Job:
    """A job. `id` is the X-Request-ID under which it was submitted and, in the ledger, the request's id."""

    __slots__ = ("_following", "id")

    def __init__(self, following: Following, id_: str) -> None:
        self._following = following
        self.id = id_

    @property
    def state(self) -> State:
        """Where it is, as far as the ledger knows."""
        return self._following.request(self.id).state

    @property
    def local_id(self) -> str:
        """What we call it: submitting it again under this has no second effect."""
        return self._following.request(self.id).local_id

    @property
    def correlation_id(self) -> str:
        """The conversation that it belongs to."""
        return self._following.request(self.id).correlation

    @property
    def step(self) -> Step:
        """How far it was when it was last asked after."""
        return self._following.pool.step(self.id) or Step("", None)

    async def outcome(self, timeout: timedelta | None = None) -> Answer:
        """The outcome, with the provider's own status, fields and body; kept in the ledger, so that asking again has it again.

        Raises StillRunning when `timeout` is over (it may be asked again), Gone where it was cancelled or the other side knows
        nothing of it, Unsent, Denied, Untrusted, TooLarge. Failures to ask are no outcome: it is asked again.
        """
        return await self._following.outcome(self.id, timeout)

    def progress(self) -> AsyncIterator[Step]:
        """Each step that the other side tells of (X-Progress), until the job has come to its end."""
        return self._following.progress(self.id)

    async def status(self) -> Status:
        """Ask after it once, now: its state and step. Raises Unavailable, Denied, …"""
        return await self._following.status(self.id)

    async def cancel(self) -> None:
        """Have the other side let go of it. One that is over already is let go of too. Raises Unavailable, Denied or Refused."""
        await self._following.cancel(self.id)

    def __repr__(self) -> str:
        return f"Job({self.id})"
