"""What a deployment says of a promise of work."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fiveways.delivery.settings import CapacitySettings
from fiveways.deployment.settings import Duration, Name, PythonName, Settings


class OrderSettings(Settings):
    """What must reach the provider in the order in which it came: requests with the same key, one after another.

    The key is the first of these that a request has; one that has none is refused.
    """

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    """A header field: X-Patient-ID."""
    body: Annotated[str, Field(pattern=r"^(/[^/]*)+$")] | None = None
    """A JSON Pointer into the body (RFC 6901): /subject/reference."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~$/{}*-]*\{key\}[A-Za-z0-9._~$/{}*-]*$")] | None = None
    """A path below the API's, in which {key} stands for the key: /Patient/{key}."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.header is None and self.body is None and self.path is None:
            raise ValueError("expected where the key is: header:, body: or path:")
        return self


class OutcomeSettings(Settings):
    """Where the provider's answer is told: as a message in the mailbox of who made the promise."""

    workflow: Name
    """The workflow of the message."""
    sender: Name = Field(alias="from")
    """The mailbox that it comes from: the provider's."""
    to: dict[Name, Name] = Field(min_length=1)
    """The mailbox of each application that is told."""


class PromiseSettings(Settings):
    """How requests that change something are promised and delivered."""

    answer: Literal[200, 202] = 202
    """The status that says: received."""
    check: PythonName | None = None
    """A Python callable `(interaction, document) -> None` that looks at a request before it is promised, and raises the fault that
    refuses it. `document`: its JSON body, read; None where it is no JSON."""
    order: OrderSettings | None = None
    """What goes in order. Default: PUT, PATCH and DELETE of the same path; POST without any."""
    after_failure: Literal["wait", "go-on"] = "wait"
    """Where one is given up: whether those behind it under its key wait until a person has dealt with it."""
    capacity: CapacitySettings | None = None
    """What the provider takes (A24), over all nodes; what is too much waits. APIs with the same target URL share it."""
    keep_trying: Duration = timedelta(days=7)
    """How long after it was promised a delivery that fails is tried again; then it is a dead letter."""
    first_wait: Duration = Field(default=timedelta(seconds=1), gt=timedelta(0))
    """Up to this long, at random, after a first failure; twice as long after each that follows."""
    longest_wait: Duration = timedelta(minutes=5)
    """But never longer than this, unless the provider asks for it (Retry-After)."""
    expires: Duration | None = None
    """How long after it was promised nobody needs it any more: it is then not delivered. Default: never."""
    outcome: OutcomeSettings | None = None
    """Where the provider's answer is told. Default: nowhere."""
    keys_at_once: int = Field(default=16, ge=1)
    """Keys that one node works on at once."""
