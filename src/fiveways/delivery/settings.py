"""What a deployment declares of deliveries: where they may be sent (one allow-list for every method, `guard.py`), and how many."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from fiveways.delivery.guard import Guard
from fiveways.deployment.settings import Duration, Rate, Reference, Settings


class CapacitySettings(Settings):
    """What a receiver takes (A24), over all nodes; what is too much waits."""

    rate: Rate | None = None
    """Calls in a time: 30/min."""
    at_once: int | None = Field(default=None, ge=1)
    """Calls at once."""


class OutboundSettings(Settings):
    """What others may have us call. Nothing, where nothing is allowed."""

    allow: tuple[str, ...] = ()
    """Hosts (`hooks.example.nhs.uk`), all names below one (`*.example.nhs.uk`), or the start of a URL."""
    networks: tuple[str, ...] = ()
    """Networks (`10.20.0.0/16`) that are not the public Internet's and may be connected to all the same."""
    plain_http: bool = False
    """Whether `http://` may be called too, and not only `https://`."""
    ca: Reference | None = None
    """A certificate (PEM) that receivers' certificates may be issued by, besides those that the machine trusts."""
    keep: Duration = timedelta(days=7)
    """How long a delivery that has ended is kept, counted from when it was promised."""

    @field_validator("allow")
    @classmethod
    def _allowed(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        Guard(allow)
        return allow

    @field_validator("networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        Guard((), networks)
        return networks

    def guard(self) -> Guard:
        """The guard that keeps to this."""
        return Guard(self.allow, self.networks, plain=self.plain_http)
