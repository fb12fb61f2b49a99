"""An identity provider at work: what it publishes (OpenID Connect Discovery 1.0), its keys, and what it gives for a code."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import RSAKey

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.errors import FivewaysError
from fiveways.security import jwt
from fiveways.security.fetch import Fetched, FetchError, Unreachable, fetch, may_fetch
from fiveways.security.jwks import FetchedKeys, JwksError
from fiveways.security.keys import PlatformKeys
from fiveways.security.refusals import JWT_BEARER
from fiveways.security.users.conventions import Convention
from fiveways.security.users.providers import Provider

ALGORITHMS: Final = ("RS256", "RS512")
"""How ID tokens are signed."""
_KEEP: Final = timedelta(days=1)
_BURST: Final = 10
_IN: Final = timedelta(seconds=10)
"""A provider that has just changed its keys is asked again at once, so often in so long and no more."""


class ProviderError(FivewaysError):
    """The provider cannot be reached, or its answer is of no use; the message holds no credentials."""


class ProviderAway(ProviderError):
    """The provider cannot be reached now."""


class Metadata(msgspec.Struct, frozen=True):
    """What a provider publishes of itself, as far as it matters here."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    code_challenge_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Published:
    """The metadata and keys of one issuer; they outlive a reload of the deployment."""

    def __init__(self, issuer: str, clock: Clock, roots: bytes | None = None) -> None:
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        self._issuer = issuer
        self._clock = clock
        self._roots = roots
        self._metadata = Fetched(
            url, self._read, clock, keep=_KEEP, refetch_after=_IN, burst=_BURST, stale_for=7 * _KEEP, roots=roots
        )
        self._keys: dict[str, FetchedKeys] = {}

    async def metadata(self) -> Metadata:
        """What the issuer publishes of itself; ProviderError where that cannot be had."""
        try:
            return await self._metadata.get()
        except FetchError as error:
            raise ProviderAway(str(error)) from error

    async def key(self, kid: str) -> RSAKey | None:
        """The key with this id, fetched anew where it is not known; ProviderError where keys cannot be had."""
        url = (await self.metadata()).jwks_uri
        keys = self._keys.get(url)
        if keys is None:
            made = FetchedKeys(
                url, self._clock, keep=_KEEP, algorithms=ALGORITHMS, roots=self._roots, refetch_after=_IN, burst=_BURST
            )
            keys = self._keys.setdefault(url, made)
        try:
            return await keys.find(kid)
        except JwksError as error:
            raise ProviderAway(str(error)) from error

    def _read(self, document: Any) -> Metadata:
        try:
            metadata = msgspec.convert(document, Metadata)
        except msgspec.ValidationError as error:
            raise ProviderError(f"{self._issuer} publishes no metadata that can be read: {error}") from error
        if metadata.issuer != self._issuer:  # OpenID Connect Discovery §4.3
            raise ProviderError(f"{self._issuer} publishes the metadata of another issuer")
        endpoints = (metadata.jwks_uri, metadata.authorization_endpoint, metadata.token_endpoint, metadata.userinfo_endpoint)
        if not all(may_fetch(url) for url in endpoints if url):
            raise ProviderError(f"{self._issuer} publishes an endpoint that is not https")
        return metadata


class PublishedMetadata:
    """What was fetched of every issuer, for as long as the process runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, bytes | None], Published] = {}

    def of(self, issuer: str, roots: bytes | None) -> Published:
        """That of one issuer."""
        key = (issuer, roots)
        if key not in self._known:
            self._known[key] = Published(issuer, self._clock, roots)
        return self._known[key]


class IdentityProvider:
    """A provider of the deployment file."""

    def __init__(
        self, name: str, settings: Provider, known: PublishedMetadata, keys: PlatformKeys, base: Path, clock: Clock
    ) -> None:
        """`keys` are the platform's own; `base`: the deployment file's folder. KeyError, OSError or ValueError where a secret, key
        or certificate is of no use."""
        self.name = name
        self.settings = settings
        self.issuer: str = settings.issuer
        self.convention: Convention = settings.convention
        self._clock = clock
        self._keys = keys
        self._roots = settings.ca.resolve(base) if settings.ca is not None else None
        self._published = known.of(settings.issuer, self._roots)
        self.metadata = self._published.metadata
        self.key = self._published.key
        client = settings.client
        self._secret = client.secret.resolve(base).decode() if client is not None and client.secret is not None else ""
        self._key = _private_key(client.key.resolve(base)) if client is not None and client.key is not None else None

    @property
    def client_id(self) -> str:
        """How Fiveways is known to it; '' where it is not."""
        return self.settings.client.id if self.settings.client is not None else ""

    @property
    def session(self) -> timedelta:
        """How long a person stays signed in."""
        return self.settings.session or self.convention.session

    async def redeem(self, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        """What the token endpoint gives for a code (OpenID Connect Core §3.1.3); ProviderError where it gives nothing."""
        metadata = await self.metadata()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        authorization = ""
        if not self._secret:
            assertion = self._assertion(metadata.token_endpoint)
            form |= {"client_id": self.client_id, "client_assertion_type": JWT_BEARER, "client_assertion": assertion}
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote(self.client_id, '')}:{quote(self._secret, '')}"  # RFC 6749 §2.3.1
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": self.client_id, "client_secret": self._secret}
        return await self._ask(metadata.token_endpoint, form=form, authorization=authorization)

    async def userinfo(self, access_token: str, subject: str) -> Mapping[str, Any]:
        """What it knows of a person (§5.3); nothing where it has no such endpoint. ProviderError where it tells of another."""
        url = (await self.metadata()).userinfo_endpoint
        if not url or not access_token:
            return {}
        said = await self._ask(url, authorization=f"Bearer {access_token}")
        if said.get("sub") != subject:
            raise ProviderError(f"the userinfo of {self.name} is about another person")
        return said

    def _assertion(self, audience: str) -> str:
        now, kid = int(self._clock.time()), self.settings.client.kid if self.settings.client is not None else ""
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": audience, "jti": new_id(), "iat": now, "exp": now + 300}
        return jwt.sign(claims, self._key, kid=kid or "", typ="JWT") if self._key else self._keys.current.sign(claims, typ="JWT")

    async def _ask(self, url: str, *, form: Mapping[str, str] | None = None, authorization: str = "") -> Mapping[str, Any]:
        if not url:
            raise ProviderError(f"{self.name} publishes no endpoint for this")
        try:
            said = await fetch(url, form=form, authorization=authorization, roots=self._roots)
        except FetchError as error:
            raise (ProviderAway if isinstance(error, Unreachable) else ProviderError)(str(error)) from error
        if not isinstance(said, dict):
            raise ProviderError(f"{self.name} does not answer with a JSON object")
        return said


def _private_key(pem: bytes) -> RSAKey:
    load_pem_private_key(pem, password=None)  # says better what is wrong with it
    return RSAKey.import_key(pem)
