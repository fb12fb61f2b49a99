"""What a back end is told of a person, and what it is never told by a client (S35)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.acceptance.people.conftest import ROLE, People

FIELDS = ("NHSD-Session-URID", "NHSD-End-User-Organisation-ODS")


def worker(people: People, **claims: Any) -> str:
    """A token of a health worker with two roles, who may act for three organisations."""
    said = people.cis2.userinfo_of({"sub": "555021935107"})
    known = {name: said[name] for name in ("nhsid_nrbac_roles", "nhsid_user_orgs")}
    token: str = people.exchange(people.cis2.id_token(people.cis2.claims(**{**known, **claims})))["access_token"]
    return token


def told(people: People) -> dict[str, list[bytes]]:
    return {name: people.seen().all(name.lower().encode()) for name in (*FIELDS, "NHSD-Identity-UUID", "NHSD-Identity-IdP")}


def test_who_it_is_in_which_role_for_whom(people: People) -> None:
    assert people.call(worker(people), **{"NHSD-Session-URID": ROLE}).status_code == 200
    assert told(people) == {
        "NHSD-Session-URID": [ROLE.encode()],
        "NHSD-End-User-Organisation-ODS": [b"RXN"],
        "NHSD-Identity-UUID": [b"555021935107"],
        "NHSD-Identity-IdP": [people.cis2.url.encode()],
    }
    assert people.seen().all(b"authorization") == []


def test_every_decision_is_in_the_audit(people: People) -> None:
    request_id = "60e0b220-8136-4ca5-ae46-1d97ef59d068"
    people.call(worker(people), "/records/Patient", **{"NHSD-Session-URID": ROLE, "X-Request-ID": request_id})
    event = people.served.event(request_id=request_id)
    assert (event["subject"], event["context"], event["application"]) == ("555021935107", "user-restricted", "ward")
    said = event["details"]
    assert (said["role"], said["idp"], said["assurance"], said["end_user_organisation"]) == (ROLE, "cis2", "aal3", "RXN")
    assert people.served.events(kind="token.issued")[-1]["details"]["session"] == said["session"]


def test_a_role_is_required(people: People) -> None:
    request_id = "70e0b220-8136-4ca5-ae46-1d97ef59d068"
    answer = people.call(worker(people), **{"X-Request-ID": request_id})
    refused = people.served.event(request_id=request_id)
    assert (refused["status"], refused["details"]["assurance"], refused["details"]["idp"]) == (400, "aal3", "cis2")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "MISSING_VALUE"
    assert answer.json()["issue"][0]["diagnostics"] == "Missing value in header 'NHSD-Session-URID'"


@pytest.mark.parametrize("role", ["111111111111", "x", "a b", ROLE + "1"])
def test_a_role_of_somebody_else_is_refused(people: People, role: str) -> None:
    for path in ("/records", "/optional"):
        answer = people.call(worker(people), path, **{"NHSD-Session-URID": role})
        assert answer.status_code == 400
    said = people.call(worker(people), **{"NHSD-Session-URID": role}).json()["issue"][0]
    assert said["details"]["coding"][0]["code"] == "INVALID_VALUE"
    assert said["diagnostics"] == f"Invalid value - '{role}' in header 'NHSD-Session-URID'"


def test_who_chose_a_role_acts_in_no_other(people: People) -> None:
    token = worker(people, selected_roleid="555254242106")
    assert people.call(token, **{"NHSD-Session-URID": ROLE}).status_code == 400
    assert people.call(token, **{"NHSD-Session-URID": "555254242106"}).status_code == 200
    assert told(people)["NHSD-End-User-Organisation-ODS"] == [b"A81001"]


def test_where_a_role_is_optional_it_is_checked(people: People) -> None:
    assert people.call(worker(people), "/optional").status_code == 200
    assert told(people)["NHSD-Session-URID"] == []
    assert people.call(worker(people), "/optional", **{"NHSD-Session-URID": ROLE}).status_code == 200
    assert told(people)["NHSD-Session-URID"] == [ROLE.encode()]


def test_where_a_provider_tells_no_roles_the_deployment_may_trust_the_application(people: People) -> None:
    token = people.exchange()["access_token"]
    assert people.call(token, **{"NHSD-Session-URID": ROLE}).status_code == 400
    assert people.call(token, "/unchecked", **{"NHSD-Session-URID": ROLE}).status_code == 200
    assert told(people)["NHSD-Session-URID"] == [ROLE.encode()]
    assert people.call(token, "/unchecked").status_code == 400


def test_an_end_user_organisation_is_one_of_the_persons(people: People) -> None:
    role = {"NHSD-Session-URID": ROLE}
    assert people.call(worker(people), **role, **{"NHSD-End-User-Organisation-ODS": "RBA"}).status_code == 200
    assert told(people)["NHSD-End-User-Organisation-ODS"] == [b"RBA"]
    for wrong in ("X26", "not an ods code"):
        answer = people.call(worker(people), **role, **{"NHSD-End-User-Organisation-ODS": wrong})
        assert (answer.status_code, "NHSD-End-User-Organisation-ODS" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "name",
    [
        "NHSD-Identity-UUID",
        "NHSD-Identity-IdP",
        "NHSD-NHSLogin-User",
        "NHSD-NHSLogin-Actor",
        "nhsd_identity_uuid",
        "nhsd_session_urid",
    ],
)  # fmt: skip
def test_what_a_client_says_of_people_ends_at_the_gateway(people: People, name: str) -> None:
    for token in (worker(people), people.served.token("ward")):
        path = "/records" if token == people.served.token("ward") else "/optional"
        assert people.call(token, path, **{name: "forged"}).status_code == 200
        assert b"forged" not in people.seen().head


def test_an_application_by_itself_acts_in_no_role(people: People) -> None:
    token = people.served.token("ward")
    assert people.call(token, **{"NHSD-Session-URID": ROLE}).status_code == 200
    assert told(people)["NHSD-Session-URID"] == []
    assert told(people)["NHSD-Identity-UUID"] == []


def test_a_citizen_has_a_number_and_no_role(people: People) -> None:
    token = people.exchange(people.login.id_token())["access_token"]
    assert people.call(token, "/patient", **{"NHSD-Session-URID": ROLE}).status_code == 200
    assert people.seen().all(b"nhsd-nhslogin-user") == [b"P9:9000000009"]
    assert told(people)["NHSD-Session-URID"] == []


def test_too_little_assurance_is_refused_before_any_token(people: People) -> None:
    token = people.login.id_token(people.login.claims(identity_proofing_level="P5"))
    assert people.ask(people.form(token)).json()["error"] == "unauthorized_client"
    refused = people.served.events(kind="token.refused")[-1]
    assert (refused["subject"], refused["details"]["assurance"], refused["application"]) == ("555021935107", "P5", "ward")


def test_more_assurance_than_an_api_wants_will_do(people: People) -> None:
    for level, paths in (("2", {"/records": 200, "/unchecked": 403}), ("3", {"/records": 200, "/unchecked": 200})):
        token = worker(people, authentication_assurance_level=level)
        for path, status in paths.items():
            assert people.call(token, path, **{"NHSD-Session-URID": ROLE}).status_code == status
