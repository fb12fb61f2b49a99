"""What stands once in a process, and which reading of the deployment file runs on it: a reload swaps that, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from fiveways.clock import Clock, micros
from fiveways.correlation import new_id
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Queue
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.exchange.service import Jobs
from fiveways.methods.messaging.collecting import Inboxes
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.trials import Trials
from fiveways.methods.messaging.webhook import Webhook
from fiveways.methods.synchronous.alerting import Alerts
from fiveways.methods.synchronous.compile import Compiled
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics
from fiveways.methods.synchronous.transformation.counts import Counts
from fiveways.platform.authorization import AuthorizationServers
from fiveways.platform.bulk_on_demand import BulkOnDemand
from fiveways.platform.deliveries import Dispatch
from fiveways.platform.exchanges import Exchanges
from fiveways.platform.foundation import Foundation
from fiveways.platform.mailboxes import Messages
from fiveways.platform.model import Deployment
from fiveways.platform.node_metrics import NodeMetrics, Slot
from fiveways.platform.realtime import Prepared, Realtime
from fiveways.platform.tallies import Tallies
from fiveways.security.authorization import AuthorizationServer
from fiveways.security.tokens import TokenIssuer
from fiveways.types import Outcome

if TYPE_CHECKING:
    from fiveways.platform.bulk import Prepared as BulkPrepared


@dataclass(slots=True)
class Running:
    """What one reading of the deployment file was made into. Swapped whole: a request sees the old one or the new."""

    deployment: Deployment
    compiled: Compiled
    authorization: AuthorizationServer
    alerts: Alerts
    outbound: Outbound
    exchanges: Exchanges
    realtime: Prepared
    messaging: Messages | None = None
    bulk: BulkPrepared | None = None

    @property
    def queues(self) -> list[Queue]:
        """What is to be delivered, besides webhooks."""
        return [*self.compiled.promises, *self.exchanges.queues]


class Standing:
    """The parts that no reload touches; those that ask what is running ask anew each time."""

    def __init__(self, file: Path, data: Path, foundation: Foundation, clock: Clock, slot: Slot | None = None) -> None:
        self.file = file
        self.base = file.parent
        self.foundation = foundation
        self.ledger = foundation.ledger
        self.clock = clock
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry)
        self.tallies = Tallies(self.registry, clock.time())
        self.counts = Counts(self.registry, clock)
        self.node_metrics = NodeMetrics(self.metrics, self.tallies, slot, clock) if slot is not None else None
        self.inboxes = Inboxes(foundation.database, clock)
        self.dispatch = Dispatch(
            foundation.deliveries,
            self.ledger.rates,
            clock,
            self.tallies,
            outbound=lambda: self.running.outbound,
            find=self._webhook,
        )
        self.exchange = Jobs(foundation.deliveries, clock)
        self.trials = Trials(clock)
        self.servers = AuthorizationServers(foundation, clock)
        self.bulk = BulkOnDemand(
            file,
            data,
            foundation,
            prepared=lambda: self.running.bulk,
            outbound=lambda: self.running.outbound,
            messages=lambda: self.running.messaging,
        )
        self.realtime = Realtime(
            foundation,
            lambda: self.running.realtime,
            registry=self.registry,
            figures=self._figures,
            outbound=lambda: self.running.outbound,
            messages=lambda: self.running.messaging,
        )
        self.unfinished: set[asyncio.Task[Outcome]] = set()
        self._running: Running | None = None

    @property
    def running(self) -> Running:
        """What serves requests now."""
        assert self._running is not None
        return self._running

    @property
    def deployment(self) -> Deployment:
        """The deployment that is running."""
        return self.running.deployment

    def directory(self) -> Directory | None:
        """Who has a mailbox, where anybody has."""
        messaging = self.running.messaging
        return messaging.directory if messaging is not None else None

    def _figures(self) -> dict[str, Any]:
        """How things are, for boards."""
        queues = self.tallies.queues
        return {
            "apis": {
                name: {"requests": each.total, "errors": each.errors, "slow": each.slow}
                for name, each in self.metrics.counts().items()
            },
            "inboxes": {mailbox: row[0] for mailbox, row in self.tallies.inboxes.items()},
            "queues": {name: {"waiting": row[0], "dead": row[2]} for name, row in queues.items()},
        }

    def _webhook(self, mailbox: str) -> Webhook | None:
        directory = self.directory()
        return directory.webhook(mailbox) if directory is not None else None

    def issuer(self, deployment: Deployment) -> TokenIssuer:
        """What issues tokens in a deployment."""
        tokens = deployment.identity.tokens
        return TokenIssuer(
            self.foundation.keys, self.clock, issuer=tokens.issuer, audience=tokens.audience, lifetime=tokens.lifetime
        )

    async def tell_audit(
        self, kind: str, *, application: str = "", outcome: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Have the audit say something; durable when it returns. Ids among the details are the event's."""
        kept = dict(details or {})
        event = AuditEvent(
            at=micros(self.clock),
            kind=kind,
            id=str(kept.pop("message_id", "")) or new_id(),
            application=application,
            request_id=str(kept.pop("request_id", "")),
            correlation_id=str(kept.pop("correlation_id", "")),
            subject=str(kept.pop("subject", "")),
            outcome=outcome,
            details=kept,
        )
        await self.ledger.audit.durable(event)
