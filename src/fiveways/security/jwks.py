"""The public keys of a client: written in the deployment file, in a file beside it, or fetched from where the client publishes.

A set fetched by URL is kept for an hour; a key id that is not in it has it fetched again, but not within half a minute of the
last attempt, so that made-up key ids cannot turn the platform against the client's server. When a fetch fails, the set that
was fetched last serves on for up to a day (stale-if-error), because a client's short outage must not lock it out; a key that
the client withdrew in that time is honoured meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.util import base64_to_int

from fiveways.clock import Clock
from fiveways.errors import FivewaysError
from fiveways.security.fetch import Fetched, FetchError, may_fetch
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


def read_jwks(document: Any, algorithms: Collection[str] = (ALGORITHM,)) -> Keys:
    """The keys of a JWK Set (RFC 7517 §5) that verify one of `algorithms`, by key id; JwksError where it is not a JWK Set.

    Keys that could not (another type, `use` or `alg`) are passed over, as RFC 7517 §5 asks. A private key, an RSA
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
        if member.get("kty") != "RSA" or member.get("use", "sig") != "sig":
            continue
        if member.get("alg") not in (None, *algorithms):
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
    """Keys that are published at a URL. `https`, or `http` to this machine alone; redirects are not followed."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        keep: timedelta = timedelta(hours=1),
        refetch_after: timedelta = timedelta(seconds=30),
        burst: int = 1,
        stale_for: timedelta = timedelta(days=1),
        algorithms: Collection[str] = (ALGORITHM,),
        timeout: timedelta = timedelta(seconds=5),
        limit: int = MAXIMUM_BYTES,
        roots: bytes | None = None,
    ) -> None:
        if not may_fetch(url):
            raise JwksError("a JWKS is fetched by https, or by http from a loopback address")
        self._published = Fetched(
            url,
            lambda document: read_jwks(document, algorithms),
            clock,
            keep=keep,
            refetch_after=refetch_after,
            burst=burst,
            stale_for=stale_for,
            timeout=timeout,
            limit=limit,
            roots=roots,
        )

    async def find(self, kid: str) -> RSAKey | None:
        """The key with this id, or None; JwksError where there is no set that may still be used."""
        try:
            keys = await self._published.get(lambda keys: kid in keys)
        except FetchError as error:
            raise JwksError("the JWKS endpoint cannot be reached") from error
        return keys.get(kid)


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
