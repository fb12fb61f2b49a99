"""How long people stay signed in, and who ends that: refresh tokens, revocation, introspection, logout, operators."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.acceptance.people.conftest import SECRETS, People


def as_client(people: People, path: str, token: str, application: str = "ward", **more: str) -> Any:
    form = {"client_id": application, "client_secret": SECRETS[application], "token": token, **more}
    return people.http.post(f"/oauth2/{path}", data=form)


def test_refreshing_counts_and_time_runs_down(people: People) -> None:
    said = people.exchange()
    time.sleep(1.1)
    for count in ("1", "2", "3"):
        renewed = people.ask(people.refresh_form(said["refresh_token"]))
        assert renewed.status_code == 200
        assert set(renewed.json()) == {
            "access_token", "expires_in", "refresh_token", "refresh_token_expires_in", "refresh_count", "token_type",
        }  # fmt: skip
        assert int(renewed.json()["refresh_token_expires_in"]) < 43199
        said = renewed.json()
        assert said["refresh_count"] == count
        assert people.call(said["access_token"], "/optional").status_code == 200


def test_a_refresh_token_lives_as_long_as_the_application_wants_and_no_longer_than_it_may(people: People) -> None:
    assert people.exchange(_refresh_token_expiry_ms="60000")["refresh_token_expires_in"] == "59"
    assert people.exchange(_refresh_tokens_validity_ms="90000")["refresh_token_expires_in"] == "89"
    assert people.exchange(_refresh_token_expiry_ms="999999999")["refresh_token_expires_in"] == "43199"
    assert people.exchange(_access_token_expiry_ms="60000")["expires_in"] == "59"


def test_the_whole_period_ends(people: People) -> None:
    said = people.exchange(_refresh_tokens_validity_ms="1000")
    time.sleep(1.1)
    over = people.ask(people.refresh_form(said["refresh_token"]))
    assert (over.status_code, over.json()["error"], over.json()["error_description"]) == (
        401, "invalid_grant", "refresh token refresh period has expired",
    )  # fmt: skip


def test_one_refresh_token_ends(people: People) -> None:
    said = people.exchange(_refresh_token_expiry_ms="1")
    assert people.ask(people.refresh_form(said["refresh_token"])).json()["error_description"] == "refresh_token is invalid"


@pytest.mark.parametrize(
    ("change", "status", "error", "description"),
    [
        ({"client_id": ...}, 401, "invalid_request", "client_id is missing"),
        ({"client_secret": ...}, 401, "invalid_request", "client_secret is missing"),
        ({"client_secret": "x"}, 401, "invalid_client", "client_id or client_secret is invalid"),
        ({"refresh_token": ...}, 400, "invalid_request", "refresh_token is missing"),
        ({"refresh_token": "x"}, 401, "invalid_grant", "refresh_token is invalid"),
    ],
)
def test_what_is_wrong_with_a_refresh_request(people: People, change: Any, status: int, error: str, description: str) -> None:
    answer = people.ask(people.refresh_form("anything", **change))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_description"]) == (status, error, description)


def test_an_application_gives_a_session_back(people: People) -> None:
    said = people.exchange()
    assert as_client(people, "revoke", said["refresh_token"]).status_code == 200
    assert people.call(said["access_token"], "/optional").status_code == 401
    assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 401


def test_an_access_token_given_back_leaves_the_session(people: People) -> None:
    said = people.exchange()
    assert as_client(people, "revoke", said["access_token"]).status_code == 200
    assert people.call(said["access_token"], "/optional").status_code == 401
    assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 200


def test_another_application_gives_nothing_back(people: People) -> None:
    said = people.exchange()
    assert as_client(people, "revoke", said["refresh_token"], "second").status_code == 400
    assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 200


def test_introspection(people: People) -> None:
    said = people.exchange()
    access = as_client(people, "introspect", said["access_token"]).json()
    assert (access["active"], access["sub"], access["level"], access["client_id"]) == (True, "555021935107", "aal3", "ward")
    assert access["scope"] == " ".join(
        sorted(f"urn:nhsd:apim:user-nhs-cis2:aal3:{api}" for api in ("records", "roles-optional", "roles-unchecked"))
    )
    refresh = as_client(people, "introspect", said["refresh_token"]).json()
    assert (refresh["active"], refresh["sub"], refresh["sid"]) == (True, "555021935107", access["sid"])
    assert as_client(people, "introspect", "nothing").json() == {"active": False}
    assert as_client(people, "introspect", said["access_token"], "outsider").json() == {"active": False}
    assert as_client(people, "introspect", said["access_token"], "second").json()["active"] is True
    assert as_client(people, "introspect", said["refresh_token"], "second").json() == {"active": False}
    assert people.http.post("/oauth2/introspect", data={"token": "x"}).status_code == 400
    as_client(people, "revoke", said["refresh_token"])
    for token in (said["access_token"], said["refresh_token"]):
        assert as_client(people, "introspect", token).json() == {"active": False}


def test_who_signs_out_at_the_provider_is_signed_out_here(people: People) -> None:
    sid = f"sid-{time.time_ns()}"
    one, two = (people.exchange(people.cis2.id_token(people.cis2.claims(sid=sid))) for _ in range(2))
    other = people.exchange()
    answer = people.http.post("/oauth2/backchannel_logout", data={"logout_token": people.cis2.logout_token(sid=sid)})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    for said in (one, two):
        assert people.call(said["access_token"], "/optional").status_code == 401
        assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 401
    assert people.call(other["access_token"], "/optional").status_code == 200
    unknown = people.http.post("/oauth2/backchannel_logout", data={"logout_token": people.cis2.logout_token(sid="nobody")})
    assert (unknown.status_code, unknown.json()["error"]) == (501, "invalid_request")


def test_operators_see_and_end_sessions(people: People) -> None:
    said = people.exchange(people.cis2.id_token(people.cis2.claims(sub="operated-on")))
    listed = people.served.run("session", "list", "deployment.yaml", "--subject", "operated-on", "--json")
    (session,) = json.loads(listed.stdout)
    assert (session["application"], session["provider"], session["assurance"]) == ("ward", "cis2", "aal3")
    assert "operated-on" in people.served.run("session", "list", "deployment.yaml").stdout
    ended = people.served.run("session", "end", session["id"], "deployment.yaml", "--reason", "lost tablet")
    assert ended.returncode == 0, ended.stderr
    time.sleep(1.2)
    assert people.call(said["access_token"], "/optional").status_code == 401
    assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 401
    (event,) = (e for e in people.served.events(kind="session.ended") if e["subject"] == "operated-on")
    assert (event["outcome"], event["details"]["reason"]) == ("operator", "lost tablet")
    again = people.served.run("session", "end", session["id"], "deployment.yaml", "--reason", "again")
    assert (again.returncode, "no session" in again.stderr) == (1, True)


def test_operators_end_all_sessions_of_a_person(people: People) -> None:
    said = [people.exchange(people.cis2.id_token(people.cis2.claims(sub="gone"))) for _ in range(3)]
    done = people.served.run("session", "end-all", "deployment.yaml", "--reason", "left", "--subject", "gone", "--provider", "cis2")
    assert (done.returncode, "3 sessions" in done.stdout) == (0, True)
    for each in said:
        assert people.ask(people.refresh_form(each["refresh_token"])).status_code == 401


def test_revoking_all_of_an_application_ends_its_sessions(people: People, serve: Any) -> None:
    with serve(people.served.file.read_text(), environment={"CIS2_SECRET": "x"}) as served, served.client() as client:
        form = people.form(client_assertion=served.assertion("ward"))
        said = client.post("/oauth2/token", data=form).json()
        assert served.run("token", "revoke", "deployment.yaml", "--application", "ward").returncode == 0
        assert client.post("/oauth2/token", data=people.refresh_form(said["refresh_token"])).status_code == 401


def test_sessions_outlive_a_restart(people: People, serve: Any) -> None:
    with serve(people.served.file.read_text(), environment={"CIS2_SECRET": "x"}) as served:
        with served.client() as client:
            said = client.post("/oauth2/token", data=people.form(client_assertion=served.assertion("ward"))).json()
        served.stop(9)
        served.start()
        with served.client() as client:
            renewed = client.post("/oauth2/token", data=people.refresh_form(said["refresh_token"]))
            assert renewed.json()["refresh_count"] == "1"
            headers = {"Authorization": f"Bearer {said['access_token']}"}
            assert client.get("/optional", headers=headers).status_code == 200
