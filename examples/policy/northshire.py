"""Policies of one's own: Python callables that the deployment file names. Each wraps the handler behind it.

A policy may refuse by raising a Fault, change what goes on, or change what comes back. What it puts into `interaction.facts` is
kept in the audit, so it must not be about a patient.
"""

from __future__ import annotations

import re

from fiveways.errors import InvalidValue, MissingValue
from fiveways.types import Handler, Interaction, Outcome

_REASON = re.compile(rb"direct-care|safeguarding|audit")


async def require_reason(interaction: Interaction, handler: Handler) -> Outcome:
    """Refuse a request that does not say why it is made, and remember why for the audit."""
    sent = next((value for name, value in interaction.headers if name == b"x-access-reason"), None)
    if sent is None:
        raise MissingValue("X-Access-Reason must be supplied: direct-care, safeguarding or audit")
    if _REASON.fullmatch(sent) is None:
        raise InvalidValue("X-Access-Reason: expected direct-care, safeguarding or audit")
    interaction.facts["reason"] = sent.decode()
    return await handler(interaction)


async def announce_sunset(interaction: Interaction, handler: Handler) -> Outcome:
    """Say on every answer when this version of the API goes away (RFC 8594), and since when it is deprecated (RFC 9745)."""
    outcome = await handler(interaction)
    outcome.headers += [(b"deprecation", b"@1767225600"), (b"sunset", b"Fri, 01 Jan 2027 00:00:00 GMT")]
    return outcome
