"""The public keys of a client: written in the deployment file, in a file beside it, or fetched from where the client publishes.

A set fetched by URL is kept for an hour; a key id that is not in it has it fetched again, but not within half a minute of the
last attempt, so that made-up key ids cannot turn the platform against the client's server. When a fetch fails, the set that
was fetched last serves on for up to a day (stale-if-error), because a client's short outage must not lock it out; a key that
the client withdrew in that time is honoured meanwhile.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.util import base64_to_int
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from fiveways.clock import Clock
from fiveways.errors import FivewaysError
from fiveways.security.jwt import ALGORITHM

MINIMUM_BITS = 2048
MAXIMUM_BITS = 8192
MAXIMUM_KEYS = 100
MAXIMUM_BYTES = 256 * 1024
_MEMBERS = ("kty", "n", "e", "use", "key_ops", "alg", "kid")

Keys = Mapping[str, RSAKey]
"""Public keys by their key id."""


class JwksError(FivewaysError):
    """A key set could not be read; the message says why, and holds nothing of the set."""


def read_jwks(document: Any) -> Keys:
    """The RS512 verification keys of a JWK Set (RFC 7517 §5), by key id; JwksError where it is not one.

    Keys that could not verify RS512 (another type, `use` or `alg`) are passed over, as RFC 7517 §5 asks. A private key, an RSA
    key of less than 2048 bits, one without `kid`, or a `kid` given twice is an error: each is a mistake to be told of.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise JwksError("expected a JWK Set: an object with a list of keys")
    if len(members) > MAXIMUM_KEYS:
        raise JwksError(f"a JWK Set of more than {MAXIMUM_KEYS} keys")
    keys: dict[str, RSAKey] = {}
    for position, member in enumerate(members):
        if not isinstance(member, dict):
            raise JwksError(f"keys[{position}] is not an object")
        if member.get("kty") != "RSA" or member.get("use", "sig") != "sig" or member.get("alg", ALGORITHM) != ALGORITHM:
            continue
        kid = member.get("kid")
        if not isinstance(kid, str) or not kid:
            raise JwksError(f"keys[{position}] has no kid")
        if kid in keys:
            raise JwksError(f"keys[{position}] repeats the kid of another key")
        keys[kid] = _read_key(member, position)
    return keys


def _read_key(member: dict[str, Any], position: int) -> RSAKey:
    if "d" in member:
        raise JwksError(f"keys[{position}] is a private key: publish its public half, and replace it, as it is now known")
    try:
        bits = base64_to_int(member["n"]).bit_length()
        if not MINIMUM_BITS <= bits <= MAXIMUM_BITS:
            raise JwksError(f"keys[{position}] has {bits} bits; expected {MINIMUM_BITS} to {MAXIMUM_BITS}")
        key = RSAKey.import_key({name: member[name] for name in _MEMBERS if name in member})
        _ = key.public_key  # the numbers are checked when the key is built
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise JwksError(f"keys[{position}] is not a usable RSA key") from error
    return key


class KeySource(Protocol):
    """Where a client's public keys come from."""

    async def find(self, kid: str) -> RSAKey | None:
        """The key with this id, or None; JwksError where the set cannot be had."""
        ...


@dataclass(frozen=True)
class FixedKeys:
    """Keys that stand in the deployment file."""

    keys: Keys

    async def find(self, kid: str) -> RSAKey | None:
        """The key with this id, or None."""
        return self.keys.get(kid)


class FileKeys:
    """Keys in a file, read again when it has changed; looked at once a second at most."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._keys: Keys = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked = float("-inf")

    async def find(self, kid: str) -> RSAKey | None:
        """The key with this id, or None; JwksError where the file cannot be read."""
        now = self._clock.monotonic()
        if self._seen is None or now - self._looked >= 1:
            self._read()
            self._looked = now
        return self._keys.get(kid)

    def _read(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._keys = read_jwks(json.loads(self._path.read_bytes()))
                self._seen = seen
        except (OSError, ValueError, RecursionError) as error:
            raise JwksError(f"cannot read {self._path.name}: {type(error).__name__}") from error


class FetchedKeys:
    """Keys that a client publishes at a URL. `https`, or `http` to this machine alone; redirects are not followed."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        keep: timedelta = timedelta(hours=1),
        refetch_after: timedelta = timedelta(seconds=30),
        stale_for: timedelta = timedelta(days=1),
        timeout: timedelta = timedelta(seconds=5),
        limit: int = MAXIMUM_BYTES,
    ) -> None:
        if not may_fetch(url):
            raise JwksError("a JWKS is fetched by https, or by http from a loopback address")
        self._url = url
        self._clock = clock
        self._keep = keep.total_seconds()
        self._refetch_after = refetch_after.total_seconds()
        self._stale_for = stale_for.total_seconds()
        self._timeout = timeout
        self._limit = limit
        self._keys: Keys | None = None
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, kid: str) -> RSAKey | None:
        """The key with this id, or None; JwksError where there is no set that may still be used."""
        if not self._serves(kid):
            async with self._fetching:
                if not self._serves(kid):
                    await self._refresh()
        if self._keys is None or self._age() > self._keep + self._stale_for:
            raise JwksError("the JWKS endpoint cannot be reached")
        return self._keys.get(kid)

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched

    def _serves(self, kid: str) -> bool:
        """Whether to answer from what is held: it is fresh and has the key, or a fetch was tried just now."""
        if self._keys is not None and self._age() <= self._keep and kid in self._keys:
            return True
        return self._clock.monotonic() - self._tried < self._refetch_after

    async def _refresh(self) -> None:
        try:
            self._keys = read_jwks(json.loads(await self._fetch()))
            self._fetched = self._clock.monotonic()
        except (PyreqwestError, JwksError, ValueError, RecursionError):
            pass  # what was fetched before serves on; find() says so where there is nothing
        self._tried = self._clock.monotonic()  # only now: whoever came meanwhile waits for this fetch

    async def _fetch(self) -> bytes:
        builder = ClientBuilder().follow_redirects(False).timeout(self._timeout).default_cookie_store(False)
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
        async with builder.build() as client:
            request = client.get(self._url).header("accept", "application/json").build_streamed()
            async with request as response:
                if response.status != 200:
                    raise JwksError(f"the JWKS endpoint answered {response.status}")
                body = bytearray()
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    body += chunk
                    if len(body) > self._limit:
                        raise JwksError("the JWKS is too large")
                return bytes(body)


class KeySources:
    """Key sets by where they are, each read for as long as the process runs: what was fetched outlives a reload of the
    deployment, and applications that publish at one URL share one fetch."""

    def __init__(
        self, clock: Clock, *, keep: timedelta = timedelta(hours=1), refetch_after: timedelta = timedelta(seconds=30)
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._refetch_after = refetch_after
        self._files: dict[Path, FileKeys] = {}
        self._urls: dict[str, FetchedKeys] = {}

    def at_path(self, path: Path) -> FileKeys:
        """The set in the file at `path`."""
        return self._files.setdefault(path, FileKeys(path, self._clock))

    def at_url(self, url: str) -> FetchedKeys:
        """The set published at `url`; JwksError where it may not be fetched from there."""
        if url not in self._urls:
            self._urls[url] = FetchedKeys(url, self._clock, keep=self._keep, refetch_after=self._refetch_after)
        return self._urls[url]


def may_fetch(url: str) -> bool:
    """Whether a JWKS may be fetched from `url`: over https, or http from a loopback address or `localhost`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether `host` (a name, or an address without brackets) is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
