"""Correlation: every answer, faults too, carries the ids of its request; an API may insist on a GUID (S27).

X-Request-ID names one request and X-Correlation-ID the conversation; both come back as they were sent, or as they were made.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from fiveways.correlation import is_guid
from fiveways.errors import InvalidValue, MissingValue
from fiveways.types import Handler, Interaction, Outcome

_MIRRORED: Final = (b"x-request-id", b"x-correlation-id")


def mirror(interaction: Interaction, outcome: Outcome) -> None:
    """Put X-Request-ID and X-Correlation-ID on the answer, in place of a back end's own, and what policies have to tell."""
    ids = interaction.correlation
    headers = [field for field in outcome.headers if field[0] not in _MIRRORED]
    headers += interaction.telling
    headers.append((b"x-request-id", ids.request_id))
    headers.append((b"x-correlation-id", ids.correlation_id))
    outcome.headers = headers


def require_guid(interaction: Interaction, handler: Handler) -> Awaitable[Outcome]:
    """Refuse a request whose X-Request-ID is missing or is no GUID."""
    sent = interaction.fields.get(b"x-request-id")
    if sent is None:
        raise MissingValue("Invalid request with error - X-Request-ID header must be supplied to access this resource")
    if not is_guid(sent):
        raise InvalidValue(f"Invalid value - '{_printable(sent)}' in header 'X-Request-ID'")
    return handler(interaction)


def _printable(value: bytes) -> str:
    return "".join(character if character.isprintable() else "?" for character in value[:100].decode("latin-1"))
