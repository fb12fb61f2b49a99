"""What is sealed, and what is read of a person, whatever a provider says of them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fiveways.clock import ManualClock
from fiveways.security.keys import PlatformKeys
from fiveways.security.seal import Seal
from fiveways.security.users import person
from fiveways.security.users.conventions import CONVENTIONS

CIS2, LOGIN = CONVENTIONS["nhs-cis2"], CONVENTIONS["nhs-login"]
WHO = {"iss": "https://cis2.test", "sub": "555021935107"}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> PlatformKeys:
    return PlatformKeys.open(tmp_path_factory.mktemp("keys") / "platform", ManualClock(), bits=2048)


@pytest.fixture(scope="module")
def seal(keys: PlatformKeys) -> Seal:
    return Seal(keys)


@given(content=st.binary(max_size=500), purpose=st.text(max_size=20))
def test_what_was_sealed_is_opened_for_its_purpose_only(seal: Seal, content: bytes, purpose: str) -> None:
    note = seal.seal(content, purpose)
    assert seal.open(note, purpose) == content
    assert seal.open(note, purpose + "x") is None
    assert not content or len(content) < 4 or content not in base64.urlsafe_b64decode(note.partition(".")[2] + "==")


@settings(max_examples=200)
@given(data=st.data())
def test_no_note_changed_in_a_character_is_opened(seal: Seal, data: st.DataObject) -> None:
    note = seal.seal(b"content", "purpose")
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != note[at]))
    changed = note[:at] + other + note[at + 1 :]
    opened = seal.open(changed, "purpose")
    assert opened is None or at == len(note) - 1  # the last character of base64 may have bits that mean nothing


@given(note=st.text(max_size=200))
def test_what_is_no_note_is_not_opened(seal: Seal, note: str) -> None:
    assert seal.open(note, "purpose") is None


def test_a_withdrawn_key_takes_its_notes_along(tmp_path: Path) -> None:
    keys = PlatformKeys.open(tmp_path / "keys", ManualClock(), bits=2048)
    seal = Seal(keys)
    note = seal.seal(b"content", "purpose")
    assert Seal(PlatformKeys.open(tmp_path / "keys", ManualClock(), bits=2048)).open(note, "purpose") == b"content"
    keys.withdraw(keys.current.kid)
    assert seal.open(note, "purpose") is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    said=st.dictionaries(
        st.sampled_from(
            ["sid", "nhs_number", "nhsid_nrbac_roles", "nhsid_user_orgs", "selected_roleid", "authentication_assurance_level"]
        ),
        JSON | st.lists(st.dictionaries(st.sampled_from(["person_roleid", "org_code"]), JSON)),
    )
)
def test_whatever_a_provider_says_a_person_fits_into_header_fields(said: dict[str, Any]) -> None:
    read = person.read("cis2", CIS2, {**WHO, **said})
    assert person.decode(person.encode(read)) == read
    assert read.assurance in ("", *CIS2.levels)
    texts = [read.sid, read.nhs_number, *read.roles, *read.roles.values(), *read.organisations]
    assert all(text.isascii() and text.isprintable() and " " not in text for text in texts)


@pytest.mark.parametrize(
    ("claims", "level"),
    [
        ({"authentication_assurance_level": "3"}, "aal3"), ({"authentication_assurance_level": 3}, "aal3"),
        ({"authentication_assurance_level": "4"}, ""), ({"authentication_assurance_level": True}, ""),
        ({"authentication_assurance_level": ["3"]}, ""), ({}, ""), ({"identity_proofing_level": "P9"}, ""),
    ],
)  # fmt: skip
def test_how_sure_cis2_is(claims: dict[str, Any], level: str) -> None:
    assert CIS2.assurance(claims) == level


@pytest.mark.parametrize(
    ("said", "level"), [("P9", "P9"), ("P9.Cp.Cd", "P9"), ("P5", "P5"), ("P0", "P0"), ("P7", ""), (9, ""), (None, "")]
)
def test_how_sure_nhs_login_is(said: Any, level: str) -> None:
    assert LOGIN.assurance({"identity_proofing_level": said}) == level


def test_an_api_takes_people_of_whom_more_is_known_than_it_asks() -> None:
    assert CIS2.scopes("a", "aal2") == {"urn:nhsd:apim:user-nhs-cis2:aal2:a", "urn:nhsd:apim:user-nhs-cis2:aal3:a"}
    assert LOGIN.scopes("a", "P9") == {"urn:nhsd:apim:user-nhs-login:P9:a"}
    assert CIS2.granted(CIS2.scopes("a", "aal2"), "aal1") == frozenset()
    assert CIS2.granted(CIS2.scopes("a", "aal2"), "aal3") == {"urn:nhsd:apim:user-nhs-cis2:aal3:a"}


def test_a_person_of_a_hundred_roles_fits_into_a_token(seal: Seal) -> None:
    roles = [{"person_roleid": f"{n:012}", "org_code": f"ORG{n:04}"} for n in range(1000)]
    read = person.read("cis2", CIS2, {**WHO, "nhsid_nrbac_roles": roles})
    assert len(read.roles) == person.MOST
    assert len(seal.seal(person.encode(read), "purpose")) < 6000
