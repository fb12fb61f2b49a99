"""The platform's own keys: they sign access tokens and receipts, and are published so that anyone can check these.

A key is one file, `{seconds}-{kid}.pem`, that never changes: the seconds since the epoch from which it signs, and its RFC 7638
thumbprint. Everything follows from the names and the clock, so that nodes sharing the folder agree without talking:

    published ahead ──signs_from──▶ current ──the next one's signs_from──▶ retired ──last token expired──▶ removed

Deleting a file withdraws a key at once: every node stops trusting it, and what it signed, within a second.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from joserfc.jwk import RSAKey

from fiveways.clock import Clock
from fiveways.errors import DeploymentError
from fiveways.security import jwt
from fiveways.store.syncing import sync_folder

_NAME = re.compile(r"(\d{1,15})-([A-Za-z0-9_-]{43})\.pem")
_LOOK_EVERY = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class SigningKey:
    """One key of the platform. `signs_from` is in seconds since the epoch; `public` verifies and is what is published."""

    signs_from: int
    kid: str
    private: RSAKey = field(compare=False, repr=False)
    public: RSAKey = field(compare=False, repr=False)
    sealing: bytes = field(compare=False, repr=False)
    """A key of 256 bits, derived from the private one, for what only the platform itself is to read (`seal.py`)."""

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """`claims` as a compact JWS, RS512, whose header has this key's id and `typ`."""
        return jwt.sign(claims, self.private, kid=self.kid, typ=typ)


class _Seen(NamedTuple):
    """The folder as it was last seen; replaced as a whole, as threads may look at the same time."""

    names: frozenset[str]
    keys: dict[str, SigningKey]


class PlatformKeys:
    """The keys in one folder, which several processes and nodes may share. Reading never blocks on another process."""

    def __init__(self, folder: Path, clock: Clock, *, bits: int, lead: timedelta, keep: timedelta) -> None:
        self._folder = folder
        self._clock = clock
        self._bits = bits
        self._lead = lead
        self._keep = keep
        self._seen = _Seen(frozenset(), {})
        self._bad: set[str] = set()
        self._look_at = float("-inf")
        self.generation = 0
        """Goes up whenever the set of keys has changed; whoever remembers verified signatures forgets them then."""

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Clock,
        *,
        bits: int = 3072,
        lead: timedelta = timedelta(hours=1),
        keep: timedelta = timedelta(days=1, minutes=1),
    ) -> PlatformKeys:
        """The keys in `folder`, which is made with a first key where it is empty (0.1 to 1 s of CPU).

        `lead` is how long a new key is published before it signs, `keep` how long a retired one stays published: at least the
        longest life of a token. DeploymentError where a key file is readable by others or is not a key.
        """
        keys = cls(folder, clock, bits=bits, lead=lead, keep=keep)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys._scan(strict=True)
        if not keys._keys:
            with keys._exclusively():
                if not keys._keys:
                    keys._create(signs_from=int(clock.time()))
        return keys

    @property
    def _keys(self) -> dict[str, SigningKey]:
        return self._seen.keys

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        self.look()
        now = self._clock.time()
        signing = [key for key in self._keys.values() if key.signs_from <= now]
        if signing:
            return max(signing)
        if self._keys:  # another node, whose clock is ahead of ours, has just made the first key
            return min(self._keys.values())
        raise DeploymentError(f"{self._folder} has no key any more")

    def public(self, kid: str) -> RSAKey | None:
        """The public key with this id, where it is still published."""
        self.look()
        key = self._keys.get(kid)
        return key.public if key is not None else None

    def sealing(self, kid: str) -> bytes | None:
        """What was sealed under the key with this id is opened with it; None where that key is gone."""
        self.look()
        key = self._keys.get(kid)
        return key.sealing if key is not None else None

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """What is published (RFC 7517 §5): the next key, the current one, and those that tokens may still be signed with."""
        self.look()
        return {
            "keys": [
                {**key.public.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": jwt.ALGORITHM}
                for key in sorted(self._keys.values(), reverse=True)
            ]
        }

    def rotate(self, *, lead: timedelta | None = None) -> SigningKey:
        """The key that signs next: made now and published, it takes over after `lead`. One that is waiting is kept.

        Costs 0.1 to 1 s of CPU; call it in a thread.
        """
        wait = self._lead if lead is None else lead
        with self._exclusively():
            now = self._clock.time()
            waiting = [key for key in self._keys.values() if key.signs_from > now]
            return max(waiting) if waiting else self._create(signs_from=max(int(now + wait.total_seconds()), self._newest() + 1))

    def maintain(self, key_lifetime: timedelta) -> None:
        """Rotate where the newest key will have signed for `key_lifetime` by the time a new one is ready; remove keys whose
        last token has expired. Call it every now and then, in a thread."""
        now = self._clock.time()
        self.refresh()
        if now >= self._newest() + key_lifetime.total_seconds() - self._lead.total_seconds():
            self.rotate()
        ordered = sorted(self._keys.values())
        for key, successor in pairwise(ordered):
            if successor.signs_from + self._keep.total_seconds() < now:
                self.withdraw(key.kid)

    def withdraw(self, kid: str) -> None:
        """Delete a key: nothing it signed is accepted from now on. Where no other key signs, one is made."""
        with self._exclusively():
            key = self._keys.get(kid)
            if key is None:
                return
            self._path(key.signs_from, key.kid).unlink(missing_ok=True)
            sync_folder(self._folder)
            self.refresh()
            if not any(other.signs_from <= self._clock.time() for other in self._keys.values()):
                self._create(signs_from=int(self._clock.time()))

    def refresh(self) -> None:
        """Take up what other processes have added or removed. A file that is not as it must be is logged and left alone, and
        where the folder cannot be read what is known stays: requests go on being served."""
        self._look_at = self._clock.monotonic() + _LOOK_EVERY
        try:
            self._scan(strict=False)
        except OSError as error:
            _log.error("the folder of platform keys cannot be read", extra={"reason": error.strerror})

    def _scan(self, *, strict: bool) -> None:
        keys: dict[str, SigningKey] = {}
        names, bad = set(), set()
        for name in os.listdir(self._folder):  # noqa: PTH208
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            try:
                key = self._keys.get(match[2]) or self._load(name, int(match[1]), match[2])
            except DeploymentError as error:
                if strict:
                    raise
                if name not in self._bad:
                    _log.error("a platform key cannot be used", extra={"reason": str(error)})
                bad.add(name)
                continue
            if key is not None:
                keys[key.kid] = key
                names.add(name)
        self._bad = bad
        if names != self._seen.names:
            self._seen = _Seen(frozenset(names), keys)
            self.generation += 1

    def look(self) -> None:
        """`refresh`, but once a second at most."""
        if self._clock.monotonic() >= self._look_at:
            self.refresh()

    def _newest(self) -> int:
        return max((key.signs_from for key in self._keys.values()), default=0)

    def _path(self, signs_from: int, kid: str) -> Path:
        return self._folder / f"{signs_from}-{kid}.pem"

    def _load(self, name: str, signs_from: int, kid: str) -> SigningKey | None:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise DeploymentError(f"{path} can be read by others than its owner; expected mode 0600")
                private = load_pem_private_key(file.read(), password=None)
        except FileNotFoundError:
            return None  # withdrawn between the listing and now
        except (OSError, ValueError, TypeError) as error:
            raise DeploymentError(f"{path} is not a private key in PEM that can be read") from error
        if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < 2048:
            raise DeploymentError(f"{path} is not an RSA key of 2048 bits or more")
        key = _signing_key(signs_from, private)
        if key.kid != kid:
            raise DeploymentError(f"{path} is named for another key")
        return key

    def _create(self, *, signs_from: int) -> SigningKey:
        private = rsa.generate_private_key(public_exponent=65537, key_size=self._bits)
        key = _signing_key(signs_from, private)
        _write(self._path(signs_from, key.kid), private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.refresh()
        return key

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Alone among the processes that share the folder, with its present state read."""
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            yield


def _signing_key(signs_from: int, private: rsa.RSAPrivateKey) -> SigningKey:
    public = RSAKey.import_key(private.public_key())
    secret = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealing = HKDF(SHA256(), 32, salt=None, info=b"fiveways seal").derive(secret)
    return SigningKey(signs_from, public.thumbprint(), RSAKey.import_key(private), public, sealing)


def _write(path: Path, content: bytes) -> None:
    """Durably, all or nothing, and readable by the owner alone."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
