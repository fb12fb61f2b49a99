"""Dead letters from the side of whoever runs the platform, through the store, whether or not the platform is running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fiveways.clock import Clock, SystemClock, micros
from fiveways.delivery.deadletters import DeadLetters, Inspected
from fiveways.delivery.engine import Deliveries
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.platform.desk import account, desk
from fiveways.platform.foundation import node_name
from fiveways.store.bus import LocalBus
from fiveways.store.payloads import open_payloads


@asynccontextmanager
async def dead_letters(file: Path, data: Path, node: str = "", clock: Clock | None = None) -> AsyncIterator[DeadLetters]:
    """The dead letters of a deployment that has run, in the name of the operator's account. FivewaysError where it has not.

    A running platform's workers find what is sent again when they next look, within a second.
    """
    clock = clock or SystemClock()
    async with desk(file, data, node, clock) as at:
        payloads = open_payloads(at.deployment.store.payloads or f"file://{data / 'payloads'}")
        try:
            deliveries = Deliveries(at.group, payloads, LocalBus(), clock, node_name(node))
            yield DeadLetters(deliveries, account(), _Witness(at.audit, clock))
        finally:
            await payloads.close()


class _Witness:
    """Tells the audit who did what, in the commit of the deed."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def __call__(self, kind: str, delivery: Inspected, reason: str, details: Mapping[str, Any]) -> Callable[[bool], None]:
        said = {"by": "operator", "account": account(), "queue": delivery.queue, "reason": reason, **details}

        def event(outcome: str) -> AuditEvent:
            return AuditEvent(
                at=micros(self._clock),
                kind=kind,
                id=delivery.id,
                correlation_id=delivery.correlation,
                outcome=outcome,
                details=said,
            )

        return self._audit.attest(event(""), event("NOT_DONE"))
