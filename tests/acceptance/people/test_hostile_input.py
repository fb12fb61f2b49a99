"""Whatever comes in over the endpoints that people and providers use, the answer is a refusal and never a 500."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.people.conftest import BACK, People

TEXT = st.text(max_size=60) | st.sampled_from(["", "code", "ward", BACK, "nhs-login", "S256", "x" * 5000, "\x00", "é", "a.b.c"])
QUERY = st.dictionaries(
    st.sampled_from(
        [
            "client_id", "redirect_uri", "response_type", "state", "scope", "code_challenge", "code_challenge_method", "code",
            "iss", "error",
        ]
    ),
    TEXT,
)  # fmt: skip
FORM = st.dictionaries(
    st.sampled_from(
        [
            "grant_type", "client_id", "client_secret", "redirect_uri", "code", "code_verifier", "refresh_token", "subject_token",
            "subject_token_type", "client_assertion", "client_assertion_type", "token", "logout_token",
        ]
    ),
    TEXT | st.sampled_from(["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"]),
)  # fmt: skip
TRIES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@TRIES
@given(query=QUERY, path=st.sampled_from(["authorize", "callback", "callback/login", "userinfo"]), cookie=st.binary(max_size=60))
def test_queries(people: People, query: dict[str, str], path: str, cookie: bytes) -> None:
    name = b"fiveways-sign-in-0000000000000000="
    headers = {b"Cookie": name + bytes(byte for byte in cookie if 0x21 <= byte <= 0x7E)}
    answer = people.http.get(f"/oauth2/{path}", params=query, headers=headers)
    assert answer.status_code in (302, 400, 401, 403)
    if answer.status_code == 302:
        assert answer.headers["location"].startswith((BACK, people.cis2.url, people.login.url))


@TRIES
@given(form=FORM, path=st.sampled_from(["token", "revoke", "introspect", "backchannel_logout"]))
def test_forms(people: People, form: dict[str, str], path: str) -> None:
    answer = people.http.post(f"/oauth2/{path}", data=form)
    assert answer.status_code in (400, 401) or (answer.status_code == 415 and not form)
    assert answer.json()["error"]


@TRIES
@given(authorization=st.binary(max_size=80) | st.sampled_from([b"Basic ", b"Basic !!", b"Basic /w==", b"Bearer ", b"Basic Og=="]))
def test_authorization_fields(people: People, authorization: bytes) -> None:
    sent = {b"Authorization": bytes(byte for byte in authorization if 0x20 <= byte <= 0x7E or byte >= 0xA0).strip()}
    for call in (
        people.http.post("/oauth2/token", data={"grant_type": "authorization_code", "code": "x"}, headers=sent),
        people.http.get("/oauth2/userinfo", headers=sent),
    ):
        assert call.status_code in (400, 401)


def test_raw_bytes_in_a_query(people: People) -> None:
    for query in (b"%ff%fe", b"client_id=%00", b"a=1&" * 200, b"client_id=ward&state=%0d%0aSet-Cookie:x", b";;;", b"=&=&="):
        sent = b"GET /oauth2/authorize?" + query + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert people.served.raw(sent).split(b" ")[1] in (b"400", b"401", b"404"), query
