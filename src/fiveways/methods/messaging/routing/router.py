"""From a patient's address to a mailbox: a resolver finds the practice, the directory its mailbox for the workflow."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from fiveways.correlation import Correlation
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.routing.demographics import Demographics, read
from fiveways.methods.messaging.routing.resolver import Failure, Practice, Resolver, Unresolved

log = structlog.get_logger("fiveways.routing")


class Router:
    """Finds the mailbox of the practice that a patient is registered with, within a time."""

    def __init__(self, resolver: Resolver, directory: Directory, within: timedelta) -> None:
        self._resolver = resolver
        self._directory = directory
        self._within = within.total_seconds()

    def may_send(self, workflow: str, sender: str) -> bool:
        """Whether `sender` may send `workflow` at all: who may not learns nothing of patients."""
        known = self._directory.workflows.get(workflow)
        if known is None:
            return self._directory.may(workflow, sender, "")
        return not known.senders or sender in known.senders

    async def mailbox(self, patient: Demographics, workflow: str, correlation: Correlation) -> str | Failure:
        """The id of the mailbox that takes `workflow` for the patient's practice. Raises Unresolved where nobody can say."""
        if not patient.has_nhs_number:
            return Failure.INVALID_NUMBER
        found = await self._found(patient, correlation)
        if isinstance(found, Failure):
            return found
        mailboxes = self._directory.receivers(workflow, found.ods_code) if found.ods_code else []
        if len(mailboxes) == 1:
            return mailboxes[0].id
        return Failure.SEVERAL_MAILBOXES if mailboxes else Failure.NO_MAILBOX

    async def _found(self, patient: Demographics, correlation: Correlation) -> Practice | Failure:
        try:
            async with asyncio.timeout(self._within):
                found: object = await self._resolver(patient, correlation)
        except Unresolved:
            raise
        except Exception as error:  # a resolver is anybody's, and its error's text could name the patient
            reason = type(error).__name__
        else:
            if isinstance(found, Practice | Failure):
                return found
            reason = f"answered with {type(found).__name__}"
        log.warning("routing by patient failed", reason=reason)
        raise Unresolved


def patient_of(address: str) -> Demographics | None:
    """Whom an address on the wire names (each byte a character, UTF-8 or Latin-1); None where it is not of the form."""
    sent = address.encode("latin-1")
    try:
        return read(sent.decode())
    except UnicodeDecodeError:
        return read(address)
