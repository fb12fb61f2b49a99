"""What the authorization server refuses, as data: status, `error` and `error_description` as on the NHS API platform.

Its consumers' code and tests know these by heart, so they are reproduced to the letter, status by status. Where the platform
leaves a case to a generic answer, ours says what is wrong in the same style; these are marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fiveways.errors import FivewaysError

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105


class Refusal(NamedTuple):
    """One answer of the token endpoint: HTTP status, RFC 6749 §5.2 error code (the platform adds its own), description."""

    status: int
    error: str
    description: str

    def of(self, token: str) -> Refusal:
        """The same of another JWT than the client assertion: 'subject_token'."""
        return self._replace(description=self.description.replace("client_assertion", token))


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

# --- a person's ID token (RFC 8693 §2.1) -----------------------------------------------------------------------------------

EXCHANGE_GRANT_TYPE = _request("grant_type is invalid")
SUBJECT_TYPE = _request(f"missing or invalid subject_token_type - must be '{ID_TOKEN}'")
SUBJECT_MISSING = _request("Missing subject_token")
SUBJECT_AUD_MISSING = _request("Missing 'aud' claim in client_assertion JWT", 401)

# --- combined access: the code, the secret, the refresh token -------------------------------------------------------------

CLIENT_ID_MISSING = _request("client_id is missing", 401)
CLIENT_ID_INVALID = _request("client_id is invalid", 401)
CLIENT_SECRET_MISSING = _request("client_secret is missing", 401)
CLIENT_INVALID = Refusal(401, "invalid_client", "client_id or client_secret is invalid")
REDIRECT_URI_MISSING = _request("redirect_uri is missing")
REDIRECT_URI_INVALID = _request("redirect_uri is invalid")
STATE_MISSING = _request("state is missing")
STATE_INVALID = _request("Invalid state parameter.")
RESPONSE_TYPE_MISSING = _request("response_type is missing")
RESPONSE_TYPE_INVALID = Refusal(400, "unsupported_response_type", "response_type is invalid")
CODE_MISSING = _request("authorization_code is missing")
CODE_INVALID = Refusal(400, "invalid_grant", "authorization_code is invalid")
REFRESH_MISSING = _request("refresh_token is missing")
REFRESH_INVALID = Refusal(401, "invalid_grant", "refresh_token is invalid")
REFRESH_OVER = Refusal(401, "invalid_grant", "refresh token refresh period has expired")

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
ID_ALG_INVALID = _request("Invalid 'alg' header in client_assertion JWT - unsupported JWT algorithm - must be 'RS256' or 'RS512'")
ID_AUD_INVALID = _request("Invalid 'aud' claim in client_assertion JWT", 401)
NONCE_INVALID = _request("Invalid 'nonce' claim in client_assertion JWT")
REQUESTED_TYPE = _request(f"requested_token_type must be '{ACCESS_TOKEN}'")
ACTOR_INVALID = _request("Invalid 'act' claim in client_assertion JWT - only NHS login tells who acts for a person")
ACTOR_NHS_NUMBER = _request("Missing 'nhs_number' claim in client_assertion JWT - delegated access needs one of both people")
PROVIDER_UNREACHABLE = Refusal(503, "temporarily_unavailable", "The identity provider cannot be reached: try again shortly")
NOT_VOUCHED = Refusal(500, "server_error", "The identity provider's answer is of no use")
TURNED_AWAY = Refusal(403, "access_denied", "The identity provider did not sign the person in")
PROVIDER_FOREIGN = _request("The answer is not from the identity provider that was asked")
CREDENTIALS_TWICE = _request("Client credentials are given in more than one way")
CHALLENGE_MISSING = _request("code_challenge is missing")
CHALLENGE_INVALID = _request("code_challenge is invalid - must be a SHA-256 in base64url, with code_challenge_method 'S256'")
STATE_TOO_LONG = _request("state is too long - at most 1024 characters of printable ASCII")
USERINFO_COMBINED = _request("The Userinfo endpoint is only supported for combined access with NHS CIS2")
LOGOUT_INVALID = _request("Invalid logout_token")
LOGOUT_UNKNOWN = _request("The session is not known here", 501)
LOGOUT_FROM = Refusal(403, "access_denied", "Logouts are not taken from this address")
TOKEN_FOREIGN = Refusal(400, "invalid_grant", "The token was not issued to this client")
UNAVAILABLE = Refusal(503, "temporarily_unavailable", "The authorization server cannot do this now: try again shortly")


class Refused(FivewaysError):
    """A request to the authorization server is refused.

    `application` is the application it is known, or claimed, to come from: '' where no registered one was named. `details` are for
    the audit: of whom it was known who they are.
    """

    def __init__(self, refusal: Refusal, application: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(refusal.description)
        self.refusal = refusal
        self.application = application
        self.details = dict(details or {})
