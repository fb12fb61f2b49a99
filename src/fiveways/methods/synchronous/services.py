"""What the gateway needs from the rest of the house."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from fiveways.clock import Clock
from fiveways.delivery.engine import Deliveries
from fiveways.ledger.ledger import Ledger
from fiveways.methods.synchronous import probes
from fiveways.methods.synchronous.policies.identity import Context
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics
from fiveways.methods.synchronous.policies.rate import Allowance
from fiveways.methods.synchronous.promise.outcome import Tell
from fiveways.methods.synchronous.settings import SecurityContext
from fiveways.methods.synchronous.transformation.counts import Counts
from fiveways.methods.synchronous.transformation.mailbox import Post
from fiveways.security.users.providers import Provider
from fiveways.types import Handler, Outcome, Policy


@dataclass(slots=True, frozen=True)
class Directory:
    """What the gateway must know of applications. All by name.

    `organisations` gives each application's organisation, `attributes` what is known of it, and `allowances` for each API the
    applications subscribed to it with what they may take. `providers` are those who vouch for people.
    """

    organisations: Mapping[str, str]
    attributes: Mapping[str, Mapping[str, str]]
    allowances: Mapping[str, Mapping[str, Allowance]]
    providers: Mapping[str, Provider] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Exchanged:
    """What an API answers in two stages with: the policy that makes jobs of its requests, and what answers below `{API}{at}`."""

    policy: Policy
    handler: Handler
    at: str


@dataclass(slots=True, frozen=True)
class Services:
    """The parts that it is given."""

    clock: Clock
    ledger: Ledger
    deliveries: Deliveries
    contexts: Mapping[SecurityContext, Context]
    metrics: GatewayMetrics
    release: probes.Release
    status_keys: tuple[str, ...]
    base: Path
    registry: CollectorRegistry
    running: set[asyncio.Task[Outcome]]
    checks: Mapping[str, probes.Check]
    counts: Counts
    """What became of values that were transformed."""
    tell: Tell | None = None
    """Tells of what came of promises."""
    post: Post | None = None
    """Puts messages into mailboxes."""
    exchanged: Mapping[str, Exchanged] = field(default_factory=dict)
    """The APIs that answer in two stages."""
    tracing: Policy | None = None
    gather_metrics: Callable[[], Awaitable[None]] | None = None
