"""An HMAC over a name, a nonce and the time, as MESH has it: a new token for every request, of a password that never travels."""

from __future__ import annotations

import hmac
from datetime import datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Reference, Settings
from fiveways.types import Headers


class NhsMesh(Settings):
    """The NHSMESH scheme: who calls, and the two secrets that its tokens are made with."""

    mailbox: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    """The mailbox, or whatever name the back end knows the gateway by."""
    password: Reference
    """Its password."""
    shared_key: Reference
    """The key that all tokens of the back end's environment are made with."""


class Token:
    """Makes a token for each request: one nonce a process, and a number that is never used again."""

    owns = frozenset((b"authorization",))

    def __init__(self, settings: NhsMesh, base: Path, clock: Clock) -> None:
        """KeyError or OSError where a secret cannot be read."""
        self._mailbox = settings.mailbox
        self._password = settings.password.resolve(base).decode()
        self._key = settings.shared_key.resolve(base)
        self._clock = clock
        self._nonce = str(uuid4())
        self._number = count()

    async def fields(self) -> Headers:
        """A token of its own for this request."""
        return [(b"authorization", self._token(next(self._number), self._clock.now()).encode())]

    def _token(self, number: int, at: datetime) -> str:
        public = f"{self._mailbox}:{self._nonce}:{number}"
        moment = f"{at:%Y%m%d%H%M}"
        digest = hmac.digest(self._key, f"{public}:{self._password}:{moment}".encode(), "sha256").hex()
        return f"NHSMESH {public}:{moment}:{digest}"

    def refused(self, presented: Headers) -> bool:
        """Another token would say the same."""
        return False
