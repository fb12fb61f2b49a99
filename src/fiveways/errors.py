"""What can go wrong, as a tree. Every fault says whose it is, has a stable code, and a sentence on what to do.

How a fault looks on the wire is the business of the route it happened on (OperationOutcome, OAuth body, RFC 9457); what it
*is* stands here. Party prefixes follow the Booking and Referral Standard: SEND the caller, PROXY Fiveways, REC the receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Party = Literal["consumer", "platform", "provider"]


class FivewaysError(Exception):
    """Anything that Fiveways raises on purpose."""


class DeploymentError(FivewaysError):
    """The deployment file is wrong; the message has a line for each mistake found."""


class StoreError(FivewaysError):
    """The store could not do what was asked, and nothing of it was kept."""


class Cause(NamedTuple):
    """One of the things that a fault came from. `status`: what a back end answered, None where it did not; `issue`: as in Fault."""

    name: str
    status: int | None
    code: str
    issue: str
    diagnostics: str


class Fault(FivewaysError):
    """A fault that a consumer is told of.

    Subclasses fix `status` (HTTP), `code` (stable, NHS Spine-ErrorOrWarningCode spelling), `party` (whose fault) and `issue`
    (FHIR issue-type). `diagnostics` is for the consumer's developer; `headers` go on the answer (Retry-After, …).
    """

    status: int = 500
    code: str = "UNKNOWN_ERROR"
    party: Party = "platform"
    issue: str = "unknown"
    display: str = "Unknown error"

    def __init__(self, diagnostics: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(diagnostics or self.display)
        self.diagnostics = diagnostics or self.display
        self.headers = dict(headers or {})
        self.causes: tuple[Cause, ...] = ()
        """What it came from, where that was several things; the consumer is told of each."""


# --- the consumer's -----------------------------------------------------------------------------------------------------


class InvalidValue(Fault):
    """A value the consumer sent is not of the form required."""

    status, code, party, issue, display = 400, "INVALID_VALUE", "consumer", "value", "Provided value is invalid"


class MissingValue(Fault):
    """A value the consumer must send is missing."""

    status, code, party, issue, display = 400, "MISSING_VALUE", "consumer", "required", "Required value is missing"


class MalformedRequest(Fault):
    """The request cannot be taken as HTTP that means one thing only (RFC 9112 §11.2)."""

    status, code, party, issue, display = 400, "BAD_REQUEST", "consumer", "structure", "Malformed request"


class AccessDenied(Fault):
    """No usable credentials (RFC 9110 §15.5.2)."""

    status, code, party, issue = 401, "ACCESS_DENIED", "consumer", "forbidden"
    display = "Access Denied - Unauthorised"


class Forbidden(Fault):
    """Credentials are good but do not entitle to this (RFC 9110 §15.5.4)."""

    status, code, party, issue, display = 403, "ACCESS_DENIED", "consumer", "forbidden", "Access Denied - Forbidden"


class NotFound(Fault):
    """Nothing is published at this path."""

    status, code, party, issue, display = 404, "NOT_FOUND", "consumer", "not-found", "Not found"


class MethodNotAllowed(Fault):
    """The path exists but not for this method; `Allow` says which."""

    status, code, party, issue, display = 405, "UNSUPPORTED_METHOD", "consumer", "not-supported", "Method not allowed"


class RequestTimeout(Fault):
    """The consumer's request did not arrive in time (RFC 9110 §15.5.9)."""

    status, code, party, issue, display = 408, "REQUEST_TIMEOUT", "consumer", "timeout", "Request timed out"


class Conflict(Fault):
    """The same request is being worked on, or its first outcome is not known (RFC 9110 §15.5.10)."""

    status, code, party, issue, display = 409, "CONFLICT", "consumer", "conflict", "Conflict with an earlier request"


class PayloadTooLarge(Fault):
    """The body is over the limit of this API (RFC 9110 §15.5.14)."""

    status, code, party, issue, display = 413, "PAYLOAD_TOO_LARGE", "consumer", "too-long", "Payload too large"


class UriTooLong(Fault):
    """The path or query is over the limit (RFC 9110 §15.5.15)."""

    status, code, party, issue, display = 414, "URI_TOO_LONG", "consumer", "too-long", "URI too long"


class KeyReused(Fault):
    """The same request id came with another body (idempotency: never two meanings under one id)."""

    status, code, party, issue = 422, "DUPLICATE_REQUEST_ID", "consumer", "duplicate"
    display = "Request ID already used with another body"


class TooManyRequests(Fault):
    """A quota or a spike arrest is exceeded; Retry-After says when to come back (RFC 6585 §4)."""

    status, code, party, issue, display = 429, "TOO_MANY_REQUESTS", "consumer", "throttled", "Too Many Requests"


class HeadersTooLarge(Fault):
    """The header section is over the limit (RFC 6585 §5)."""

    status, code, party, issue, display = 431, "HEADERS_TOO_LARGE", "consumer", "too-long", "Header fields too large"


# --- the platform's -----------------------------------------------------------------------------------------------------


class Overloaded(Fault):
    """Fiveways cannot take this on now; resend later with the same request id."""

    status, code, party, issue, display = 503, "SERVICE_UNAVAILABLE", "platform", "transient", "Service unavailable"


class Internal(Fault):
    """A defect of Fiveways; the message id finds it in the log."""


# --- the provider's -----------------------------------------------------------------------------------------------------


class ProviderUnreachable(Fault):
    """The back end could not be connected to."""

    status, code, party, issue, display = 502, "BAD_GATEWAY", "provider", "transient", "Provider unreachable"


class ProviderFaulty(Fault):
    """The back end broke off or did not speak HTTP as it should."""

    status, code, party, issue, display = 502, "BAD_GATEWAY", "provider", "transient", "Provider fault"


class ProviderTimeout(Fault):
    """The back end did not answer in time."""

    status, code, party, issue, display = 504, "GATEWAY_TIMEOUT", "provider", "timeout", "Provider timed out"


class ProviderUnavailable(Fault):
    """The back end is known to be failing, or at its declared capacity; resend later with the same request id."""

    status, code, party, issue, display = 503, "SERVICE_UNAVAILABLE", "provider", "transient", "Service unavailable"
