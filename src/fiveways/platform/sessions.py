"""The operator looks at people's sessions and ends them, beside the running platform: through the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fiveways.clock import Clock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.errors import FivewaysError
from fiveways.ledger.audit import AuditEvent
from fiveways.platform.desk import Desk, account, desk
from fiveways.security.revoked import StoredRevocations
from fiveways.security.users.ending import Ending
from fiveways.security.users.records import Records, Session
from fiveways.security.users.states import Reason


class NoSession(FivewaysError):
    """There is no session with this id that has not ended."""


class SessionDesk:
    """Sessions of a deployment, in the name of the operator's account."""

    def __init__(self, at: Desk, clock: Clock) -> None:
        self._records = Records(at.database, at.group, clock)
        self._audit = at.audit
        self._clock = clock
        self._why = ""
        self._end = Ending(self._records, StoredRevocations(at.database, at.group, clock).revoke, self._told, clock)

    async def list(self, **wanted: str) -> Sequence[Session]:
        """Sessions that last, whose application, provider or subject are `wanted`; oldest first."""
        return await self._records.find(**wanted)

    async def end(self, id: str, why: str) -> Session:  # noqa: A002
        """End one; NoSession where there is none. What it gave is refused by every process within a second."""
        found = await self._records.find(id=id)
        if not found:
            raise NoSession(f"no session {id} that lasts")
        await self.end_all(found, why)
        return found[0]

    async def end_all(self, sessions: Sequence[Session], why: str) -> int:
        """End several; how many had not ended meanwhile."""
        self._why = why
        return sum([await self._end(session, Reason.OPERATOR) for session in sessions])

    async def _told(self, session: Session, reason: str) -> None:
        details = {"by": "operator", "account": account(), "idp": session.provider, "session": session.id, "reason": self._why}
        await self._audit.durable(
            AuditEvent(
                at=micros(self._clock),
                kind="session.ended",
                id=new_id(),
                application=session.application,
                subject=session.subject,
                outcome=reason,
                details=details,
            )
        )


@asynccontextmanager
async def session_desk(file: Path, data: Path, node: str = "", clock: Clock | None = None) -> AsyncIterator[SessionDesk]:
    """The sessions of a deployment that has run, whether or not it is running; FivewaysError where it has not."""
    clock = clock or SystemClock()
    async with desk(file, data, node, clock) as at:
        yield SessionDesk(at, clock)
