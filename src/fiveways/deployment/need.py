"""What something is for, in the advisor's words: the profile keys that every API, workflow, exchange, feed and channel carries.

Each key is a question of the Integration Patterns Book; what is left out has the answer of an ordinary granular call.
"""

from __future__ import annotations

from typing import Any, Literal

from fiveways.deployment.settings import Duration, Percent, Settings


class Need(Settings):
    """The need behind an exchange (S3–S29, A6–A47, B3–B14, R4–R7)."""

    intent: Literal["retrieve", "create", "update", "command", "task", "collect", "converse", "feed"] = "retrieve"
    """What the consumer wants to do (S7–S10, S20, A34)."""
    trigger: Literal["user", "system"] = "user"
    """What starts it (S4)."""
    payload: Literal["granular", "bulk"] = "granular"
    """Small granular sets of information, or files of records (S5, B1)."""
    purpose: Literal["direct_care", "background"] = "direct_care"
    """Care given now, or processing behind it (A20, B6)."""
    urgent: bool = False
    """Whether the recipient must act at once (A43)."""
    human_actor: bool = False
    """Whether a person must act before the outcome is known (A6, S23)."""
    offline_process: bool = False
    """Whether an offline process stands between request and outcome (S23)."""
    outcome: Literal["none", "receipt", "outcome"] = "outcome"
    """What the consumer needs to hear: nothing, that it was received, or what came of it (S24)."""
    needed_now: bool = False
    """Whether the recipient needs the information immediately (B5)."""
    live_view: bool = False
    """Whether users look at a repository that must be current (B12)."""
    recipient_known: bool = True
    """Whether the sender knows who to share with (B4)."""
    slow: bool = False
    """Whether the provider may take longer than the consumer's patience (S11)."""
    provider_available: bool = True
    """Whether the provider meets the programme's availability (S12, S21)."""
    peaks_fit: bool = True
    """Whether the provider's capacity is above the consumers' peaks (A24)."""
    fixed_constraint: bool = False
    """Whether the provider's architecture rules a synchronous answer out for now (A57)."""
    async_capable: bool = False
    """Whether the back end itself answers 202 and is polled (D13)."""
    idempotent: bool = True
    """Whether a repeat has no further consequence (S22)."""
    dedupe_cost: Literal["cheap", "costly"] = "cheap"
    """What recognising repeats costs the provider (S29)."""
    once_only: bool = False
    """Whether delivery must be guaranteed once only (A29)."""
    event_rate_high: bool = False
    """Whether events come at a very high rate (R5)."""
    full_duplex: bool = False
    """Whether both parties start communications (R6)."""
    near_zero_latency: bool = False
    """Whether next to no latency is acceptable (R7)."""
    backend: Literal["conformant", "several", "old_format", "old_security", "old_stateful"] = "conformant"
    """What stands behind: decides the façade (S37–S39)."""
    consumer_can_host_http: bool = False
    """Whether consumers can run an HTTP server for callbacks (A66)."""
    latency_budget: Duration | None = None
    """How long it may take from sender to recipient, where that is known in figures (A44, R7)."""
    expected_latency: Duration | None = None
    """How long the provider takes, where that is known in figures."""
    availability: Percent | None = None
    """How available the provider is, where that is known in figures."""

    def said(self, key: str) -> Any:
        """What was said of a key; None where nothing was, and the answer of an ordinary call is assumed."""
        return getattr(self, key) if key in self.model_fields_set else None
