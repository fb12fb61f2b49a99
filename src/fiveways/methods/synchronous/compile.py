"""From the `apis:` of a deployment to a gateway that runs: every operation's policies, in their order, fixed here and once.

    tracing → audit → faults                                             around everything, refusals included
    → request id → identity → entitlement → rate → de-duplication        who may, how often, and only once
    → retry → guard (concurrency, breaker) → your own → the back end     what happens when it is in trouble

Every outcome is then observed: correlation ids put on it, and counted for metrics and alerting.

A reload compiles anew and takes over what has not changed: connections, breakers and counts of the targets that stay.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from fiveways.clock import Clock
from fiveways.errors import DeploymentError, Fault, NotFound
from fiveways.ledger.ledger import Ledger
from fiveways.methods.synchronous import contexts, probes
from fiveways.methods.synchronous.api import Api, Match, Route, template
from fiveways.methods.synchronous.credentials.sessions import Sessions
from fiveways.methods.synchronous.gateway import Gateway
from fiveways.methods.synchronous.orchestration import Orchestration
from fiveways.methods.synchronous.passthrough import Attribute, PassThrough
from fiveways.methods.synchronous.policies.audit import Audit
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.methods.synchronous.policies.concurrency import Concurrency
from fiveways.methods.synchronous.policies.correlation import mirror, require_guid
from fiveways.methods.synchronous.policies.deduplication import Deduplication, Memory
from fiveways.methods.synchronous.policies.entitlement import Entitlement
from fiveways.methods.synchronous.policies.faults import Faults
from fiveways.methods.synchronous.policies.guard import Guarded
from fiveways.methods.synchronous.policies.identity import Context, Identity
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics, Metrics
from fiveways.methods.synchronous.policies.rate import Allowance, Rate
from fiveways.methods.synchronous.policies.retry import Retry
from fiveways.methods.synchronous.rendering import Render, as_operation_outcome, as_problem
from fiveways.methods.synchronous.settings import ApiSettings, Operation, SecurityContext
from fiveways.methods.synchronous.syncwrap import SyncWrap, SyncWrapSettings
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.methods.synchronous.wrapper import Present, Wrapper, credentials
from fiveways.security import scopes
from fiveways.types import Handler, Interaction, Observer, Outcome, Policy, wrap

Named = tuple[str, Policy]


@dataclass(slots=True, frozen=True)
class Directory:
    """What the gateway must know of applications. All by name.

    `organisations` gives each application's organisation, `attributes` what is known of it, and `allowances` for each API the
    applications subscribed to it with what they may take.
    """

    organisations: Mapping[str, str]
    attributes: Mapping[str, Mapping[str, str]]
    allowances: Mapping[str, Mapping[str, Allowance]]


@dataclass(slots=True, frozen=True)
class Services:
    """What the gateway needs from the rest of the house."""

    clock: Clock
    ledger: Ledger
    contexts: Mapping[SecurityContext, Context]
    metrics: GatewayMetrics
    release: probes.Release
    status_keys: tuple[str, ...]
    base: Path
    registry: CollectorRegistry
    running: set[asyncio.Task[Outcome]]
    checks: Mapping[str, probes.Check]
    tracing: Policy | None = None
    gather_metrics: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True, frozen=True)
class Mounted:
    """Another method's paths, served beside the APIs: its handler gets the policies around everything, and does the rest itself."""

    name: str
    at: str
    handler: Handler
    render: Render
    body_limit: int
    body_patience: float = 30.0


@dataclass(slots=True)
class Compiled:
    """A gateway with the parts that outlive a reload."""

    gateway: Gateway
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    sessions: dict[str, Sessions] = field(default_factory=dict)
    apis: list[Api] = field(default_factory=list)


def compile_gateway(
    apis: Mapping[str, ApiSettings],
    directory: Directory,
    services: Services,
    previous: Compiled | None = None,
    mounted: Iterable[Mounted] = (),
) -> Compiled:
    """The gateway for `apis` and what is `mounted` beside them, with whatever of `previous` has not changed."""
    compiler = _Compiler(directory, services, previous)
    compiled = [compiler.api(name, settings) for name, settings in apis.items()]
    compiled += [compiler.mounted(each) for each in mounted]
    compiled.append(compiler.own())
    gateway = Gateway(compiled, compiler.platform, services.clock)
    services.metrics.breakers = tuple(compiler.breakers.values())
    return Compiled(gateway, compiler.upstreams, compiler.breakers, compiler.sessions, compiled)


class _Compiler:
    def __init__(self, directory: Directory, services: Services, previous: Compiled | None) -> None:
        self._directory = directory
        self._services = services
        self._previous = previous
        self.upstreams: dict[str, Upstream] = {}
        self.breakers: dict[str, Breaker] = {}
        self.sessions: dict[str, Sessions] = {}
        self.apis: dict[str, Api] = {}
        self._platform = [policy for _, policy in self._outer(as_problem)]
        self._platform_observers: tuple[Observer, ...] = (mirror, Metrics(services.metrics, services.clock, None))

    def platform(self, fault: Fault) -> Route:
        """A route that refuses what belongs to no API."""

        async def refused(_: Interaction) -> Outcome:
            raise fault

        return Route("", wrap(refused, *self._platform), self._platform_observers)

    def api(self, name: str, settings: ApiSettings) -> Api:
        """One API, compiled."""
        render = _render(settings)
        outer, observers = self._outer(render), self._observers(settings)
        behind = self._target(settings.target, settings) if settings.target is not None else None
        concurrency = Concurrency(settings.resilience.concurrency)
        guard = Guarded([concurrency] if behind is None else [concurrency, behind[1]])
        handler = self._orchestration(name, settings) if behind is None else self._handler(name, settings, behind[0])
        api = Api(
            name=name,
            base=settings.at.encode(),
            fhir=render is as_operation_outcome,
            default=self._chain(name, settings, None, outer, observers, handler, guard),
            outer=tuple(policy for _, policy in outer),
            observers=observers,
            render=render,
            body_limit=settings.limits.body,
            body_patience=settings.limits.body_progress.total_seconds(),
        )
        self.apis[name] = api
        self._probes(api, settings, behind)
        for operation in settings.operations:
            route = self._chain(name, settings, operation, outer, observers, handler, guard)
            if " " in operation.match:
                method, path = operation.match.split(" ", 1)
                api.matches.append(Match(method, template(path), route))
            else:
                api.named[operation.match] = route
        _head_is_get(api)
        return api

    def mounted(self, method: Mounted) -> Api:
        """Another method's paths."""
        outer = self._outer(method.render)
        observers: tuple[Observer, ...] = (mirror, Metrics(self._services.metrics, self._services.clock, None))
        policies = tuple(policy for _, policy in outer)
        route = Route("", wrap(method.handler, *policies), observers, tuple(title for title, _ in outer))
        return Api(
            method.name,
            method.at.encode(),
            False,
            route,
            policies,
            observers,
            method.render,
            body_limit=method.body_limit,
            body_patience=method.body_patience,
        )

    def own(self) -> Api:
        """What the platform itself answers, at the root: probes, metrics, and 404 for everything else."""
        services = self._services
        by_target: dict[str, list[Breaker]] = {}
        for breaker in self.breakers.values():
            by_target.setdefault(breaker.target, []).append(breaker)
        checks = {**services.checks, **{target: probes.breaker(*breakers) for target, breakers in by_target.items()}}
        nothing = self.platform(NotFound("No API is published at this path"))
        api = Api("", b"", False, nothing, tuple(self._platform), self._platform_observers, as_problem, body_limit=2**63)
        for name, handler in (
            ("_ping", probes.ping(services.release)),
            ("_status", probes.Status(services.release, services.status_keys, checks)),
            ("metrics", probes.metrics(services.registry, services.gather_metrics)),
        ):
            api.matches.append(
                Match("GET", template(f"/{name}"), Route(name, wrap(handler, *self._platform), self._platform_observers))
            )
        _head_is_get(api)
        return api

    def _outer(self, render: Render) -> list[Named]:
        services = self._services
        audit = Audit(services.ledger.audit, services.ledger.pseudonyms, services.clock, render)
        outer: list[Named] = [("audit", audit), ("faults", Faults(render))]
        return outer if services.tracing is None else [("tracing", services.tracing), *outer]

    def _observers(self, settings: ApiSettings) -> tuple[Observer, ...]:
        return mirror, Metrics(self._services.metrics, self._services.clock, settings.service_level.budget)

    def _target(self, target: Target, settings: ApiSettings) -> tuple[Upstream, Breaker]:
        """The connections and the breaker of a target: shared by the APIs that name the same one, kept over a reload."""
        breaker = settings.resilience.breaker
        named = f"{target.url} {breaker.model_dump_json()}"
        if named not in self.breakers:
            old = self._previous.breakers.get(named) if self._previous is not None else None
            self.breakers[named] = old or Breaker(breaker, self._services.clock, target.url)
        return self._upstream(target), self.breakers[named]

    def _upstream(self, target: Target) -> Upstream:
        key = target.model_dump_json()
        if key not in self.upstreams:
            kept = self._previous.upstreams.get(key) if self._previous is not None else None
            self.upstreams[key] = kept or Upstream(target, base=self._services.base, clock=self._services.clock)
        return self.upstreams[key]

    def _chain(
        self,
        name: str,
        settings: ApiSettings,
        operation: Operation | None,
        outer: list[Named],
        observers: tuple[Observer, ...],
        handler: Handler,
        guard: Guarded,
    ) -> Route:
        security = operation.security if operation is not None and operation.security is not None else settings.security
        allowances = self._directory.allowances.get(name, {})
        asked: list[Named | None] = [
            ("request-id", require_guid) if settings.request_id == "required" else None,
            ("identity", self._identity(security)),
            *self._entitled(name, security, allowances),
            self._deduplication(name, settings, operation),
        ]
        last: list[Named | None] = [
            self._retry(settings, operation),
            ("guard", guard),
            *((python_name, _load(name, "policies", python_name, self._services.base)) for python_name in settings.policies),
        ]
        named = outer + [policy for policy in (*asked, *last) if policy is not None]
        inner = outer + [policy for policy in last if policy is not None]
        return Route(
            operation.match if operation is not None else "",
            wrap(handler, *(policy for _, policy in named)),
            observers,
            tuple(title for title, _ in named),
            wrap(handler, *(policy for _, policy in inner)),
        )

    def _identity(self, security: tuple[SecurityContext, ...]) -> Identity:
        known = [self._services.contexts[context] for context in security]
        return Identity(known, contexts.challenge(security), contexts.wanted(security))

    def _entitled(self, name: str, security: tuple[SecurityContext, ...], allowances: Mapping[str, Allowance]) -> tuple[Named, ...]:
        if security == ("open",):
            return ()
        entitlement = Entitlement(name, allowances, [scopes.application(name)], anonymous="open" in security)
        return ("entitlement", entitlement), ("rate", Rate(name, allowances, self._services.ledger.rates))

    def _deduplication(self, name: str, settings: ApiSettings, operation: Operation | None) -> Named | None:
        if operation is None or operation.deduplicate is None:
            return None
        ledger = self._services.ledger
        memory = Memory(ledger.duplicates, ledger.payloads, ledger.pseudonyms, self._services.clock, self._services.running)
        policy = Deduplication(f"{name} {operation.match}", operation.deduplicate, memory, _render(settings), settings.longest)
        return "de-duplication", policy

    @staticmethod
    def _retry(settings: ApiSettings, operation: Operation | None) -> Named | None:
        if settings.resilience.retries is None:
            return None
        return "retry", Retry(settings.resilience.retries, idempotent=operation.idempotent if operation is not None else None)

    def _through(self, settings: ApiSettings, upstream: Upstream) -> PassThrough:
        everywhere = {*settings.security, *(context for operation in settings.operations for context in operation.security or ())}
        own = {contexts.CREDENTIALS[context] for context in everywhere if context in contexts.CREDENTIALS}
        attributes = [
            Attribute(
                each.attribute,
                each.header.lower().encode(),
                each.required,
                f"No {each.attribute.upper()} is associated with your app. Please contact support.",
            )
            for each in settings.attributes
        ]
        return PassThrough(
            upstream,
            upstream.path,
            nhsd_ids=settings.upstream_ids == "nhsd",
            attributes=attributes,
            applications=self._directory.attributes,
            forward=[name for name in (b"authorization", b"apikey") if name not in own],
        )

    def _handler(self, name: str, settings: ApiSettings, upstream: Upstream) -> Handler:
        """What stands at the bottom of an API, one for all its operations."""
        through = self._through(settings, upstream)
        match settings.pattern:
            case "wrapper":
                return self._wrapper(name, settings, through)
            case "sync-wrap":
                wait = settings.sync_wrap or SyncWrapSettings()
                return SyncWrap(name, settings.at, through, wait, self._services.ledger.pending, self._services.clock)
        return through

    def _wrapper(self, name: str, settings: ApiSettings, through: PassThrough) -> Wrapper:
        present = settings.present or Present()
        try:
            presented = credentials(present, self._services.base, self._services.clock, self._upstream)
        except (KeyError, OSError, ValueError) as error:
            raise DeploymentError(f"apis.{name}.present: a secret cannot be used: {type(error).__name__}: {error}") from error
        return Wrapper(through, presented, self._sessions(name, present, through.url))

    def _sessions(self, name: str, present: Present, url: str) -> Sessions | None:
        """The sessions of an API's consumers, one lot for all its operations, and kept over a reload."""
        if present.session is None:
            return None
        key = f"{name} {url} {present.session.model_dump_json()}"
        if key not in self.sessions:
            kept = self._previous.sessions.get(key) if self._previous is not None else None
            self.sessions[key] = kept or Sessions(present.session, url, self._services.clock)
        return self.sessions[key]

    def _orchestration(self, name: str, settings: ApiSettings) -> Orchestration:
        assert settings.plan is not None
        plan = _load(name, "plan", settings.plan, self._services.base)
        fhir = _render(settings) is as_operation_outcome
        within = settings.within.total_seconds()
        return Orchestration(plan, self.apis, settings.uses, within=within, fhir=fhir, limit=settings.limits.body)

    def _probes(self, api: Api, settings: ApiSettings, behind: tuple[Upstream, Breaker] | None) -> None:
        services = self._services
        check = probes.back_end(*behind, settings.health) if behind is not None else probes.breaker()
        status = probes.Status(services.release, services.status_keys, {"healthcheck": check})
        for name, handler in (("_ping", probes.ping(services.release)), ("_status", status)):
            api.matches.append(Match("GET", template(f"/{name}"), Route(name, wrap(handler, *api.outer), api.observers)))


def _head_is_get(api: Api) -> None:
    """HEAD is GET without the body (RFC 9110 §9.3.2): what is declared for GET holds for it, unless HEAD is declared as well."""
    api.matches += [Match("HEAD", match.pattern, match.route) for match in api.matches if match.method == "GET"]


def _render(settings: ApiSettings) -> Render:
    return as_operation_outcome if settings.model is not None and settings.model.fhir is not None else as_problem


def load_policy(python_name: str, base: Path) -> Any:
    """The policy that `module:name` names; modules beside the deployment file (in `base`) are found too.

    ImportError or AttributeError where there is none, ImportError too where its module breaks.
    """
    module, _, attribute = python_name.partition(":")
    if str(base) not in sys.path:
        sys.path.append(str(base))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise
    except Exception as error:
        raise ImportError(f"{type(error).__name__}: {error}") from error


def _load(api: str, key: str, python_name: str, base: Path) -> Any:
    try:
        return load_policy(python_name, base)
    except (ImportError, AttributeError) as error:
        raise DeploymentError(f"apis.{api}.{key}: {python_name} cannot be loaded: {error}") from error
