"""Who has signed in: what an identity provider vouches for, as far as the platform goes by it.

It travels inside access tokens, sealed: what is personal in it is for back ends, not for whoever holds the token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fiveways.security.users.conventions import Convention

MOST = 100
"""Roles, and organisations, of one person that are kept: a token must fit into a header field."""
PRINTABLE = re.compile(r"[!-~]{1,255}")
"""A subject: what OpenID Connect Core §2 allows, and fits into a header field."""
_NHS_NUMBER = re.compile(r"[0-9]{10}")
_ODS = re.compile(r"[A-Z0-9]{3,12}")


class Person(msgspec.Struct, frozen=True, array_like=True):
    """`subject` as `issuer` knows them, whose name in the deployment file is `provider`.

    `assurance`: how sure it is ('aal3', 'P9'); `sid`: its own id of their session, or ''; `roles`: a health worker's role ids, each
    with its organisation's ODS code; `organisations`: all that they work for; `nhs_number`: a citizen's. Where somebody else acts
    for them (delegated access) `actor` is that person's subject and `actor_nhs_number` their number.
    """

    subject: str
    issuer: str
    provider: str
    assurance: str
    sid: str = ""
    roles: dict[str, str] = {}
    organisations: tuple[str, ...] = ()
    nhs_number: str = ""
    actor: str = ""
    actor_nhs_number: str = ""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Person).decode


def read(provider: str, convention: Convention, claims: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> Person:
    """The person whom a verified ID token is about; `more` is what the provider's userinfo added."""
    said = {**(more or {}), **claims}
    roles = _roles(said)
    organisations = [*roles.values(), *(_code(each, "org_code") for each in _list(said.get("nhsid_user_orgs")))]
    number = said.get("nhs_number")
    return Person(
        subject=claims["sub"],
        issuer=claims["iss"],
        provider=provider,
        assurance=convention.assurance(claims),
        sid=_text(claims.get("sid")),
        roles=roles,
        organisations=tuple(sorted({each for each in organisations if each}))[:MOST],
        nhs_number=number if isinstance(number, str) and _NHS_NUMBER.fullmatch(number) else "",
    )


def _roles(said: Mapping[str, Any]) -> dict[str, str]:
    """Role ids with their organisations: the one that was selected when signing in, or else all."""
    known = {}
    for each in _list(said.get("nhsid_nrbac_roles"))[:MOST]:
        role = _text(each.get("person_roleid")) if isinstance(each, dict) else ""
        if role:
            known[role] = _code(each, "org_code")
    selected = _text(said.get("selected_roleid"))
    return {selected: known.get(selected, "")} if selected else known


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Text that may stand in a header field; '' for anything else."""
    return value if isinstance(value, str) and PRINTABLE.fullmatch(value) else ""


def _code(value: Any, member: str) -> str:
    code = value.get(member) if isinstance(value, dict) else None
    return code if isinstance(code, str) and _ODS.fullmatch(code) else ""
