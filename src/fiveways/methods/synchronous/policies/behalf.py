"""On whose behalf: what back ends and the audit learn of the person for whom an application acts (S35).

The identity provider vouches for the person; the application says in which of their roles they act (NHSD-Session-URID) and for
which organisation (NHSD-End-User-Organisation-ODS). Both are checked against what the provider told of them, and then passed on.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from fiveways.errors import Forbidden, InvalidValue, MissingValue
from fiveways.types import Consumer, Handler, Interaction, Outcome

ROLE: Final = "NHSD-Session-URID"
ORGANISATION: Final = "NHSD-End-User-Organisation-ODS"
_ROLE: Final = b"nhsd-session-urid"
_ORGANISATION: Final = b"nhsd-end-user-organisation-ods"
_ODS: Final = re.compile(rb"[A-Z0-9]{3,12}")
_URID: Final = re.compile(rb"[!-~]{1,64}")
_REMEMBERED: Final = 10_000


class Vouched(NamedTuple):
    """What an API wants of the people of one issuer; `role` as in UserRestricted.role."""

    role: str


class OnBehalf:
    """Makes the consumer of an API that takes people what they are in this request; `issuers` are those it takes them from.

    Applications that act for themselves pass.
    """

    def __init__(self, issuers: Mapping[str, Vouched]) -> None:
        self._issuers = dict(issuers)
        self._known: dict[tuple[str, bytes | None, bytes | None], Consumer] = {}

    def __call__(self, interaction: Interaction, handler: Handler) -> Awaitable[Outcome]:
        """Check what is said of the person, and have back end and audit know it."""
        consumer = interaction.consumer
        if not consumer.subject:
            return handler(interaction)
        fields = interaction.fields
        role, organisation = fields.get(_ROLE), fields.get(_ORGANISATION)
        key = (consumer.token, role, organisation)
        known = self._known.get(key)
        if known is None:
            known = self._checked(consumer, role, organisation)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = known
        if organisation is not None:
            interaction.headers = [field for field in interaction.headers if field[0] != _ORGANISATION]
        interaction.consumer = known
        return handler(interaction)

    def _checked(self, consumer: Consumer, role: bytes | None, organisation: bytes | None) -> Consumer:
        wanted = self._issuers.get(consumer.issuer)
        if wanted is None:
            raise Forbidden("This API does not take people whom this identity provider vouches for")
        told, facts = list(consumer.told), dict(consumer.facts)
        acts_in = self._role(consumer, role, wanted)
        if acts_in:
            told.append((_ROLE, acts_in.encode()))
            facts["role"] = acts_in
        acts_for = self._organisation(consumer, acts_in, organisation)
        if acts_for:
            told.append((_ORGANISATION, acts_for.encode()))
            facts["end_user_organisation"] = acts_for
        return replace(consumer, told=told, facts=facts)

    def _role(self, consumer: Consumer, role: bytes | None, wanted: Vouched) -> str:
        if wanted.role == "none":
            return ""
        if role is None:
            if wanted.role == "optional":
                return ""
            raise MissingValue(f"Missing value in header '{ROLE}'")
        said = role.decode("latin-1")
        if _URID.fullmatch(role) is None or (wanted.role != "unchecked" and said not in consumer.roles):
            raise InvalidValue(f"Invalid value - '{said}' in header '{ROLE}'")
        return said

    def _organisation(self, consumer: Consumer, role: str, organisation: bytes | None) -> str:
        """The one that is said, if it may be; or else that of the role."""
        if organisation is None:
            return consumer.roles.get(role, "")
        said = organisation.decode("latin-1")
        if _ODS.fullmatch(organisation) is None or (consumer.organisations and said not in consumer.organisations):
            raise InvalidValue(f"Invalid value - '{said}' in header '{ORGANISATION}'")
        return said
