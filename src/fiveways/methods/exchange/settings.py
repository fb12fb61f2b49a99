"""The `exchanges:` part of the deployment file: which APIs answer in two stages, how, why for now, and until when."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fiveways.delivery.settings import CapacitySettings
from fiveways.deployment.settings import Duration, HttpUrl, Name, Reference, Settings


class Transitional(Settings):
    """Why an exchange is in two stages for now, what takes its place, and by when (A49, A50, A58, A68): without it, it would be an
    anti-pattern."""

    constraint: str = Field(min_length=1)
    """What keeps the provider from answering at once."""
    target: Literal["synchronous", "promise", "messaging", "real-time"] = "synchronous"
    """The method that takes its place."""
    retire_by: date
    """The day by which it has."""
    announce: Duration = timedelta(days=180)
    """From how long before that day answers say so (Deprecation, RFC 9745; Sunset, RFC 8594)."""
    link: HttpUrl | None = None
    """Where consumers read about it."""


class Polling(Settings):
    """How soon consumers are told to ask again (Retry-After): a quarter of the job's age, within these (A54)."""

    first: Duration = Field(default=timedelta(seconds=1), ge=timedelta(seconds=1))
    """The shortest time."""
    longest: Duration = timedelta(seconds=30)
    """The longest."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.longest:
            raise ValueError("expected first <= longest")
        return self


class Receiver(Settings):
    """Where one consumer is called back."""

    url: HttpUrl
    """The URL. Nothing that a request says changes it."""
    secrets: tuple[Reference, ...] = Field(min_length=1, max_length=2)
    """What calls are signed with: two while a secret is being changed."""


class Callback(Settings):
    """Outcomes are brought to consumers (A64). They may poll all the same."""

    reason: str = ""
    """Why polling is not enough (A67)."""
    consumers: dict[Name, Receiver] = Field(min_length=1)
    """Where each application is called back; one that is not named here polls."""
    first_wait: Duration = Field(default=timedelta(seconds=1), gt=timedelta(0))
    """Up to this long, at random, after a first failure; twice as long after each that follows."""
    longest_wait: Duration = timedelta(hours=1)
    """But never longer than this, unless the receiver asks for it (Retry-After)."""
    keep_trying: Duration = timedelta(days=3)
    """After this long it is a dead letter."""


class LongPolling(Settings):
    """Consumers may hold a request open until there is an outcome (A59), at a listener of its own."""

    listener: Name
    """The listener: one with `long_poll`."""
    url: HttpUrl | None = None
    """The API's base URL there, as consumers know it. Default: the host of the API's own, and the listener's port."""
    hold: Duration = Field(default=timedelta(seconds=60), gt=timedelta(0), le=timedelta(minutes=10))
    """How long a request is held at most."""


class ExchangeSettings(Settings):
    """An API of the gateway that answers in two stages: 202 first, the outcome later."""

    interaction: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+\.[a-z$-]+|(GET|POST|PUT|PATCH|DELETE) /[A-Za-z0-9._~$/{}*-]*)$")]
    """The FHIR http interaction that is exchanged (A69): `RiskAssessment.create`, `POST /RiskAssessment/$score`."""
    requests: Literal["all", "preferred"] = "all"
    """Whether every such request makes a job, or those only that ask for it (`Prefer: respond-async`)."""
    outcome: Literal["answered", "reported"] = "answered"
    """Whether the back end's answer is the outcome, or is told later: through `{status URL}/outcome`, or with `fiveways exchange
    complete`. A back end that answers 202 with a Content-Location is polled for it."""
    provider: Name | None = None
    """The application that may report outcomes."""
    public_url: HttpUrl | None = None
    """The API's base URL as consumers know it. Default: what the request's Host says, and the scheme that it came by."""
    answer: Literal["outcome", "see-other"] = "outcome"
    """Whether the status URL answers with the outcome itself, or with 303 and where it is."""
    within: Duration = timedelta(days=1)
    """How long after the request there may be no outcome; then the job has expired."""
    keep: Duration = timedelta(days=7)
    """How long an outcome is kept."""
    open_jobs: int = Field(default=10_000, ge=1)
    """Jobs that one application may have open; more are refused (429)."""
    poll: Polling = Polling()
    """How soon consumers are told to ask again."""
    ask: Polling = Polling()
    """How often a back end that is polled is asked, where it does not say (Retry-After)."""
    at_once: int = Field(default=16, ge=1)
    """Jobs that one node works on at once."""
    capacity: CapacitySettings | None = None
    """What the provider takes (A24), over all nodes; what is too much waits."""
    callback: Callback | None = None
    """Who is called back, and where."""
    long_poll: LongPolling | None = None
    """Where consumers may hold a request open."""
    transitional: Transitional
    """Why, and until when."""

    @model_validator(mode="after")
    def _who_reports(self) -> Self:
        if self.provider is not None and self.outcome != "reported":
            raise ValueError("provider: says who reports outcomes, and means nothing without outcome: reported")
        return self
