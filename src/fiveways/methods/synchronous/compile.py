"""From the `apis:` of a deployment to a gateway that runs: every operation's policies, in their order, fixed here and once.

    tracing → audit → faults                                             around everything, refusals included
    → request id → identity → entitlement → rate → behalf                who may, how often, and for whom
    → de-duplication                                                     and only once
    → promise                                                            what is answered before it is done
    → retry → guard (concurrency, breaker) → your own → the back end     what happens when it is in trouble

Every outcome is then observed: correlation ids put on it, and counted for metrics and alerting.

A reload compiles anew and takes over what has not changed: connections, breakers and counts of the targets that stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fiveways.delivery.queue import Queue
from fiveways.deployment.callables import declared_callable
from fiveways.errors import Fault, NotFound
from fiveways.methods.synchronous import contexts, probes
from fiveways.methods.synchronous.api import Api, Match, Route, template
from fiveways.methods.synchronous.gateway import Gateway
from fiveways.methods.synchronous.lasting import Lasting
from fiveways.methods.synchronous.patterns import Patterns
from fiveways.methods.synchronous.policies.audit import Audit
from fiveways.methods.synchronous.policies.behalf import OnBehalf, Vouched
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.methods.synchronous.policies.concurrency import Concurrency
from fiveways.methods.synchronous.policies.correlation import mirror, require_guid
from fiveways.methods.synchronous.policies.deduplication import Deduplication, Memory
from fiveways.methods.synchronous.policies.entitlement import Entitlement
from fiveways.methods.synchronous.policies.faults import Faults
from fiveways.methods.synchronous.policies.guard import Guarded
from fiveways.methods.synchronous.policies.identity import Identity
from fiveways.methods.synchronous.policies.metrics import Metrics
from fiveways.methods.synchronous.policies.rate import Allowance, Rate
from fiveways.methods.synchronous.policies.retry import Retry
from fiveways.methods.synchronous.promise.accepting import Accepting
from fiveways.methods.synchronous.promise.keeping import queue
from fiveways.methods.synchronous.promise.settings import PromiseSettings
from fiveways.methods.synchronous.rendering import Render, as_operation_outcome, as_problem
from fiveways.methods.synchronous.services import Directory, Services
from fiveways.methods.synchronous.settings import ApiSettings, Operation, Security, SecurityContext, names, user_restricted
from fiveways.methods.synchronous.transformation import transformers
from fiveways.methods.synchronous.transformation.mediation import Mediation
from fiveways.methods.synchronous.transformation.repeats import Repeats
from fiveways.methods.synchronous.transformation.transformer import Place
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.security import scopes
from fiveways.types import Handler, Interaction, Observer, Outcome, Policy, wrap

Named = tuple[str, Policy]


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
    """A gateway with its APIs, and the parts that outlive a reload."""

    gateway: Gateway
    lasting: Lasting
    apis: list[Api]
    promises: list[Queue]


def compile_gateway(
    apis: Mapping[str, ApiSettings],
    directory: Directory,
    services: Services,
    previous: Compiled | None = None,
    mounted: Iterable[Mounted] = (),
) -> Compiled:
    """The gateway for `apis` and what is `mounted` beside them, with whatever of `previous` has not changed."""
    lasting = Lasting(services.base, services.clock, previous.lasting if previous is not None else None)
    compiler = _Compiler(directory, services, lasting)
    compiled = [compiler.api(name, settings) for name, settings in apis.items()]
    compiled += [compiler.mounted(each) for each in mounted]
    compiled.append(compiler.own())
    gateway = Gateway(compiled, compiler.platform, services.clock)
    lasting.settled()
    services.metrics.breakers = tuple(lasting.breakers.values())
    return Compiled(gateway, lasting, compiled, compiler.promises)


class _Compiler:
    def __init__(self, directory: Directory, services: Services, lasting: Lasting) -> None:
        self._directory = directory
        self._services = services
        self._lasting = lasting
        self._apis: dict[str, Api] = {}
        self.promises: list[Queue] = []
        self._mediations: dict[str, Mediation] = {}
        self._patterns = Patterns(directory, services, lasting, self._apis)
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
        fhir = render is as_operation_outcome
        handler = self._patterns.handler(name, settings, fhir)
        behind = self._behind(settings)
        concurrency = Concurrency(settings.resilience.concurrency)
        guard = Guarded([concurrency] if behind is None else [concurrency, behind[1]])
        api = Api(
            name=name,
            base=settings.at.encode(),
            fhir=fhir,
            default=self._chain(name, settings, None, outer, observers, handler, guard),
            outer=tuple(policy for _, policy in outer),
            observers=observers,
            render=render,
            body_limit=settings.limits.body,
            body_patience=settings.limits.body_progress.total_seconds(),
        )
        self._apis[name] = api
        self._probes(api, settings, behind)
        self._jobs(api, settings, outer, observers)
        if settings.promises and behind is not None:
            said, services = settings.promise or PromiseSettings(), self._services
            made = queue(api, said, behind[1].target, settings.longest, behind[1], services.clock, services.tell)
            self.promises.append(made)
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
        for breaker in self._lasting.breakers.values():
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

    def _behind(self, settings: ApiSettings) -> tuple[Upstream | None, Breaker] | None:
        """The connections and the breaker of an API's target: shared by the APIs that name the same one."""
        if settings.mllp is not None:
            return None, self._lasting.breaker(settings.resilience.breaker, settings.mllp.url)
        if settings.target is None:
            return None
        return self._lasting.upstream(settings.target), self._lasting.breaker(settings.resilience.breaker, settings.target.url)

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
        mediation = self._mediation(name, settings)
        asked: list[Named | None] = [
            ("request-id", require_guid) if settings.request_id == "required" else None,
            ("identity", self._identity(names(security))),
            *self._entitled(name, security, allowances),
            self._behalf(security),
            self._exchange(name),
            mediation,
            self._deduplication(name, settings, operation),
            self._promise(name, settings),
        ]
        last: list[Named | None] = [
            self._retry(settings, operation),
            ("guard", guard),
            *((each, declared_callable(f"apis.{name}.policies", each, self._services.base)) for each in settings.policies),
        ]
        named = outer + [policy for policy in (*asked, *last) if policy is not None]
        within = [] if mediation is None or settings.promises else [mediation]  # what is promised is transformed already
        inner = [("metrics", _counted(observers)), *outer, *within, *(policy for policy in last if policy is not None)]
        return Route(
            operation.match if operation is not None else "",
            wrap(handler, *(policy for _, policy in named)),
            observers,
            tuple(title for title, _ in named),
            wrap(handler, *(policy for _, policy in inner)),
        )

    def _identity(self, security: tuple[SecurityContext, ...]) -> Identity:
        known = dict.fromkeys(self._services.contexts[context] for context in security)
        return Identity(list(known), contexts.challenge(security), contexts.wanted(security))

    def _entitled(self, name: str, security: Security, allowances: Mapping[str, Allowance]) -> tuple[Named, ...]:
        if security == ("open",):
            return ()
        wanted = {scopes.application(name)} if "signed-jwt" in security else set()
        for person in user_restricted(security):
            wanted |= self._directory.providers[person.provider].convention.scopes(name, person.assurance)
        entitlement = Entitlement(name, allowances, wanted, anonymous="open" in security)
        return ("entitlement", entitlement), ("rate", Rate(name, allowances, self._services.ledger.rates))

    def _behalf(self, security: Security) -> Named | None:
        people = user_restricted(security)
        if not people:
            return None
        issuers = {}
        for person in people:
            provider = self._directory.providers[person.provider]
            issuers[provider.issuer] = Vouched("none" if provider.kind == "nhs-login" else person.role)
        return "behalf", OnBehalf(issuers)

    def _deduplication(self, name: str, settings: ApiSettings, operation: Operation | None) -> Named | None:
        if operation is None or operation.deduplicate is None:
            return None
        ledger = self._services.ledger
        memory = Memory(ledger.duplicates, ledger.payloads, ledger.pseudonyms, self._services.clock, self._services.running)
        policy = Deduplication(f"{name} {operation.match}", operation.deduplicate, memory, _render(settings), settings.longest)
        return "de-duplication", policy

    def _mediation(self, name: str, settings: ApiSettings) -> Named | None:
        if settings.transform is None:
            return None
        if name not in self._mediations:
            said, services, ledger = settings.transform, self._services, self._services.ledger
            where = f"apis.{name}.transform"
            transformer = transformers.made(where, said.by, Place(name, said.options, services.clock, services.base), services.base)
            repeats = None
            if not settings.promises:
                repeats = Repeats(name, ledger.duplicates, ledger.pseudonyms, services.clock, said.remember)
            self._mediations[name] = Mediation(transformer, services.counts, repeats)
        return "transformation", self._mediations[name]

    def _promise(self, name: str, settings: ApiSettings) -> Named | None:
        if not settings.promises:
            return None
        services, said = self._services, settings.promise or PromiseSettings()
        fhir = _render(settings) is as_operation_outcome
        check = declared_callable(f"apis.{name}.promise.check", said.check, services.base) if said.check is not None else None
        pseudonyms = services.ledger.pseudonyms
        transformed = settings.transform is not None
        policy = Accepting(
            name, said, services.deliveries, pseudonyms, services.clock, fhir=fhir, check=check, transformed=transformed
        )
        return "promise", policy

    def _exchange(self, name: str) -> Named | None:
        exchanged = self._services.exchanged.get(name)
        return ("exchange", exchanged.policy) if exchanged is not None else None

    def _jobs(self, api: Api, settings: ApiSettings, outer: list[Named], observers: tuple[Observer, ...]) -> None:
        """Where an API that answers in two stages tells of the second: for those who may call it."""
        exchanged = self._services.exchanged.get(api.name)
        if exchanged is None:
            return
        asked: list[Named | None] = [
            *outer,
            ("identity", self._identity(names(settings.security))),
            *self._entitled(api.name, settings.security, self._directory.allowances.get(api.name, {})),
            self._behalf(settings.security),
        ]
        policies = [policy for policy in asked if policy is not None]
        titles = tuple(title for title, _ in policies)
        route = Route(exchanged.at.strip("/"), wrap(exchanged.handler, *(policy for _, policy in policies)), observers, titles)
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
            api.matches.append(Match(method, template(f"{exchanged.at}/**"), route))

    @staticmethod
    def _retry(settings: ApiSettings, operation: Operation | None) -> Named | None:
        if settings.resilience.retries is None:
            return None
        return "retry", Retry(settings.resilience.retries, idempotent=operation.idempotent if operation is not None else None)

    def _probes(self, api: Api, settings: ApiSettings, behind: tuple[Upstream | None, Breaker] | None) -> None:
        services = self._services
        check = probes.breaker(*(() if behind is None else (behind[1],)))
        if behind is not None and behind[0] is not None:
            check = probes.back_end(behind[0], behind[1], settings.health)
        status = probes.Status(services.release, services.status_keys, {"healthcheck": check})
        for name, handler in (("_ping", probes.ping(services.release)), ("_status", status)):
            api.matches.append(Match("GET", template(f"/{name}"), Route(name, wrap(handler, *api.outer), api.observers)))


def _counted(observers: tuple[Observer, ...]) -> Policy:
    """For what no consumer sees the answer of: it is counted all the same."""
    metrics = [observer for observer in observers if isinstance(observer, Metrics)]

    async def counted(interaction: Interaction, handler: Handler) -> Outcome:
        outcome = await handler(interaction)
        for observe in metrics:
            observe(interaction, outcome)
        return outcome

    return counted


def _head_is_get(api: Api) -> None:
    """HEAD is GET without the body (RFC 9110 §9.3.2): what is declared for GET holds for it, unless HEAD is declared as well."""
    api.matches += [Match("HEAD", match.pattern, match.route) for match in api.matches if match.method == "GET"]


def _render(settings: ApiSettings) -> Render:
    return as_operation_outcome if settings.model is not None and settings.model.fhir is not None else as_problem
