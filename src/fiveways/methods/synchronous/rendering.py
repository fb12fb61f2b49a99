"""How a fault looks to a consumer: OperationOutcome on FHIR APIs, problem details elsewhere (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fiveways.errors import Fault
from fiveways.fhir.outcome import CONTENT_TYPE, operation_outcome, party_code
from fiveways.types import Headers, Outcome

Render = Callable[[Fault, str], Outcome]


def as_operation_outcome(fault: Fault, message_id: str) -> Outcome:
    """The fault as a FHIR OperationOutcome."""
    return _outcome(fault, CONTENT_TYPE, operation_outcome(fault, message_id))


def as_problem(fault: Fault, message_id: str) -> Outcome:
    """The fault as RFC 9457 problem details, with its stable code and the party at fault as members of its own."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": fault.display,
        "status": fault.status,
        "detail": fault.diagnostics,
        "instance": f"urn:uuid:{message_id}",
        "code": fault.code,
        "party": fault.party,
        "party_code": party_code(fault),
    }
    if fault.causes:
        problem["causes"] = [cause._asdict() for cause in fault.causes]
    return _outcome(fault, b"application/problem+json", msgspec.json.encode(problem))


def _outcome(fault: Fault, content_type: bytes, body: bytes) -> Outcome:
    headers: Headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    headers += ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items())
    return Outcome(fault.status, headers, body, fault)
