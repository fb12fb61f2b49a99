"""What attackers do to sign-ins (RFC 9700 §4): none of it gets anybody a token that is not theirs."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import OctKey
from tests.acceptance.people.conftest import CHALLENGE, VERIFIER, People, query
from tests.acceptance.people.issuer import Issuer


def came_back(people: People, browser: Any, question: dict[str, str], **said: str) -> Any:
    said = {"state": question["state"], "iss": people.cis2.url, **said}
    return browser.get(urlsplit(question["redirect_uri"]).path, params={k: v for k, v in said.items() if v})


def refused(answer: Any, description: str = "Invalid state parameter.") -> bool:
    said = answer.json()
    return (answer.status_code, said["error"], said["error_description"]) == (400, "invalid_request", description)


# --- state, browser, nonce --------------------------------------------------------------------------------------------------------


def test_another_browser_cannot_go_on_with_a_sign_in(people: People) -> None:
    """Session fixation, and login CSRF: an attacker begins, the victim follows the link."""
    with people.browser() as attacker, people.browser() as victim:
        question = query(people.authorize(attacker).headers["location"])
        assert refused(came_back(people, victim, question, code=people.cis2.code(question)))
        people.authorize(victim)  # a sign-in of the victim's own does not help
        assert refused(came_back(people, victim, question, code=people.cis2.code(question)))


def test_a_state_is_used_once(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        kept = dict(browser.cookies)
        assert came_back(people, browser, question, code=people.cis2.code(question)).status_code == 302
        for name, value in kept.items():
            browser.cookies.set(name, value)
        assert refused(came_back(people, browser, question, code=people.cis2.code(question)))


@pytest.mark.parametrize("state", ["", "guess", "their state"])
def test_a_made_up_state_is_refused(people: People, state: str) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        assert refused(came_back(people, browser, {**question, "state": state}, code=people.cis2.code(question)))


def test_a_cookie_cannot_be_made_or_changed(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        ((name, value),) = browser.cookies.items()
        for forged in ("x", value[:-2] + ("AA" if value[-2:] != "AA" else "BB"), value.replace(".", "")):
            with people.browser() as other:
                other.cookies.set(name, forged)
                assert refused(came_back(people, other, question, code=people.cis2.code(question)))


@pytest.mark.parametrize("nonce", ["another", ...])
def test_an_id_token_for_another_sign_in_is_not_taken(people: People, nonce: Any) -> None:
    """Code injection: a code of the attacker's sign-in, in the victim's answer."""
    with people.browser() as browser:
        back = people.callback(browser, people.authorize(browser), nonce=nonce)
    assert query(back.headers["location"])["error"] == "server_error"
    assert people.served.events(kind="sign_in.refused")[-1]["details"]["why"].startswith("Invalid 'nonce' claim")


def test_a_code_of_another_sign_in_fails_at_the_provider(people: People) -> None:
    """PKCE towards the provider: the code is bound to the browser that asked for it."""
    with people.browser() as attacker, people.browser() as victim:
        theirs = people.cis2.code(query(people.authorize(attacker).headers["location"]))
        question = query(people.authorize(victim).headers["location"])
        back = came_back(people, victim, question, code=theirs)
    assert query(back.headers["location"])["error"] == "server_error"


# --- mix-up -----------------------------------------------------------------------------------------------------------------------


def test_an_answer_of_another_provider_is_refused_before_its_code_is_used(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        before = len(people.cis2.redeemed)
        wrong = "The answer is not from the identity provider that was asked"
        assert refused(came_back(people, browser, question, code="stolen", iss=people.login.url), wrong)
        assert len(people.cis2.redeemed) == before


def test_an_answer_that_does_not_say_whose_it_is_is_refused_where_the_provider_would(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        wrong = "The answer is not from the identity provider that was asked"
        assert refused(came_back(people, browser, question, code="stolen", iss=""), wrong)


def test_one_providers_way_back_is_not_anothers(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser, scope="nhs-login").headers["location"])
        answer = browser.get("/oauth2/callback", params={"state": question["state"], "code": "c", "iss": people.login.url})
        assert answer.status_code == 400


def test_an_id_token_of_another_provider_is_not_taken(people: People) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        claims = people.login.claims(aud="fiveways", nonce=question["nonce"])
        people.cis2.answer = {"id_token": people.login.id_token(claims), "access_token": "a", "token_type": "Bearer"}
        back = came_back(people, browser, question, code="any")
    assert query(back.headers["location"])["error"] == "server_error"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "ward"}, {"aud": ["fiveways", "b"], "azp": "b"}, {"iss": "https://evil.test"}, {"exp": 1}, {"sub": ...},
        {"iat": int(time.time()) + 3600},
    ],
)  # fmt: skip
def test_a_bad_id_token_signs_nobody_in(people: People, claims: dict[str, Any]) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        said = people.cis2.claims(**{"aud": "fiveways", "nonce": question["nonce"], **claims})
        people.cis2.answer = {"id_token": people.cis2.id_token(said), "access_token": "a", "token_type": "Bearer"}
        back = came_back(people, browser, question, code="any")
    assert query(back.headers["location"])["error"] == "server_error"


def test_userinfo_about_somebody_else_signs_nobody_in(people: People) -> None:
    with people.browser() as browser:
        sent = people.authorize(browser)
        question = query(sent.headers["location"])
        code = people.cis2.code(question)
        people.cis2.userinfo = {"sub": "another"}
        back = came_back(people, browser, question, code=code)
    assert query(back.headers["location"])["error"] == "server_error"


@pytest.mark.parametrize("answer", [[], {}, {"id_token": 1}, {"id_token": "x"}, "text"])
def test_an_answer_of_no_use_signs_nobody_in(people: People, answer: Any) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        people.cis2.answer = answer
        back = came_back(people, browser, question, code="any")
    assert query(back.headers["location"])["error"] == "server_error"


# --- codes and refresh tokens -----------------------------------------------------------------------------------------------------


def test_a_code_that_comes_twice_takes_back_what_it_gave(people: People) -> None:
    code = people.code()
    said = people.ask(people.code_form(code)).json()
    assert people.call(said["access_token"], "/optional").status_code == 200
    again = people.ask(people.code_form(code))
    assert (again.status_code, again.json()["error_description"]) == (400, "authorization_code is invalid")
    assert people.call(said["access_token"], "/optional").status_code == 401
    assert people.ask(people.refresh_form(said["refresh_token"])).json()["error_description"] == "refresh_token is invalid"
    assert people.served.events(kind="session.ended")[-1]["outcome"] == "code reused"


def test_a_code_is_nothing_to_another_application(people: People) -> None:
    code = people.code()
    answer = people.ask(people.code_form(code, "second"))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert people.ask(people.code_form(code)).status_code == 400, "it has been stolen: nobody gets anything for it"


def test_a_stolen_refresh_token_ends_the_session(people: People) -> None:
    first = people.exchange()
    second = people.ask(people.refresh_form(first["refresh_token"])).json()
    stolen = people.ask(people.refresh_form(first["refresh_token"]))
    assert (stolen.status_code, stolen.json()["error"], stolen.json()["error_description"]) == (
        401, "invalid_grant", "refresh_token is invalid",
    )  # fmt: skip
    assert people.ask(people.refresh_form(second["refresh_token"])).status_code == 401
    for token in (first["access_token"], second["access_token"]):
        assert people.call(token, "/optional").status_code == 401
    assert people.served.events(kind="session.ended")[-1]["outcome"] == "refresh token reused"


def test_a_refresh_token_is_nothing_to_another_application(people: People) -> None:
    said = people.exchange()
    assert people.ask(people.refresh_form(said["refresh_token"], "second")).status_code == 401
    assert people.ask(people.refresh_form(said["refresh_token"])).status_code == 401


@pytest.mark.parametrize("token", ["x", ".", "a.b", "x" * 10_000, "\u00e9"])
def test_a_made_up_refresh_token_is_refused(people: People, token: str) -> None:
    assert people.ask(people.refresh_form(token)).json()["error_description"] == "refresh_token is invalid"


def test_a_token_of_a_person_is_no_token_of_the_application(people: People) -> None:
    person = people.exchange()["access_token"]
    assert people.call(person, "/application").status_code == 403
    assert people.call(people.served.token("ward"), "/optional").status_code == 403
    assert people.call(person, "/patient").status_code == 403


# --- logout -----------------------------------------------------------------------------------------------------------------------

FORGED: list[Any] = [
    lambda i: "no.jwt",
    lambda i: i.logout_token(key=Issuer.new_key(), header={"kid": i.keys[0].kid}),
    lambda i: i.logout_token(key=OctKey.import_key("x" * 32), header={"alg": "HS256", "kid": "x"}),
    lambda i: i.logout_token(aud="another"),
    lambda i: i.logout_token(iss="https://evil.test"),
    lambda i: i.logout_token(nonce="n"),
    lambda i: i.logout_token(events={}),
    lambda i: i.logout_token(events=["http://schemas.openid.net/event/backchannel-logout"]),
    lambda i: i.logout_token(sid=..., sub=...),
    lambda i: i.logout_token(jti=...),
    lambda i: i.logout_token(iat=...),
    lambda i: i.logout_token(iat=int(time.time()) + 600),
    lambda i: i.logout_token(exp=int(time.time()) - 60),
    lambda i: i.logout_token(header={"typ": "at+jwt"}),
    lambda i: i.id_token(i.claims(aud="fiveways")),
]


@pytest.mark.parametrize("forge", FORGED)
def test_a_forged_logout_signs_nobody_out(people: People, forge: Any) -> None:
    token = people.exchange()["access_token"]
    answer = people.http.post("/oauth2/backchannel_logout", data={"logout_token": forge(people.cis2)})
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Invalid logout_token")
    assert people.call(token, "/optional").status_code == 200


def test_logouts_come_from_where_the_deployment_says(people: People) -> None:
    report = people.login.logout_token()
    answer = people.http.post("/oauth2/backchannel_logout", data={"logout_token": report})
    assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")


def test_a_logout_that_is_sent_again_ends_nothing_new(people: People) -> None:
    people.exchange(people.cis2.id_token(people.cis2.claims(sid="again")))
    report = people.cis2.logout_token(sid="again", iat=int(time.time()) - 2)
    assert people.http.post("/oauth2/backchannel_logout", data={"logout_token": report}).status_code == 501
    report = people.cis2.logout_token(sid="again")
    assert people.http.post("/oauth2/backchannel_logout", data={"logout_token": report}).json() == {"success": True}
    assert people.http.post("/oauth2/backchannel_logout", data={"logout_token": report}).status_code == 501


# --- clocks and keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "status"), [(5, 200), (-5, 200), (60, 400), (-400, 400)])
def test_clocks_may_differ_by_a_little(people: People, ahead: int, status: int) -> None:
    now = int(time.time()) + ahead
    token = people.cis2.id_token(people.cis2.claims(iat=now, exp=now + 300))
    assert people.ask(people.form(token)).status_code == status


def test_keys_may_change_between_the_way_out_and_the_way_back(people: People) -> None:
    with people.browser() as browser:
        sent = people.authorize(browser)
        people.cis2.rotate()
        assert "code" in query(people.callback(browser, sent).headers["location"])


def test_a_withdrawn_key_signs_nobody_in_once_keys_are_fetched_again(people: People) -> None:
    old = people.cis2.keys[0]
    people.cis2.rotate()
    people.exchange()
    answer = people.ask(people.form(people.cis2.id_token(key=old)))
    assert answer.json()["error_description"] == "Invalid 'kid' header in subject_token JWT - no matching public key"


def test_the_challenge_of_one_sign_in_is_not_anothers(people: People) -> None:
    other = CHALLENGE[::-1]
    code = people.code(asked={"code_challenge": other, "code_challenge_method": "S256"})
    assert people.ask(people.code_form(code, code_verifier=VERIFIER)).status_code == 400
