"""Credentials that are the same for every request: a user and a password (RFC 7617), an API key."""

from __future__ import annotations

import base64
from pathlib import Path

from pydantic import Field

from fiveways.deployment.settings import Reference, Settings
from fiveways.types import Headers


class Basic(Settings):
    """A user and a password (RFC 7617)."""

    user: str = Field(pattern=r"^[^:\x00-\x1f\x7f]+$")
    """The user's name, without a colon."""
    password: Reference
    """The password, from the environment or a file."""


class ApiKey(Settings):
    """A key in a header field."""

    header: str = Field(default="apikey", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    """The header field."""
    key: Reference
    """The key, from the environment or a file."""


class Fixed:
    """Presents the same field for every request."""

    def __init__(self, name: bytes, value: bytes) -> None:
        if not value or any(byte < 0x20 or byte == 0x7F for byte in value) or value != value.strip():
            raise ValueError("it is empty, or has characters that no header field can carry")
        self.owns = frozenset((name,))
        self._fields: Headers = [(name, value)]

    @classmethod
    def basic(cls, settings: Basic, base: Path) -> Fixed:
        """For a user and a password. KeyError or OSError where the password cannot be read."""
        pair = settings.user.encode() + b":" + settings.password.resolve(base)
        return cls(b"authorization", b"Basic " + base64.b64encode(pair))

    @classmethod
    def api_key(cls, settings: ApiKey, base: Path) -> Fixed:
        """For a key. KeyError or OSError where it cannot be read, ValueError where no header field can carry it."""
        return cls(settings.header.lower().encode(), settings.key.resolve(base))

    async def fields(self) -> Headers:
        """The one field."""
        return self._fields

    def refused(self, presented: Headers) -> bool:
        """There is no newer one."""
        return False
