"""The end of a session before its time: what it gave is revoked, and the audit says why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fiveways.clock import Clock
from fiveways.security.authorization import Revoke
from fiveways.security.revocations import Revocation
from fiveways.security.settings import LONGEST_LIFETIME
from fiveways.security.users.records import Records, Session

Told = Callable[[Session, str], Awaitable[None]]
"""Is told of a session that was ended, and why, for the audit."""


class Ending:
    """Ends sessions."""

    def __init__(self, records: Records, revoke: Revoke, told: Told, clock: Clock) -> None:
        self._records = records
        self._revoke = revoke
        self._told = told
        self._clock = clock

    async def __call__(self, session: Session, reason: str) -> bool:
        """End a session and revoke what it gave; False where it had ended before.

        The tokens go first: should it be broken off there, renewing gives none that are not revoked too.
        """
        until = self._clock.time() + LONGEST_LIFETIME.total_seconds()
        await self._revoke(Revocation(session.application, until, jti=session.id))
        ended = await self._records.end(session.id, reason)
        if ended:
            await self._told(session, reason)
        return ended
