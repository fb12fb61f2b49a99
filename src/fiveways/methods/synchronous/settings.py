"""The `apis:` part of the deployment file: what is published, in which of the book's patterns, and what stands behind it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fiveways.deployment.debt import Debt
from fiveways.deployment.need import Need
from fiveways.deployment.settings import Duration, Name, Percent, PythonName, Settings, Size
from fiveways.fhir.interactions import OPERATIONS, RESOURCE_TYPES
from fiveways.methods.synchronous.policies.breaker import BreakerSettings
from fiveways.methods.synchronous.policies.deduplication import Deduplicate
from fiveways.methods.synchronous.policies.retry import RetrySettings
from fiveways.methods.synchronous.promise.settings import PromiseSettings
from fiveways.methods.synchronous.syncwrap import SyncWrapSettings
from fiveways.methods.synchronous.transformation.back_ends import MailboxTarget, MllpTarget
from fiveways.methods.synchronous.transformation.settings import TransformSettings
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.methods.synchronous.wrapper import Present
from fiveways.security.users.providers import UserRestricted

SecurityContext = Literal["open", "api-key", "signed-jwt", "client-certificate", "user-restricted"]
"""The security contexts by name."""


class UserRestrictedContext(Settings):
    """A security context with something to say: `user_restricted: {provider: cis2, assurance: aal3}`."""

    user_restricted: UserRestricted
    """An application acts on behalf of a person who has signed in."""


def _form(value: Any) -> str:
    return "tagged-person" if isinstance(value, dict | UserRestrictedContext) else "tagged-name"


Security = tuple[
    Annotated[
        Annotated[Literal["open", "api-key", "signed-jwt", "client-certificate"], Tag("tagged-name")]
        | Annotated[UserRestrictedContext, Tag("tagged-person")],
        Discriminator(_form),
    ],
    ...,
]
"""The security contexts that an API takes."""


def names(security: Security) -> tuple[SecurityContext, ...]:
    """Security contexts by name, each once."""
    return tuple(dict.fromkeys("user-restricted" if isinstance(each, UserRestrictedContext) else each for each in security))


def user_restricted(security: Security) -> tuple[UserRestricted, ...]:
    """Those that want a person."""
    return tuple(each.user_restricted for each in security if isinstance(each, UserRestrictedContext))


BasePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$", examples=["/demographics/FHIR/R4"])]
"""A path of plain segments: /demographics/FHIR/R4."""


class FhirModel(Settings):
    """FHIR, as the API exchanges it (S41, S48)."""

    version: Literal["R4", "STU3", "R4B", "R5"] = "R4"
    """The version of FHIR."""
    profiles: str | None = None
    """Which profiles: uk-core."""


class DataModel(Settings):
    """The declared data model: FHIR, or another by name."""

    fhir: FhirModel | None = None
    """FHIR: faults are OperationOutcomes and interactions are recognised by the http paradigm."""
    other: str | None = None
    """The name of another model."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.fhir is None) == (self.other is None):
            raise ValueError("expected either fhir or other")
        return self


class Operation(Settings):
    """One operation of an API where something differs from the rest of it."""

    match: str = Field(examples=["POST /Patient", "Patient.create", "GET /orders/{id}"])
    """A FHIR interaction (`Patient.create`), or method and path template (`POST /orders/{id}`, `GET /files/**`)."""
    idempotent: bool | None = None
    """Whether a repeat has no further consequence. Left out: what the method says (RFC 9110 §9.2.2)."""
    deduplicate: Deduplicate | None = None
    """How repeats are recognised, where it is not idempotent (S27)."""
    security: Security | None = Field(default=None, min_length=1)
    """Its security contexts, where they differ from the API's."""

    @field_validator("match")
    @classmethod
    def _readable(cls, match: str) -> str:
        if re.fullmatch(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[A-Za-z0-9._~$/{}*-]*", match):
            return match
        kind, _, what = match.partition(".")
        interactions = {"read", "vread", "search", "create", "update", "patch", "delete", "history", "compartment"}
        system = {"search", "batch", "delete", "capabilities", "history"}
        known = system if kind == "system" else interactions if kind.encode() in RESOURCE_TYPES else set()
        if what in known or (known and what.encode() in OPERATIONS):
            return match
        raise ValueError("expected a FHIR interaction such as Patient.create, or a method and path such as POST /orders/{id}")


class Limits(Settings):
    """Bounds on what consumers may send."""

    body: Size = 10 * 2**20
    """The largest request body; larger ones get 413."""
    body_progress: Duration = timedelta(seconds=30)
    """The longest a consumer may send nothing in the middle of a body; then 408."""


class ServiceLevel(Settings):
    """What the API promises; alerts and metrics compare with it."""

    latency: Duration | None = None
    """The latency budget of one request."""
    availability: Percent | None = None
    """The share of requests answered without a fault of the platform's or the provider's."""

    @property
    def budget(self) -> float | None:
        """The latency budget in seconds."""
        return self.latency.total_seconds() if self.latency is not None else None


class Resilience(Settings):
    """What happens when the back end is in trouble."""

    retries: RetrySettings | None = None
    """Retries where repeating is safe; none unless asked for (S40)."""
    breaker: BreakerSettings = BreakerSettings()
    """When a failing target is left alone."""
    concurrency: int = Field(default=1024, ge=1)
    """Requests under way towards the target at most."""


class AttributeHeader(Settings):
    """An attribute of the calling application that the back end is told in a header field."""

    attribute: str = Field(min_length=1)
    """The attribute's name in the application."""
    header: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    """The header field. A client's own copy of it is removed."""
    required: bool = False
    """Whether an application without it is refused (400 MISSING_VALUE)."""


class ApiSettings(Settings):
    """A published API: where, in which pattern, for whom, and what stands behind it."""

    pattern: Literal["pass-through", "orchestration", "promise", "sync-wrap", "wrapper", "middleware", "transformation"]
    """The book's implementation pattern (S37): `pass-through`; `orchestration`, which makes one answer of several (S44);
    `sync-wrap`, which waits for a back end that is polled (D13); `promise`, which says that it has received and delivers later
    (S9, A23); or, with caution, `wrapper`, which hides old security (S64), `middleware`, which hides old behaviour (S67), and
    `transformation`, which hides an old format (S57)."""
    at: BasePath
    """The base path. Where several match, the longest wins."""
    title: str = ""
    """What people call it."""
    target: Target | None = None
    """The back end; an orchestration has none of its own."""
    mllp: MllpTarget | None = None
    """The back end of a transformation, where it takes HL7 v2 over MLLP; in place of `target`."""
    mailbox: MailboxTarget | None = None
    """Where a transformation puts what it has transformed, where that is a mailbox; in place of `target`."""
    transform: TransformSettings | None = None
    """What transforms requests and answers; for a transformation."""
    plan: PythonName | None = None
    """What an orchestration does: an async Python callable `(context) -> answer`."""
    uses: tuple[Name, ...] = ()
    """The APIs of this file that the plan may call. They stay published (S54)."""
    within: Duration = timedelta(seconds=10)
    """How long an orchestration may take in all."""
    present: Present | None = None
    """What the gateway presents to the back end; for a wrapper."""
    sync_wrap: SyncWrapSettings | None = None
    """How long consumers may wait, and how the back end is polled; for a sync-wrap, where the defaults will not do."""
    promise: PromiseSettings | None = None
    """How what is promised is delivered; for a promise of work, where the defaults will not do. A transformation that has it
    promises what it has transformed."""
    facade: PythonName | None = None
    """The class of a middleware façade, `Class(place)`, with `open()`, `close()` and `(interaction, back_end) -> outcome`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What a middleware façade is told: whatever its class wants."""
    model: DataModel | None = None
    """The data model it exchanges (S41)."""
    security: Security = Field(min_length=1)
    """The security contexts it takes; the first for which a request presents something decides (S36)."""
    operations: tuple[Operation, ...] = ()
    """Operations where something differs."""
    request_id: Literal["optional", "required"] = "optional"
    """Whether X-Request-ID must be sent, and be a GUID. Where it is not sent it is made."""
    upstream_ids: Literal["nhsd", "plain"] = "nhsd"
    """How the back end is told the ids: NHSD-Request-ID and NHSD-Correlation-ID, or X-Request-ID and X-Correlation-ID."""
    attributes: tuple[AttributeHeader, ...] = ()
    """Attributes of the application that the back end is told: an ASID in NHSD-ASID."""
    limits: Limits = Limits()
    """Bounds on what consumers may send."""
    service_level: ServiceLevel = ServiceLevel()
    """What it promises."""
    resilience: Resilience = Resilience()
    """What happens when the back end is in trouble."""
    policies: tuple[PythonName, ...] = ()
    """Policies of your own, innermost: Python callables `(interaction, handler) -> outcome`."""
    health: Annotated[str, Field(pattern=r"^/[!-~]*$")] | None = None
    """A path of the back end, below the target's URL, that `_status` asks for (GET; 2xx is well)."""
    need: Need | None = None
    """What it is for, in the advisor's words."""
    debt: Debt | None = None
    """The debt it hides, and the way out."""

    @property
    def longest(self) -> timedelta:
        """How long a request may take at most."""
        waits = (self.sync_wrap or SyncWrapSettings()).most if self.pattern == "sync-wrap" else timedelta(0)
        if self.mllp is not None:
            return self.mllp.connect + self.mllp.answer
        return waits + (self.target.timeout.total if self.target is not None else self.within)

    @property
    def securities(self) -> tuple[Security, ...]:
        """The security contexts of the API, and of each operation that has its own."""
        return self.security, *(operation.security for operation in self.operations if operation.security is not None)

    @property
    def promises(self) -> bool:
        """Whether what would change something is promised."""
        return self.pattern == "promise" or self.promise is not None

    @property
    def hides_debt(self) -> bool:
        """Whether its pattern hides something old, so that a debt plan is needed (S62, S70)."""
        return self.pattern in ("wrapper", "middleware", "transformation")

    @model_validator(mode="after")
    def _what_the_pattern_has(self) -> Self:
        if self.pattern == "orchestration":
            if self.plan is None or not self.uses or self.target is not None:
                raise ValueError("an orchestration has plan: and uses:, and no target: of its own")
        elif self.pattern == "transformation":
            self._what_a_transformation_has()
        elif self.target is None or self.plan is not None or self.uses:
            raise ValueError(f"a {self.pattern} has a target:, and neither plan: nor uses:")
        if self.pattern != "transformation" and (self.mllp or self.mailbox or self.transform):
            raise ValueError("mllp:, mailbox: and transform: are for pattern: transformation")
        tls = self.target.tls if self.target is not None else None
        certificate = tls is not None and tls.certificate is not None
        if self.pattern == "wrapper" and self.present is None and not certificate:
            raise ValueError("a wrapper presents something to its back end: present:, or target.tls.certificate")
        if self.pattern == "promise" and any(operation.deduplicate is not None for operation in self.operations):
            raise ValueError("a promise of work knows repeats by itself: deduplicate means nothing for pattern: promise")
        if (self.pattern == "middleware") is (self.facade is None) or (self.options and self.facade is None):
            raise ValueError("facade: and options: are for pattern: middleware, which has a facade:")
        for key, patterns in (("present", ("wrapper",)), ("sync_wrap", ("sync-wrap",)), ("promise", ("promise", "transformation"))):
            if getattr(self, key) is not None and self.pattern not in patterns:
                raise ValueError(f"{key} is for pattern: {patterns[0]}, and means nothing for pattern: {self.pattern}")
        return self

    def _what_a_transformation_has(self) -> None:
        if self.transform is None or sum(each is not None for each in (self.target, self.mllp, self.mailbox)) != 1:
            raise ValueError("a transformation has transform:, and one of target:, mllp: and mailbox:")
        if self.plan is not None or self.uses:
            raise ValueError("a transformation is one call (S59): it has neither plan: nor uses:")
        if self.mailbox is not None and self.promise is not None:
            raise ValueError("what is put into a mailbox is kept there: promise: means nothing beside mailbox:")
        if any(operation.deduplicate is not None for operation in self.operations):
            raise ValueError("a transformation knows repeats by itself: deduplicate means nothing for pattern: transformation")

    @model_validator(mode="after")
    def _open_means_open(self) -> Self:
        for contexts in self.securities:
            if "open" in contexts[:-1]:
                raise ValueError("open lets everyone in, so it must be the last of several security contexts")
        return self
