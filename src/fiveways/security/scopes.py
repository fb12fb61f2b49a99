"""OAuth scopes of the NHS API platform: `urn:nhsd:apim:{who}:{level}:{api}`.

An application's scopes come from the products it subscribes to; which of them a token carries depends on how it was got.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_PREFIX = "urn:nhsd:apim:"
_ALIASES = {"user-nhs-id": "user-nhs-login"}


class Scope(NamedTuple):
    """One scope: `who` is 'app', 'user-nhs-cis2' or 'user-nhs-login'; `level` is 'level3', 'aal3', 'P9', …"""

    who: str
    level: str
    api: str

    @classmethod
    def parse(cls, text: str) -> Scope:
        """The scope written as `text` (`user-nhs-id`, an older name of NHS login, is read too); ValueError if it is none."""
        parts = text.removeprefix(_PREFIX).split(":")
        if not text.startswith(_PREFIX) or len(parts) != 3 or not all(parts) or " " in text:
            raise ValueError("expected a scope such as urn:nhsd:apim:app:level3:personal-demographics-service")
        return cls(_ALIASES.get(parts[0], parts[0]), parts[1], parts[2])

    def __str__(self) -> str:
        return f"{_PREFIX}{self.who}:{self.level}:{self.api}"


def application(api: str) -> str:
    """The scope that lets an application itself, known by a signed JWT, use `api`."""
    return str(Scope("app", "level3", api))


def for_application(scopes: Iterable[str]) -> frozenset[str]:
    """Of an application's scopes, those a token by client_credentials carries."""
    return frozenset(scope for scope in scopes if scope.startswith(f"{_PREFIX}app:level3:"))


def for_user(scopes: Iterable[str], who: str, level: str) -> frozenset[str]:
    """Of an application's scopes, those for a person whom the providers of `who` know at exactly this `level`: 'user-nhs-cis2' and
    'aal3', 'user-nhs-login' and 'P9'."""
    kept = set()
    for text in scopes:
        try:
            scope = Scope.parse(text)
        except ValueError:
            continue
        if scope.who == who and scope.level == level:
            kept.add(text)
    return frozenset(kept)


def join(scopes: Iterable[str]) -> str:
    """Scopes as the `scope` of a token (RFC 6749 §3.3)."""
    return " ".join(sorted(scopes))


def split(scope: str) -> frozenset[str]:
    """The scopes in a token's `scope`."""
    return frozenset(scope.split())
