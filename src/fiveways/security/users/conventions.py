"""What identity providers of a kind have in common: the NHS's for health workers (CIS2) and for citizens (NHS login).

A kind says how sure its provider is of a person, in which claim, and which scopes that is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from fiveways.security import scopes
from fiveways.security.scopes import Scope

Kind = Literal["nhs-cis2", "nhs-login"]
Assurance = Literal["aal1", "aal2", "aal3", "P0", "P5", "P9"]
"""How sure a provider is: of the authentication (CIS2), or of the identity (NHS login)."""


@dataclass(frozen=True, slots=True)
class Convention:
    """One kind. `levels` rise; `scope` and `parameters` are what the provider is asked for; `session` is how long a person
    stays signed in."""

    who: str
    claim: str
    prefix: str
    levels: tuple[str, ...]
    scope: str
    parameters: Mapping[str, str]
    session: timedelta

    def assurance(self, claims: Mapping[str, Any]) -> str:
        """How sure the provider is, from what an ID token claims; '' where it does not say."""
        said = claims.get(self.claim)
        level = self.prefix + str(said)[:2] if isinstance(said, str | int) and not isinstance(said, bool) else ""
        return level if level in self.levels else ""

    def granted(self, of: Iterable[str], assurance: str) -> frozenset[str]:
        """Of an application's scopes, those for a person of this `assurance`."""
        return scopes.for_user(of, self.who, assurance)

    def scopes(self, api: str, least: str) -> frozenset[str]:
        """The scopes that let an application use `api` for people of at least the assurance `least`."""
        return frozenset(str(Scope(self.who, level, api)) for level in self.levels[self.levels.index(least) :])


CONVENTIONS: Mapping[Kind, Convention] = {
    "nhs-cis2": Convention(
        who="user-nhs-cis2",
        claim="authentication_assurance_level",
        prefix="aal",
        levels=("aal1", "aal2", "aal3"),
        scope="openid nationalrbacaccess",
        parameters={"acr_values": "AAL3_ANY"},
        session=timedelta(hours=12),
    ),
    "nhs-login": Convention(
        who="user-nhs-login",
        claim="identity_proofing_level",
        prefix="",
        levels=("P0", "P5", "P9"),
        scope="openid profile",
        parameters={},
        session=timedelta(hours=1),
    ),
}
