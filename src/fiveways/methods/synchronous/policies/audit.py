"""Audit: every interaction leaves an event, refusals too; a write's answer waits for its event to be durable (S43, A10).

An event names the API and the interaction, never the path: what patient a request is about is kept as a keyed hash.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec.structs import replace

from fiveways.clock import Clock, micros
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.ledger.audit.event import INTERACTION
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.synchronous.answer import when_over
from fiveways.methods.synchronous.policies.faults import unrecorded
from fiveways.methods.synchronous.rendering import Render
from fiveways.methods.synchronous.request import ClientGone
from fiveways.types import Handler, Interaction, Outcome

reports: Final = structlog.get_logger("fiveways.gateway")

NHS_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{10}(?![0-9])")
_READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
NOT_MADE: Final = "write.not_made"
"""The kind of event of a write that was begun and not made (a claim that had been made before, say); another event says why."""
CLIENT_GONE: Final = 499
"""The status in the audit of an exchange whose client went away before the answer."""


class Audit:
    """Writes the events of one API (or of what belongs to none)."""

    def __init__(self, log: AuditLog, pseudonyms: Pseudonyms, clock: Clock, render: Render) -> None:
        self._log = log
        self._render = render
        self._pseudonyms = pseudonyms
        self._clock = clock

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Record what came of the interaction."""
        log = self._log
        if log.full:
            await log.room()
        if interaction.method not in _READS:
            interaction.attest = self._attest
        try:
            outcome = await handler(interaction)
        except (ClientGone, asyncio.CancelledError):
            log.record(self._event(interaction, CLIENT_GONE, "CLIENT_GONE", "consumer", 0))
            raise
        fault = outcome.fault
        code, party = (fault.code, fault.party) if fault is not None else ("", "")
        body = outcome.body
        if interaction.attested == outcome.status:
            return outcome  # its event became durable with what it tells of
        if interaction.method not in _READS:
            whole = isinstance(body, bytes)
            event = self._event(interaction, outcome.status, code, party, len(body) if isinstance(body, bytes) else 0)
            try:
                await log.durable(event)
            except StoreError as error:
                return await self._unrecorded(interaction, outcome, error)
            if not whole:
                when_over(outcome, lambda passed, error: self._broken(interaction, outcome.status, passed, error))
        elif isinstance(body, bytes):
            log.record(self._event(interaction, outcome.status, code, party, len(body)))
        else:
            when_over(outcome, lambda passed, error: self._over(interaction, outcome.status, passed, error))
        return outcome

    def _attest(self, interaction: Interaction, status: int) -> Callable[[bool], None]:
        """Record an outcome before it is one: should its write not be made, the event tells of that."""
        event = self._event(interaction, status, "", "", 0)
        settle = self._log.attest(event, replace(event, kind=NOT_MADE, status=0))
        interaction.attested = status
        return settle

    async def _unrecorded(self, interaction: Interaction, outcome: Outcome, error: StoreError) -> Outcome:
        """What cannot be recorded is not acknowledged (A10)."""
        reports.error("audit failed", message_id=interaction.id, api=interaction.api, name=interaction.name, exc_info=error)
        await outcome.aclose()
        return self._render(unrecorded(), interaction.id)

    def _over(self, interaction: Interaction, status: int, passed: int, error: BaseException | None) -> None:
        if error is not None:
            interaction.facts["broken_off"] = type(error).__name__
        self._log.record(self._event(interaction, status, "BROKEN_OFF" if error is not None else "", "", passed))

    def _broken(self, interaction: Interaction, status: int, passed: int, error: BaseException | None) -> None:
        if error is not None:
            self._over(interaction, status, passed, error)

    def _event(self, interaction: Interaction, status: int, code: str, party: str, bytes_out: int) -> AuditEvent:
        consumer, ids, body = interaction.consumer, interaction.correlation, interaction.body
        facts: dict[str, Any] = interaction.facts
        about = NHS_NUMBER.search(interaction.below) or (NHS_NUMBER.search(interaction.query) if interaction.query else None)
        if about is not None:
            facts["patient"] = self._pseudonyms.of(about[0])
        if consumer.facts:
            facts = {**consumer.facts, **facts}
        request_id = correlation_id = ids.request_id.decode() if ids.guid else self._pseudonyms.in_id(ids.request_id)
        if ids.correlation_id is not ids.request_id:
            correlation_id = self._pseudonyms.in_id(ids.correlation_id)
        return AuditEvent(
            at=micros(self._clock),
            kind=INTERACTION,
            id=interaction.id,
            request_id=request_id,
            correlation_id=correlation_id,
            application=consumer.application,
            organisation=consumer.organisation,
            subject=consumer.subject,
            context=consumer.context,
            api=interaction.api,
            name=interaction.name,
            method=interaction.method,
            status=status,
            outcome=code,
            party=party,
            duration_us=int((self._clock.monotonic() - interaction.started) * 1_000_000),
            calls=interaction.calls,
            bytes_in=getattr(body, "received", 0) if body is not None else 0,
            bytes_out=bytes_out,
            details=facts or None,
        )
