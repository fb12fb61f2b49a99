"""OperationOutcome as NHS APIs give it: the NHS code first, and a second coding that names the party at fault."""

from __future__ import annotations

from typing import Any

import msgspec

from fiveways.errors import Cause, Fault, Party

SPINE_CODES = "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode"
STATUSES = "https://www.rfc-editor.org/rfc/rfc9110"
"""The system of a coding whose code is an HTTP status."""
PARTY_CODES = "https://fhir.nhs.uk/Codesystem/http-error-codes"
CONTENT_TYPE = b"application/fhir+json"

_PREFIX: dict[Party, str] = {"consumer": "SEND", "platform": "PROXY", "provider": "REC"}
_REASON = {
    400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE", 408: "TIMEOUT", 409: "CONFLICT", 413: "PAYLOAD_TOO_LARGE", 414: "URI_TOO_LONG",
    422: "UNPROCESSABLE_ENTITY", 431: "HEADERS_TOO_LARGE", 500: "SERVER_ERROR", 501: "NOT_IMPLEMENTED", 502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE", 504: "TIMEOUT",
}  # fmt: skip


def party_code(fault: Fault) -> str:
    """The fault's code with its owner's prefix, as the Booking and Referral Standard spells it: SEND_BAD_REQUEST."""
    if fault.status == 429:
        return "PROXY_TOO_MANY_REQUESTS"
    return f"{_PREFIX[fault.party]}_{_REASON.get(fault.status, 'SERVER_ERROR')}"


def operation_outcome(fault: Fault, message_id: str) -> bytes:
    """The fault as an OperationOutcome in JSON; its id is the message id that the audit has."""
    codings = [
        {"system": SPINE_CODES, "version": "1", "code": fault.code, "display": fault.display},
        {"system": PARTY_CODES, "code": party_code(fault), "display": fault.display},
    ]
    issue = {
        "severity": "error",
        "code": fault.issue,
        "details": {"coding": codings},
        "diagnostics": fault.diagnostics,
    }
    issues = [issue, *(_issue(cause, "error") for cause in fault.causes)]
    return msgspec.json.encode({"resourceType": "OperationOutcome", "id": message_id, "issue": issues})


def partial_outcome(cause: Cause) -> dict[str, Any]:
    """What could not be had, as an OperationOutcome beside what could."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(cause, "warning")]}


def information(text: str, id_: str) -> bytes:
    """An OperationOutcome that tells of no failure, in JSON."""
    issue = {"severity": "information", "code": "informational", "diagnostics": text}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "id": id_, "issue": [issue]})


def _issue(cause: Cause, severity: str) -> dict[str, Any]:
    """One of several causes, with the status that it was answered with."""
    details: dict[str, Any] = {"text": cause.code}
    if cause.status is not None:
        details = {"coding": [{"system": STATUSES, "code": str(cause.status)}], **details}
    return {
        "severity": severity,
        "code": cause.issue,
        "details": details,
        "diagnostics": f"{cause.name}: {cause.diagnostics}",
    }
