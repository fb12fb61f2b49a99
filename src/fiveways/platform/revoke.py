"""The operator takes access tokens back, beside the running platform: through the store, from which every process learns of it.

It is what RFC 7009's revocation does too: a row that is durable before anything is said, which every process reads within a second
and keeps in memory until what it covers has expired. The audit says who did it, in a chain of this node.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fiveways.clock import Clock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.errors import FivewaysError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.platform.desk import account, desk
from fiveways.platform.model import Deployment
from fiveways.platform.sessions import SessionDesk
from fiveways.security.keys import PlatformKeys
from fiveways.security.revocations import Revocation
from fiveways.security.revoked import StoredRevocations
from fiveways.security.tokens import ExpiredToken, Grant, InvalidToken, RevokedToken, TokenVerifier


async def revoke_token(file: Path, data: Path, bearer: bytes, node: str = "", clock: Clock | None = None) -> Grant | None:
    """Revoke one access token; what it granted, or None where it has expired or is revoked already. FivewaysError where it is no
    token of this platform."""
    async with _desk(file, data, node, clock or SystemClock()) as desk:
        tokens = desk.deployment.identity.tokens
        keys = PlatformKeys.open(data / "keys" / "platform", desk.clock, lead=tokens.key_lead)
        verifier = TokenVerifier(keys, desk.revocations.memory, issuer=tokens.issuer, audience=tokens.audience)
        try:
            grant = verifier.verify(bearer, desk.clock.time())
        except (ExpiredToken, RevokedToken):
            return None
        except InvalidToken as error:
            raise FivewaysError(f"this is no access token of this platform ({error.reason})") from error
        revocation = Revocation(grant.application, grant.expires, jti=grant.jti)
        await desk.revoke(revocation, {"jti": grant.jti})
        return grant


async def revoke_application(file: Path, data: Path, application: str, node: str = "", clock: Clock | None = None) -> datetime:
    """Revoke all access tokens that `application` was issued up to the moment that is returned, and end its sessions of people, so
    that it does not renew them. FivewaysError where the deployment has no such application.

    Where several nodes may share the store, it is a moment ahead by as much as their clocks may differ (`identity.tokens.leeway`):
    a token issued by a node whose clock is fast bears a time to come.
    """
    async with _desk(file, data, node, clock or SystemClock()) as desk:
        known = desk.deployment.applications
        if application not in known:
            close = difflib.get_close_matches(application, known, n=1)
            raise FivewaysError(f"no application {application!r} in {file}" + (f": did you mean {close[0]!r}?" if close else ""))
        one_clock = desk.revocations.database.kind == "sqlite"
        ahead = 0.0 if one_clock else desk.deployment.identity.tokens.leeway.total_seconds()
        revocation = Revocation.of_all(application, desk.clock.time() + ahead)
        moment = datetime.fromtimestamp(revocation.issued_before, UTC)
        await desk.revoke(revocation, {"issued_before": moment.isoformat()})
        await desk.sessions.end_all(await desk.sessions.list(application=application), "all tokens of the application are revoked")
        return moment


@dataclass(slots=True, frozen=True)
class _Desk:
    """What revoking takes."""

    deployment: Deployment
    revocations: StoredRevocations
    audit: AuditLog
    sessions: SessionDesk
    clock: Clock

    async def revoke(self, revocation: Revocation, details: Mapping[str, Any]) -> None:
        """Durable first, then in the audit: where that fails the operator is told so, and the token is revoked nevertheless."""
        await self.revocations.revoke(revocation)
        await self.audit.durable(
            AuditEvent(
                at=micros(self.clock),
                kind="token.revoked",
                id=new_id(),
                application=revocation.application,
                outcome="revoked",
                details={"by": "operator", "account": account(), **details},
            )
        )


@asynccontextmanager
async def _desk(file: Path, data: Path, node: str, clock: Clock) -> AsyncIterator[_Desk]:
    async with desk(file, data, node, clock) as opened:
        revocations = StoredRevocations(opened.database, opened.group, clock)
        await revocations.load()
        yield _Desk(opened.deployment, revocations, opened.audit, SessionDesk(opened, clock), clock)
