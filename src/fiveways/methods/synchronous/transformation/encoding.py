"""Resources as JSON: numbers digit for digit, as they were said."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(resource: Any) -> bytes:
    """A resource as JSON. What was measured as 72.50 is written as 72.50 (FHIR R4 §2.24.0.1: the precision of a decimal counts)."""
    return _encoder.encode(resource)
