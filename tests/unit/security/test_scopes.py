"""Which of an application's scopes a token carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.security import scopes
from fiveways.security.scopes import Scope

APP = "urn:nhsd:apim:app:level3:pds"
CIS2_AAL3 = "urn:nhsd:apim:user-nhs-cis2:aal3:pds"
CIS2_AAL1 = "urn:nhsd:apim:user-nhs-cis2:aal1:pds"
LOGIN_P9 = "urn:nhsd:apim:user-nhs-login:P9:pds"
LOGIN_P5 = "urn:nhsd:apim:user-nhs-id:P5:pds"
ODD = ["", "openid", "urn:nhsd:apim:app:level3pds", "urn:nhsd:apim:user-nhs-login:aal3:pds", "urn:nhsd:apim:user-nhs-cis2:P9:pds"]
ALL = [APP, CIS2_AAL3, CIS2_AAL1, LOGIN_P9, LOGIN_P5, *ODD]


def test_a_scope_is_parsed_and_written() -> None:
    assert Scope.parse(APP) == Scope("app", "level3", "pds")
    assert str(Scope.parse(APP)) == APP == scopes.application("pds")


def test_the_older_name_of_nhs_login_is_read() -> None:
    assert Scope.parse(LOGIN_P5) == Scope("user-nhs-login", "P5", "pds")


@pytest.mark.parametrize(
    "text",
    ["", "openid", "urn:nhsd:apim:app:level3", "urn:nhsd:apim:app:level3:", "urn:nhsd:apim:a:b:c:d", "urn:nhsd:apim:a:b:c d"],
)
def test_other_text_is_no_scope(text: str) -> None:
    with pytest.raises(ValueError, match="expected a scope"):
        Scope.parse(text)


def test_each_way_of_access_keeps_its_own() -> None:
    assert scopes.for_application(ALL) == {APP}
    assert scopes.for_user(ALL, "user-nhs-cis2", "aal3") == {CIS2_AAL3}
    assert scopes.for_user(ALL, "user-nhs-cis2", "aal2") == frozenset()
    assert scopes.for_user(ALL, "user-nhs-login", "P9") == {LOGIN_P9}
    assert scopes.for_user(ALL, "user-nhs-login", "P5") == {LOGIN_P5}


@given(st.frozensets(st.sampled_from([APP, CIS2_AAL3, LOGIN_P9])))
def test_scopes_survive_being_written_in_a_token(some: frozenset[str]) -> None:
    assert scopes.split(scopes.join(some)) == some
