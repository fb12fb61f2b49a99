"""How we show who we are: an API key, an access token, a token had for a signed JWT, a client certificate.

What is asked for here is shown to the deployment's own addresses only (`origins.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from fiveways.client.body import Body
from fiveways.client.errors import ClientError, Denied, Unavailable
from fiveways.client.origins import Place
from fiveways.client.transport import Asked, Pairs, Transport, whole
from fiveways.clock import Clock
from fiveways.correlation import new_id

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LARGEST = 64 * 1024
"""Bytes of a token endpoint's answer."""
_SOON = 30.0
"""Seconds before its end at which a token is not used any more; or a tenth of its life, where that is less."""
_LIFE = 60
"""Seconds that an assertion lives."""


class Access(Protocol):
    """A way of showing who we are."""

    async def fields(self, door: Door) -> Pairs:
        """Header fields for one request. Raises Denied or Unavailable where there are none to be had."""
        ...

    def refused(self) -> bool:
        """The deployment has answered 401: whether other fields may be had, so that trying once more makes sense."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """What access that must be asked for is asked through: connections, where the deployment is, the time, and the patience."""

    transport: Transport
    base: str
    clock: Clock
    patience: timedelta


class ApiKey:
    """An API key: application-restricted access by a header field."""

    def __init__(self, key: str) -> None:
        self._fields = [("apikey", key)]

    async def fields(self, door: Door) -> Pairs:
        """The key."""
        return self._fields

    def refused(self) -> bool:
        """There is no other key."""
        return False


class Token:
    """An access token that somebody else has got, or a function that gets one, asked for each request."""

    def __init__(self, token: str | Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def fields(self, door: Door) -> Pairs:
        """The token."""
        return _bearer(self._token if isinstance(self._token, str) else await self._token())

    def refused(self) -> bool:
        """A function may know another one by now."""
        return not isinstance(self._token, str)


class Certificate:
    """A client certificate and its key, and who issues the deployment's; PEM files. Each pair or part may be left out."""

    def __init__(self, cert: Path | None = None, key: Path | None = None, ca: Path | None = None) -> None:
        if (cert is None) != (key is None):
            raise ClientError("a certificate and its key go together")
        self.cert, self.key, self.ca = cert, key, ca

    async def fields(self, door: Door) -> Pairs:
        """None: it is shown when the connection is made."""
        return []

    def refused(self) -> bool:
        """There is no other one."""
        return False


class SignedJwt:
    """OAuth client credentials with an assertion that is signed RS512 (RFC 7523 §2.2); `key` is a file (PEM).

    `token_url` is the deployment's `/oauth2/token` unless said otherwise. A token serves all requests until shortly before its end;
    whoever finds none asks for it, and all others wait for that.
    """

    def __init__(self, client_id: str, key: Path, kid: str, token_url: str = "", *, scope: str = "") -> None:
        self._client_id, self._kid, self._token_url, self._scope = client_id, kid, token_url, scope
        try:
            self._key = RSAKey.import_key(key.read_bytes())
            if not self._key.is_private:
                raise ClientError(f"{key} is no private key")
        except (OSError, JoseError, ValueError) as error:
            raise ClientError(f"{key} is no private key: {error}") from None
        self._token, self._until = "", 0.0
        self._asking: asyncio.Task[None] | None = None

    async def fields(self, door: Door) -> Pairs:
        """The token."""
        if door.clock.monotonic() >= self._until:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(door))
                self._asking.add_done_callback(self._asked)
            await asyncio.shield(self._asking)  # whoever stops waiting does not take the token from the others
        return _bearer(self._token)

    def refused(self) -> bool:
        """It is not used again."""
        self._until = 0.0
        return True

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # those who waited have it

    async def _ask(self, door: Door) -> None:
        url = self._token_url or f"{door.base}/oauth2/token"
        asked = Asked("POST", Place(url, own=True), _FORM, Body(self._form(url, door.clock.time())))
        try:
            async with asyncio.timeout(door.patience.total_seconds()), door.transport.open(asked, []) as response:
                status, body = response.status, await whole(response, _LARGEST)
        except TimeoutError:
            raise Unavailable("the token endpoint did not answer in time") from None
        self._token, life = _read(status, body)
        self._until = door.clock.monotonic() + life - min(_SOON, life / 10)

    def _form(self, url: str, now: float) -> bytes:
        claims = {"iss": self._client_id, "sub": self._client_id, "aud": url, "jti": new_id(), "exp": int(now) + _LIFE}
        header = {"alg": "RS512", "typ": "JWT", "kid": self._kid}
        assertion = jwt.encode(header, claims, self._key, algorithms=["RS512"])
        form = {"grant_type": "client_credentials", "client_assertion_type": _ASSERTION, "client_assertion": assertion}
        return urlencode({**form, **({"scope": self._scope} if self._scope else {})}).encode()


_FORM: Pairs = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]


def every(access: Access | Sequence[Access] | None) -> tuple[Access, ...]:
    """Access as a sequence: a certificate and a key may be wanted together."""
    if access is None:
        return ()
    return tuple(access) if isinstance(access, Sequence) else (access,)


def _bearer(token: str) -> Pairs:
    return [("Authorization", f"Bearer {token}")]


class _Said(msgspec.Struct):
    """What a token endpoint says (RFC 6749 §5.1, §5.2); some write numbers as strings."""

    access_token: str = ""
    token_type: str = ""
    expires_in: int | float | str = 300
    error: str = ""
    error_description: str = ""


def _read(status: int, body: bytes) -> tuple[str, float]:
    """A token and its life in seconds."""
    try:
        said = msgspec.json.decode(body, type=_Said)
        life = float(said.expires_in)
    except (msgspec.MsgspecError, ValueError):
        said, life = _Said(), 0.0
    if status >= 500 or status in (408, 425, 429):
        raise Unavailable(f"the token endpoint answered {status}")
    if status != 200 or not said.access_token.isascii() or not said.access_token or said.token_type.lower() != "bearer":
        words = f"{said.error} {said.error_description}".strip()[:200]
        raise Denied(f"there is no token: the token endpoint answered {status} {words}".strip(), said.error[:40])
    if not 0 < life < 10**9:
        raise Denied("there is no token: the one that was given has expired")
    return said.access_token, life
