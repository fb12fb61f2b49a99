"""The deployment file's words for identity: how tokens are made, and how applications prove who they are."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from cryptography import x509
from pydantic import AfterValidator, Field, TypeAdapter, ValidatorFunctionWrapHandler, field_validator, model_validator

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, HttpUrl, Settings, Unsayable
from fiveways.security.fetch import may_fetch
from fiveways.security.jwks import FixedKeys, JwksError, KeySource, KeySources, read_jwks


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("expected at least 1s")
    return value


LONGEST_LIFETIME = timedelta(days=1)
"""No token, however a deployment is configured, is good for longer."""


def _at_most_a_day(value: timedelta) -> timedelta:
    if value > LONGEST_LIFETIME:
        raise ValueError("expected at most 1d")
    return value


Lifetime = Annotated[Duration, AfterValidator(_at_least_a_second), AfterValidator(_at_most_a_day)]
"""How long a credential lives: 1s to 1d."""


class Tokens(Settings):
    """How the authorization server issues access tokens and what it accepts from clients."""

    lifetime: Lifetime = timedelta(minutes=10)
    """How long an access token is good for. Clients are told one second less, as times are rounded to whole seconds."""

    urls: tuple[HttpUrl, ...] = ()
    """The public base URLs of this platform. Client assertions must be made out to one of them with `/oauth2/token` added.
    Where none is given, only callers on this machine (`localhost`, `127.0.0.1`, `[::1]`) can get tokens."""

    issuer: str = Field(default="urn:fiveways", min_length=1, max_length=255)
    """The `iss` of access tokens; the base URL that consumers know, where one should be shown."""

    audience: str = Field(default="urn:fiveways:gateway", min_length=1, max_length=255)
    """The `aud` of access tokens: which gateway takes them. Two platforms never share one."""

    leeway: Duration = timedelta(seconds=10)
    """By how much clients' clocks may differ from ours."""

    assertion_lifetime: Lifetime = timedelta(minutes=5)
    """How far in the future a client assertion may expire (the leeway is added)."""

    assertion_memory: Duration = timedelta(days=30)
    """How long the `jti` of a client assertion is remembered, so that it is used once."""

    jwks_cache: Duration = timedelta(hours=1)
    """How long a client's key set fetched by URL is used before it is fetched again."""

    jwks_refetch: Duration = timedelta(seconds=30)
    """How soon an unknown key id may have a key set fetched again."""

    key_lifetime: Duration = timedelta(days=30)
    """How long one platform key signs before the next takes over."""

    key_lead: Duration = timedelta(hours=1)
    """How long a new platform key is published before it signs, so that whoever caches our key set has it by then."""


class InlineJwks(Settings):
    """A JSON Web Key Set, written out: public RSA keys of 2048 bits or more, each with its `kid`."""

    keys: list[dict[str, Any]] = Field(min_length=1)
    """The keys, as RFC 7517 has them."""

    @model_validator(mode="after")
    def _readable(self) -> InlineJwks:
        if not _read({"keys": self.keys}):
            raise ValueError("no key here can verify RS512")
        return self


def _read(document: Any) -> Any:
    try:
        return read_jwks(document)
    except JwksError as error:
        raise ValueError(str(error)) from error


def _location(value: str) -> str:
    if value.startswith("file:") and len(value) > len("file:"):
        return value
    if re.match(r"https?://", value) and may_fetch(value):
        return value
    raise ValueError(_JWKS_EXPECTED)


_JWKS_EXPECTED = "expected file:PATH, https://… (http:// only to this machine), or {keys: […]}"


JwksLocation = Annotated[
    str,
    AfterValidator(_location),
    Field(json_schema_extra={"pattern": "^(file:.+|https?://.+)$", "examples": ["file:keys/app.jwks.json"]}),
]
"""Where a key set is: file:PATH (relative to the deployment file) or a URL."""

_jwks_location: TypeAdapter[str] = TypeAdapter(JwksLocation)


def _redirect_uri(value: str) -> str:
    parts = urlsplit(value)
    private_use = "." in parts.scheme and not parts.netloc  # an app's own scheme (RFC 8252 §7.1): uk.nhs.app:/signed-in
    if "#" in value or not (may_fetch(value) or private_use):
        raise ValueError("expected https://…, http:// to this machine, or an app's own scheme (uk.nhs.app:/…), without a fragment")
    return value


RedirectUri = Annotated[
    str,
    AfterValidator(_redirect_uri),
    Field(pattern=r"^[!-~]{1,512}$", examples=["https://ward.northshire.test/signed-in"]),
]
"""Where people are sent back to an application: compared letter by letter."""


def _key_hash(value: str) -> str:
    if re.fullmatch(r"sha256:[0-9a-f]{64}", value) is None:
        raise Unsayable("expected sha256: and 64 hexadecimal digits, as `fiveways key new` prints them; never the key itself")
    return value


ApiKeyHash = Annotated[
    str,
    AfterValidator(_key_hash),
    Field(json_schema_extra={"pattern": "^sha256:[0-9a-f]{64}$", "examples": ["sha256:" + "0" * 64]}),
]
"""An API key as it is kept: the SHA-256 of the key, from `fiveways key new`. The key itself is never in the file."""


def _distinguished_name(value: str) -> str:
    try:
        return x509.Name.from_rfc4514_string(value).rfc4514_string()
    except ValueError as error:
        raise ValueError("expected a distinguished name as RFC 4514 writes it: CN=ward-tablet,O=Northshire Hospitals") from error


class ClientCertificate(Settings):
    """A client certificate by what identifies it; where several are given, all must match."""

    subject: Annotated[str, AfterValidator(_distinguished_name)] | None = None
    """The subject's distinguished name (RFC 4514): CN=ward-tablet,O=Northshire Hospitals,C=GB."""

    dns: str | None = Field(default=None, min_length=1)
    """A DNS name among the subject's alternative names."""

    uri: str | None = Field(default=None, min_length=1)
    """A URI among the subject's alternative names."""

    sha256: str | None = Field(default=None, pattern=r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$")
    """The SHA-256 fingerprint of the certificate, in hexadecimal, with or without colons."""

    @model_validator(mode="after")
    def _identifies(self) -> ClientCertificate:
        if self.subject is None and self.dns is None and self.uri is None and self.sha256 is None:
            raise ValueError("expected at least one of subject, dns, uri, sha256")
        return self


class Credentials(Settings):
    """How an application proves who it is: an API key, a signed JWT, a client certificate, or several of these."""

    client_id: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,255}$")
    """Its OAuth client id; the application's name, where none is given."""

    api_keys: tuple[ApiKeyHash, ...] = ()
    """Its API keys, hashed; two while one replaces the other."""

    jwks: InlineJwks | JwksLocation | None = None
    """Its public keys for signed JWTs: written here as {keys: […]}, in a file (file:PATH), or at a URL."""

    certificates: tuple[ClientCertificate, ...] = ()
    """Its client certificates."""

    client_secrets: tuple[ApiKeyHash, ...] = ()
    """Its OAuth client secrets, hashed, as `fiveways key new` prints them; two while one replaces the other. For
    combined access, and to renew the tokens of people."""

    redirect_uris: tuple[RedirectUri, ...] = ()
    """Where people who have signed in may be sent back to it, letter by letter."""

    pkce: Literal["optional", "required"] = "optional"
    """Whether its authorization requests must carry a `code_challenge` (RFC 7636; S256 only)."""

    known_as: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Its client ids at identity providers, by their names: for whom ID tokens that it exchanges must be made. Default: its
    client id here, or that of Fiveways there."""

    introspection: Literal["own", "all"] = "own"
    """Whose tokens it may ask about (`/oauth2/introspect`): its own, or, for a back end that is told tokens, everybody's."""

    @field_validator("jwks", mode="wrap")
    @classmethod
    def _one_way_or_the_other(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """A mapping is keys written out and text a location: one mistake is one message, about the way that was meant."""
        if isinstance(value, dict):
            return InlineJwks.model_validate(value)
        if isinstance(value, str):
            return _jwks_location.validate_python(value)
        if value is None or isinstance(value, InlineJwks):
            return validate(value)
        raise ValueError(_JWKS_EXPECTED)

    def key_source(self, tokens: Tokens, base: Path, clock: Clock, sources: KeySources | None = None) -> KeySource | None:
        """Where its public keys come from; `base` is the deployment file's folder. None where it has none.

        Give the same `sources` from one reload to the next, so that what was fetched is kept.
        """
        sources = sources or KeySources(clock, keep=tokens.jwks_cache, refetch_after=tokens.jwks_refetch)
        if self.jwks is None:
            return None
        if isinstance(self.jwks, InlineJwks):
            return FixedKeys(read_jwks({"keys": self.jwks.keys}))
        if self.jwks.startswith("file:"):
            return sources.at_path(base / self.jwks.removeprefix("file:"))
        return sources.at_url(self.jwks)
