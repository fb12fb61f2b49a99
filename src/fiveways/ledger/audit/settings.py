"""The `audit:` part of the deployment file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fiveways.deployment.settings import Duration, Settings


class AuditSettings(Settings):
    """How the audit is sealed, kept and bounded."""

    segment_rows: Annotated[int, Field(ge=1)] = 10_000
    """Events after which a segment is sealed: its end is signed and appended to a file outside the database."""
    segment_age: Duration = timedelta(hours=1)
    """Time after which a segment is sealed even if it has fewer events."""
    retention: Duration | None = None
    """How long sealed segments are kept before they are removed, whole; nothing is removed where this is not set."""
    queue: Annotated[int, Field(ge=1)] = 20_000
    """Events waiting to be written; at this many the gateway takes no new requests until there is room."""
    linger: Duration = timedelta(milliseconds=100)
    """How long events that no answer waits for are collected before they are written."""
