"""One line of the audit."""

from __future__ import annotations

from typing import Any

import msgspec

INTERACTION = "interaction"
"""The kind of event that every exchange of the gateway leaves."""


class AuditEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Who did what, when, for whom, and what came of it. No bodies, credentials or patient identifiers (architecture, rule 7).

    `details` is small, made of JSON's types, and not changed after the event was recorded.
    """

    at: int
    """When it was finished, microseconds since the Unix epoch."""
    kind: str
    """What it tells of: `interaction`, `token.issued`, `deployment.loaded`, `chain.recovered`, …"""
    id: str = ""
    """The message id of the interaction."""
    request_id: str = ""
    """X-Request-ID."""
    correlation_id: str = ""
    """X-Correlation-ID."""
    application: str = ""
    organisation: str = ""
    subject: str = ""
    """The person on whose behalf, as a pseudonym."""
    context: str = ""
    """The security context: `open`, `application-restricted`, …"""
    api: str = ""
    name: str = ""
    """The interaction of that API: `Patient.read`."""
    method: str = ""
    status: int = 0
    """The HTTP status answered."""
    outcome: str = ""
    """The fault's code where there was one, else ''."""
    party: str = ""
    """Whose fault it was: `consumer`, `platform`, `provider`, or ''."""
    duration_us: int = 0
    calls: int = 0
    """Attempts made upstream."""
    upstream_status: int = 0
    """The HTTP status the back end answered, 0 if none."""
    bytes_in: int = 0
    bytes_out: int = 0
    details: dict[str, Any] | None = None


class Provisional:
    """An event recorded together with a write (`GroupWriter.transact(…, settled=…)`), and durable with it: it says `done` where the
    write was made, and `otherwise` where it was not.
    """

    __slots__ = ("_done", "_kept", "_otherwise")

    def __init__(self, done: AuditEvent, otherwise: AuditEvent) -> None:
        self._done = done
        self._otherwise = otherwise
        self._kept = False

    def settle(self, kept: bool) -> None:
        """Take note of whether the write was made."""
        self._kept = kept

    def event(self) -> AuditEvent:
        """What there is to tell."""
        return self._done if self._kept else self._otherwise


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(AuditEvent)


def encode(event: AuditEvent) -> bytes:
    """The event's canonical JSON: members in the order of the class, details sorted. What cannot be written is left out."""
    try:
        return _encoder.encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _encoder.encode(msgspec.structs.replace(event, details={"unencodable": True}))


def decode(body: bytes) -> AuditEvent:
    """The event from its canonical JSON; msgspec.DecodeError for anything else."""
    return _decoder.decode(body)
