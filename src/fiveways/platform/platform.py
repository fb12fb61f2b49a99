"""The platform: a deployment file, running. Some of it stands once (store, ledger, keys); a reload swaps everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import CollectorRegistry

import fiveways
from fiveways.clock import Clock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Queue
from fiveways.deployment.document import Document
from fiveways.errors import DeploymentError, StoreError
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.exchange.longpoll import LongPolling
from fiveways.methods.exchange.service import Jobs as ExchangeJobs
from fiveways.methods.messaging.collecting import Inboxes
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.trials import Trials
from fiveways.methods.messaging.webhook import Arrivals, Webhook
from fiveways.methods.messaging.worker import Worker
from fiveways.methods.synchronous import contexts, probes
from fiveways.methods.synchronous.alerting import Alerts
from fiveways.methods.synchronous.compile import Compiled, compile_gateway
from fiveways.methods.synchronous.policies.identity import open_access
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics
from fiveways.methods.synchronous.services import Services
from fiveways.methods.synchronous.transformation import counts
from fiveways.platform import directory, mailboxes, routing
from fiveways.platform.authorization import AuthorizationServers
from fiveways.platform.certificates import certificate_files
from fiveways.platform.deliveries import Dispatch
from fiveways.platform.exchanges import LARGEST, Exchanges, exchanges, holding
from fiveways.platform.feed import Feed
from fiveways.platform.foundation import Foundation
from fiveways.platform.jobs import Job, Jobs
from fiveways.platform.listeners import Listener, Listening
from fiveways.platform.model import Deployment, load
from fiveways.platform.node_metrics import NodeMetrics, Slot
from fiveways.platform.outcomes import Outcomes
from fiveways.platform.posts import Posts
from fiveways.platform.tallies import Tallies
from fiveways.platform.telemetry import tracing
from fiveways.platform.webhook import teller
from fiveways.platform.within import Answer, Gateway, Token, Within
from fiveways.security.authorization import AuthorizationServer
from fiveways.security.expiry import Expiry
from fiveways.security.tokens import TokenIssuer, TokenVerifier
from fiveways.types import Headers, Outcome

if TYPE_CHECKING:
    from fiveways.platform.bulk import Bulk, Prepared

log = structlog.get_logger("fiveways.platform")


@dataclass(slots=True)
class Running:
    """What one reading of the deployment file was made into. Swapped whole: a request sees the old one or the new."""

    deployment: Deployment
    compiled: Compiled
    authorization: AuthorizationServer
    alerts: Alerts
    outbound: Outbound
    exchanges: Exchanges
    messaging: mailboxes.Messages | None = None
    bulk: Prepared | None = None

    @property
    def queues(self) -> list[Queue]:
        """What is to be delivered, besides webhooks."""
        return [*self.compiled.promises, *self.exchanges.queues]


class Platform:
    """A deployment, running in this process."""

    def __init__(self, file: Path, data: Path, foundation: Foundation, clock: Clock, slot: Slot | None = None) -> None:
        self.file = file
        self.base = file.parent
        self.foundation = foundation
        self.ledger = foundation.ledger
        self.clock = clock
        self.registry = CollectorRegistry()
        self._metrics = GatewayMetrics(self.registry)
        self._tallies = Tallies(self.registry)
        self._counts = counts.Counts(self.registry, clock)
        self._node_metrics = NodeMetrics(self._metrics, self._tallies, slot, clock) if slot is not None else None
        self._inboxes = Inboxes(foundation.database, clock)
        self._dispatch = Dispatch(
            foundation.deliveries,
            self.ledger.rates,
            clock,
            self._tallies,
            outbound=lambda: self.running.outbound,
            find=self._webhook,
        )
        self._exchange = ExchangeJobs(foundation.deliveries, clock)
        self._trials = Trials(clock)
        self._server = AuthorizationServers(foundation, clock)
        self._data = data
        self._bulk: Bulk | None = None
        self._unfinished: set[asyncio.Task[Outcome]] = set()
        self._running: Running | None = None
        self._jobs = Jobs([])
        self._retiring: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        file: Path,
        data: Path,
        *,
        clock: Clock | None = None,
        work: bool = True,
        node: str = "",
        slot: Slot | None = None,
    ) -> Platform:
        """Open the store and compile the deployment. `work`: do the work that is nobody's request here too.

        `node` names this node among those that share a store; the machine's name, where it is not given.
        `slot` is this process's place among the gateway processes of the node, where there is a supervisor over them.

        DeploymentError or StoreError where that can't be done.
        """
        clock = clock or SystemClock()
        deployment, _ = load(file)
        foundation = await Foundation.open(deployment, data, file.parent, clock, node)
        self = cls(file, data, foundation, clock, slot)
        try:
            if self._node_metrics is not None:
                await self._node_metrics.resume()
            self._running = self._compile(deployment, None)
            await self._running.compiled.lasting.open()
            self._take_up(self._running)
            await self._tell_audit("deployment.loaded", details={"apis": len(deployment.apis)})
        except BaseException:
            await foundation.close()
            raise
        self._jobs = Jobs(self._work() if work else self._always())
        self._jobs.start()
        if work:
            self._dispatch.start()
        return self

    @property
    def running(self) -> Running:
        """What serves requests now."""
        assert self._running is not None
        return self._running

    @property
    def deployment(self) -> Deployment:
        """The deployment that is running."""
        return self.running.deployment

    async def reload(self) -> Document:
        """Read the deployment file again and swap to it; DeploymentError, with nothing changed, where it is wrong."""
        try:
            deployment, read = load(self.file)
            old = self.running
            if deployment.store != old.deployment.store or deployment.audit != old.deployment.audit:
                raise DeploymentError(f"{self.file}: store: and audit: cannot change while running; restart to apply them")
            new = self._compile(deployment, old.compiled)
            await new.compiled.lasting.open()
        except DeploymentError as error:
            await self._tell_audit("deployment.refused", details={"reason": type(error).__name__})
            raise
        self._running = new
        self._take_up(new)
        await self._tell_audit("deployment.loaded", details={"apis": len(deployment.apis)})
        await self._retire(old.compiled, new.compiled)
        return read

    def feed(self, listener: Listener, *, shared: bool = False) -> Feed:
        """What takes HL7 v2 at a listener; `shared`: other processes listen there too."""
        assert listener.api is not None
        deployment = self.deployment
        api = deployment.apis[listener.api]
        token = None
        if listener.application is not None:
            tokens = deployment.identity.tokens
            issuer = TokenIssuer(
                self.foundation.keys, self.clock, issuer=tokens.issuer, audience=tokens.audience, lifetime=tokens.lifetime
            )
            token = Token(listener.application, listener.api, "mllp", deployment, issuer, self._record_token, self.clock)
        handling = api.longest.total_seconds() + 15
        gateway: Callable[[], Gateway] = lambda: self.running.compiled.gateway  # noqa: E731
        return Feed(listener, api.at, gateway, token, self.base, self.clock, handling=handling, shared=shared)

    def sftp(self, listener: Listener, *, shared: bool = False) -> Listening:
        """What takes files at a listener; `shared`: other processes listen there too."""
        assert self._bulk is not None
        return self._bulk.listener(listener, shared=shared)

    def long_polling(self) -> LongPolling:
        """What holds requests for outcomes at a listener."""
        within = Within(lambda: self.running.compiled.gateway, LARGEST)

        async def ask(path: str, headers: Headers, client: tuple[str, int], extensions: dict[str, Any]) -> Answer:
            return await within.ask("GET", path, headers=headers, client=client, extensions=extensions)

        return LongPolling(ask, lambda base: holding(self.deployment, base), self._exchange, self.clock)

    async def close(self) -> None:
        """Finish: no request is under way any more. Flushes and seals the audit."""
        await self._jobs.close()
        await self._dispatch.close()
        if self._node_metrics is not None:
            await self._node_metrics.close()
        await self.running.compiled.gateway.close()
        await self.running.compiled.lasting.close()
        if self._unfinished:
            await asyncio.wait(self._unfinished, timeout=5)
        with suppress(StoreError):
            await self._counts.write(self.ledger.group)
        telemetry = self.deployment.telemetry
        if telemetry is not None:
            await asyncio.to_thread(tracing(telemetry).flush)
        await self.foundation.close()

    def _compile(self, deployment: Deployment, previous: Compiled | None) -> Running:
        """What serves `deployment`; DeploymentError where a file or a value that it refers to is no good."""
        try:
            return self._compiled(deployment, previous)
        except KeyError as missing:  # a Reference that names it
            raise DeploymentError(f"{self.file}: the environment has no {missing.args[0]}") from missing
        except (ValueError, OSError) as error:
            raise DeploymentError(f"{self.file}: {error}") from error

    def _compiled(self, deployment: Deployment, previous: Compiled | None) -> Running:
        who = directory.directory(deployment)
        tokens = deployment.identity.tokens
        verifier = TokenVerifier(
            self.foundation.keys, self.foundation.revocations.memory, issuer=tokens.issuer, audience=tokens.audience
        )
        bearer = contexts.bearer(verifier, who.organisations, self.clock)
        exchanged = exchanges(
            deployment,
            self.base,
            self._exchange,
            self.ledger,
            self.clock,
            compiled=lambda: self.running.compiled,
            outbound=lambda: self.running.outbound,
        )
        services = Services(
            clock=self.clock,
            ledger=self.ledger,
            deliveries=self.foundation.deliveries,
            tell=Outcomes(lambda: self.running.messaging),
            post=Posts(lambda: self.running.messaging),
            counts=self._counts,
            exchanged=exchanged.exchanged,
            contexts={
                "open": open_access,
                "signed-jwt": bearer,
                "user-restricted": bearer,
                "api-key": contexts.api_key(directory.api_keys(deployment), who.organisations),
                "client-certificate": contexts.client_certificate(directory.client_certificates(deployment), who.organisations),
            },
            metrics=self._metrics,
            release=probes.Release(fiveways.__version__),
            status_keys=deployment.status.keys,
            base=self.base,
            registry=self.registry,
            running=self._unfinished,
            checks={"store": self.foundation.check},
            tracing=tracing(deployment.telemetry) if deployment.telemetry is not None else None,
            gather_metrics=self._node_metrics.gather if self._node_metrics is not None else None,
        )
        issuer = TokenIssuer(
            self.foundation.keys, self.clock, issuer=tokens.issuer, audience=tokens.audience, lifetime=tokens.lifetime
        )
        resolver = routing.resolver(
            deployment,
            self.base,
            self.clock,
            gateway=lambda: self.running.compiled.gateway,
            issuer=issuer,
            record=self._record_token,
        )
        messaging = mailboxes.messaging(
            deployment,
            self.ledger,
            self.foundation.registry,
            self.clock,
            self.base,
            deliveries=self.foundation.deliveries,
            collected=self._tallies.collected,
            trials=self._trials,
            resolver=resolver,
        )
        beside = messaging.mounted if messaging is not None else []
        compiled = compile_gateway(deployment.apis, who, services, previous, beside)
        alerts = Alerts(
            deployment.programme.alerts,
            self.clock,
            teller(deployment.programme.alerts.webhook, self.base),
            {name: api.service_level.budget for name, api in deployment.apis.items()},
            self._metrics,
            tuple(compiled.lasting.breakers.values()),
            Expiry(certificate_files(deployment, self.base), deployment.programme.alerts.certificates),
            lambda: self._bulk.late if self._bulk is not None else {},
        )
        if self._running is not None:
            alerts.go_on_from(self._running.alerts)
        outbound = self._dispatch.made(deployment.outbound, self.base)
        authorization = self._server.authorization(deployment, self.base, verifier, issuer, self._record_token)
        bulk = self._prepared(deployment)
        return Running(deployment, compiled, authorization, alerts, outbound, exchanged, messaging, bulk)

    def _prepared(self, deployment: Deployment) -> Prepared | None:
        """Bulk transfer, where there is any: what it takes is loaded only then."""
        if self._bulk is None and not (deployment.partners or deployment.feeds or deployment.errands):
            return None
        if self._bulk is None:
            try:
                from fiveways.platform.bulk import Bulk  # noqa: PLC0415, RUF100 - what it takes is an extra
            except ImportError as error:
                missing = f"partners:, feeds: and errands: need a package that is not installed ({error.name}): fiveways[bulk]"
                raise DeploymentError(f"{self.file}: {missing}") from error

            def prepared() -> Prepared:
                assert self.running.bulk is not None
                return self.running.bulk

            self._bulk = Bulk(
                self.foundation.deliveries, self.ledger.audit, self.ledger.pseudonyms, self.foundation.keys, self._data, self.base,
                prepared=prepared, outbound=lambda: self.running.outbound, messages=lambda: self.running.messaging,
            )  # fmt: skip
        return self._bulk.prepare(deployment)

    def _take_up(self, running: Running) -> None:
        """A reading of the deployment file is in force: deliveries go as it says."""
        queues = running.queues
        if self._bulk is not None:
            self._bulk.taken_up()
            queues += self._bulk.queues
        self._dispatch.keep(queues)

    async def _record_token(self, kind: str, *, application: str, outcome: str, details: Mapping[str, Any]) -> None:
        await self._tell_audit(kind, application=application, outcome=outcome, details=details)

    async def _tell_audit(
        self, kind: str, *, application: str = "", outcome: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
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

    async def _retire(self, old: Compiled, new: Compiled) -> None:
        """Close, once they are idle, the connections that the new deployment has no use for."""
        old.lasting.reload_tls(new.lasting)
        for closing in old.lasting.without(new.lasting):
            task = asyncio.create_task(closing.close())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        await old.gateway.close()

    def _always(self) -> list[Job]:
        """What every process does: look at its own counts, leave them to the others, and learn what other nodes have revoked
        and registered."""
        jobs = [
            Job("alerts", 5.0, lambda: self.running.alerts.evaluate()),
            Job("revocations", 1.0, self.foundation.revocations.refresh),
            Job("directory", 0.0, self.foundation.registry.follow),
            Job("partners", 1.0, self._partners),
            Job("counts", 5.0, lambda: self._counts.write(self.ledger.group)),
        ]
        if self._node_metrics is not None:
            jobs.append(Job("metrics", 1.0, self._node_metrics.publish))
        return jobs

    async def _purge(self) -> None:
        await self.ledger.purge(self.clock.now())
        await self.foundation.revocations.purge(self.clock.now())
        await self.foundation.people.purge()
        await counts.purge(self.ledger.group, self.clock.now().date())
        await self._dispatch.purge(self.deployment.outbound.keep)
        await self._exchange.purge()
        if self._bulk is not None:
            await self._bulk.purge()

    async def _partners(self) -> None:
        """Who was registered to bring and take files."""
        if self._bulk is not None:
            await self._bulk.follow()

    async def _transfers(self) -> None:
        """What time brings of bulk transfer."""
        if self._bulk is not None:
            await self._bulk.look()

    async def _look(self) -> None:
        """How full inboxes and queues are, for the metrics."""
        await self._dispatch.look()
        await self._inboxes.look()
        self._tallies.inboxes = self._inboxes.rows

    async def _late(self) -> None:
        """End the jobs for whose outcome it is too late."""
        if self.deployment.exchanges:
            await self._exchange.expire_late()

    def _webhook(self, mailbox: str) -> Webhook | None:
        directory = self._directory()
        return directory.webhook(mailbox) if directory is not None else None

    def _arrivals(self) -> Arrivals | None:
        messaging = self.running.messaging
        return messaging.arrivals if messaging is not None else None

    def _directory(self) -> Directory | None:
        messaging = self.running.messaging
        return messaging.directory if messaging is not None else None

    def _work(self) -> list[Job]:
        lifetime = self.deployment.identity.tokens.key_lifetime
        messages = Worker(self.ledger, self._trials.clock, lambda: self.deployment.messaging, self._directory, self._arrivals)
        self._trials.work = messages
        return [
            *self._always(),
            Job("keys", 600.0, lambda: asyncio.to_thread(self.foundation.keys.maintain, lifetime)),
            Job("expiry", 60.0, self._purge),
            Job("messages", messages.every, messages.round),
            Job("jobs", 2.0, self._late),
            Job("transfers", 2.0, self._transfers),
            Job("leftovers", 86_400.0, self.foundation.sweep),
            Job("fill", 15.0, self._look),
        ]
