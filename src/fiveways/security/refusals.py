"""What the authorization server refuses, as data: status, `error` and `error_description` as on the NHS API platform.

Its consumers' code and tests know these by heart, so they are reproduced to the letter, status by status. Where the platform
leaves a case to a generic answer, ours says what is wrong in the same style; these are marked.
"""

from __future__ import annotations

from typing import NamedTuple

from fiveways.errors import FivewaysError

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Refusal(NamedTuple):
    """One answer of the token endpoint: HTTP status, RFC 6749 §5.2 error code (the platform adds its own), description."""

    status: int
    error: str
    description: str


def _request(description: str, status: int = 400) -> Refusal:
    return Refusal(status, "invalid_request", description)


# --- the request ----------------------------------------------------------------------------------------------------------

GRANT_TYPE_MISSING = _request("grant_type is missing")
GRANT_TYPE_INVALID = Refusal(400, "unsupported_grant_type", "grant_type is invalid")
ASSERTION_TYPE = _request(f"Missing or invalid client_assertion_type - must be '{JWT_BEARER}'")
ASSERTION_MISSING = _request("Missing client_assertion")
ASSERTION_MALFORMED = _request("Malformed JWT in client_assertion")

# --- the assertion's header -----------------------------------------------------------------------------------------------

ALG_MISSING = _request("Missing 'alg' header in client_assertion JWT")
ALG_INVALID = _request("Invalid 'alg' header in client_assertion JWT - unsupported JWT algorithm - must be 'RS512'")
KID_MISSING = _request("Missing 'kid' header in client_assertion JWT")
TYP_INVALID = _request("Invalid 'typ' header in client_assertion JWT - must be 'JWT'")

# --- its claims -----------------------------------------------------------------------------------------------------------

EXP_PASSED = _request("Invalid 'exp' claim in client_assertion JWT - JWT has expired")
EXP_MISSING = _request("Missing 'exp' claim in client_assertion JWT")
EXP_TYPE = _request("Invalid 'exp' claim in client_assertion JWT - must be an integer")
EXP_TOO_FAR = _request("Invalid 'exp' claim in client_assertion JWT - more than 5 minutes in future")
ISS_SUB_MISMATCH = _request("Missing or non-matching 'iss'/'sub' claims in client_assertion JWT")
JTI_MISSING = _request("Missing 'jti' claim in client_assertion JWT")
JTI_TYPE = _request("Invalid 'jti' claim in client_assertion JWT - must be a unique string value such as a GUID")
JTI_USED = _request("Non-unique 'jti' claim in client_assertion JWT")
ISS_SUB_UNKNOWN = _request("Invalid 'iss'/'sub' claims in client_assertion JWT", 401)
AUD_INVALID = _request("Missing or invalid 'aud' claim in client_assertion JWT", 401)

# --- its key --------------------------------------------------------------------------------------------------------------

KEY_UNREGISTERED = Refusal(
    403,
    "public_key error",
    "You need to register a public key to use this authentication method - please contact support to configure",
)
KEY_UNREACHABLE = Refusal(403, "public_key error", "The JWKS endpoint, for your client_assertion can't be reached")
KID_UNKNOWN = _request("Invalid 'kid' header in client_assertion JWT - no matching public key", 401)
SIGNATURE_INVALID = Refusal(401, "public_key error", "JWT signature verification failed")

# --- the application ------------------------------------------------------------------------------------------------------

NOT_APPROVED = Refusal(401, "access_denied", "The developer app associated with the API key is not approved or revoked")
NOT_SUBSCRIBED = Refusal(
    401,
    "access_denied",
    "API Key supplied does not have access to this resource. Please check the API Key you are using belongs to an app "
    "which has sufficient access to access this resource.",
)
NOT_CONFIGURED = Refusal(
    401,
    "unauthorized_client",
    "you have tried to request authorization but your application is not configured to use this authorization grant type",
)

# --- the endpoint ---------------------------------------------------------------------------------------------------------

NOT_FOUND = _request("Not Found", 404)
UNKNOWN = Refusal(
    500,
    "unknown_error",
    "An unknown error occurred processing this request. Contact us for assistance diagnosing this issue: "
    "https://digital.nhs.uk/developer/help-and-support quoting Message ID",
)

# --- ours: the platform has no words for these ----------------------------------------------------------------------------

NBF_INVALID = _request("Invalid 'nbf' claim in client_assertion JWT - JWT is not valid yet")
CONTENT_TYPE = _request("Content-Type must be 'application/x-www-form-urlencoded'", 415)
BODY_TOO_LARGE = _request("The request is too large", 413)
BODY_TIMEOUT = _request("The request did not arrive in time", 408)
BODY_MALFORMED = _request("The request is not application/x-www-form-urlencoded")
PARAMETER_REPEATED = _request("A parameter is given more than once")
TOKEN_MISSING = _request("token is missing")
TOKEN_FOREIGN = Refusal(400, "invalid_grant", "The token was not issued to this client")
UNAVAILABLE = Refusal(503, "temporarily_unavailable", "The authorization server cannot do this now: try again shortly")


class Refused(FivewaysError):
    """A request to the authorization server is refused.

    `application` is the application it is known, or claimed, to come from: '' where no registered one was named.
    """

    def __init__(self, refusal: Refusal, application: str = "") -> None:
        super().__init__(refusal.description)
        self.refusal = refusal
        self.application = application
