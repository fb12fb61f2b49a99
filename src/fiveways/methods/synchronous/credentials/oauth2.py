"""An access token of the back end's own authorization server: client credentials with a signed assertion (RFC 7523 §2.2).

One token serves all requests until shortly before it expires; whoever finds none asks for it, and all others wait for that answer.
An authorization server that gives none is left alone for a second.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, HttpUrl, Reference, Settings
from fiveways.errors import Fault
from fiveways.methods.synchronous.answer import whole
from fiveways.methods.synchronous.credentials.credential import CredentialUnavailable
from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.methods.synchronous.upstream.settings import Target, TargetTls, Timeouts
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.types import Headers

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LARGEST: Final = 64 * 1024
"""Bytes of an authorization server's answer."""
_PAUSE: Final = 1.0
"""Seconds for which an authorization server that gave no token is not asked again."""
_SOON: Final = 30.0
"""Seconds before its end at which a token is not used any more; or a tenth of its life, where that is less."""


class OAuth2(Settings):
    """Client credentials with a signed assertion (private_key_jwt)."""

    token_url: HttpUrl
    """The authorization server's token endpoint."""
    client_id: str = Field(min_length=1)
    """Who the gateway is to it."""
    key: Reference
    """The private key (PEM) that assertions are signed with."""
    kid: str = Field(min_length=1)
    """The key's id, by which the authorization server finds its public half."""
    algorithm: Literal["RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384"] = "RS512"
    """How assertions are signed."""
    audience: str | None = None
    """Whom assertions are for. Default: the token URL."""
    scope: str = ""
    """The scopes asked for, with spaces between."""
    tls: TargetTls | None = None
    """Private CA, client certificate, server name, for the token endpoint."""
    timeout: Duration = timedelta(seconds=5)
    """How long it may take to get a token."""


def token_endpoint(settings: OAuth2) -> Target:
    """The token endpoint as a target."""
    bounds = Timeouts(first_byte=settings.timeout, total=settings.timeout)
    return Target(url=settings.token_url, tls=settings.tls, timeout=bounds, connections=4)


class AccessToken:
    """Gets and keeps the token that is presented to one back end."""

    owns = frozenset((b"authorization",))

    def __init__(self, settings: OAuth2, server: Upstream, base: Path, clock: Clock) -> None:
        """`server`: the connection to `token_endpoint(settings)`. KeyError, OSError or ValueError where the key is of no use."""
        self._settings = settings
        self._clock = clock
        self._key = _key(settings.key.resolve(base), settings.algorithm)
        self._server = server
        self._fields: Headers = []
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._why = ""

    async def fields(self) -> Headers:
        """The token as a field."""
        if self._clock.monotonic() >= self._until:
            await self._renewed()
        return self._fields

    def refused(self, presented: Headers) -> bool:
        """The token is not used again, unless there is another one by now: that may be taken."""
        if self._fields[0] in presented:
            self._until = 0.0
        return True

    async def _renewed(self) -> None:
        if self._clock.monotonic() < self._not_before:
            raise CredentialUnavailable(self._why, headers={"Retry-After": "1"})
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        await asyncio.shield(self._asking)  # a consumer that goes away does not take the token from the others

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # those who waited have it

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                answer = await self._server.send(self._request())
                body = await whole(answer.body, _LARGEST, CredentialUnavailable("Its answer is too long."))
            token, lifetime = _token(answer.status, body)
        except TimeoutError:
            raise self._failed("The back end's authorization server did not answer in time.") from None
        except Fault as fault:
            raise self._failed(f"The back end's authorization server gave no token. {fault.diagnostics}") from fault
        self._fields = [(b"authorization", b"Bearer " + token)]
        self._until = self._clock.monotonic() + lifetime - min(_SOON, lifetime / 10)

    def _failed(self, why: str) -> CredentialUnavailable:
        self._why, self._not_before = why, self._clock.monotonic() + _PAUSE
        return CredentialUnavailable(why, headers={"Retry-After": "1"})

    def _request(self) -> UpstreamRequest:
        said = self._settings
        now = int(self._clock.time())
        claims = {
            "iss": said.client_id, "sub": said.client_id, "aud": said.audience or said.token_url, "jti": str(uuid4()),
            "iat": now, "exp": now + 240,
        }  # fmt: skip
        header = {"alg": said.algorithm, "typ": "JWT", "kid": said.kid}
        assertion = jwt.encode(header, claims, self._key, algorithms=[said.algorithm])
        form = {"grant_type": "client_credentials", "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        body = urlencode({**form, **({"scope": said.scope} if said.scope else {})}).encode()
        headers: Headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"accept", b"application/json")]
        return UpstreamRequest(b"POST", self._server.path or b"/", headers, body, len(body))


def _key(pem: bytes, algorithm: str) -> ECKey | RSAKey:
    """The private key of a PEM file; ValueError where there is none in it that the algorithm could use."""
    try:
        return ECKey.import_key(pem) if algorithm.startswith("ES") else RSAKey.import_key(pem)
    except (JoseError, ValueError) as error:
        raise ValueError(f"it is no key for {algorithm}: {error}") from None


class _Answer(msgspec.Struct):
    """What a token endpoint says (RFC 6749 §5.1); some write numbers as strings."""

    access_token: str = ""
    token_type: str = ""
    expires_in: int | float | str = 300
    error: str = ""


def _token(status: int, body: bytes) -> tuple[bytes, float]:
    """A token and its life in seconds. Raises CredentialUnavailable for any answer without one."""
    try:
        said = msgspec.json.decode(body, type=_Answer)
        token, lifetime = said.access_token.encode("ascii"), float(said.expires_in)
    except (msgspec.DecodeError, ValueError):
        raise CredentialUnavailable(f"It answered {status}, with what is no token.") from None
    if status != 200 or not token or said.token_type.lower() != "bearer" or b" " in token:
        raise CredentialUnavailable(f"It answered {status}{_printable(said.error)}.")
    if not 0 < lifetime < 10**9:
        raise CredentialUnavailable("It gave a token that has expired.")
    return token, lifetime


def _printable(error: str) -> str:
    """An error code, if it is one (RFC 6749 §5.2): nothing else of the answer is repeated."""
    return f" {error}" if 0 < len(error) <= 64 and error.replace("_", "").isalnum() and error.isascii() else ""
