"""The identity providers themselves, with nothing of Fiveways between: what other tests here take to be so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey
from joserfc.jwt import decode
from playwright.sync_api import Browser, Page
from tests.acceptance.sign_in.conftest import PATIENTS, REDIRECT, WORKERS, OpenidClient, Providers, registered, sign_in, signed_in

from fiveways.demo.signing_in import IdentityProvider, IdentityProviderError

ACR = {"acr_values": "AAL3_ANY"}


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A URL, and the forms that were POSTed to it."""
    forms: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            forms.append(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/logout", forms
        server.shutdown()
        thread.join()


def keys(provider: IdentityProvider) -> KeySet:
    """What the provider says that it signs with."""
    return KeySet.import_key_set(httpx.get(f"{provider.issuer}/jwks").json())


def test_cis2_says_who_works_where(cis2: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    assert cis2.issuer == f"http://127.0.0.1:{cis2.port}/openid"
    who = registered(cis2, "worker-app", token_endpoint_auth_method="client_secret_post") | {"auth_method": "client_secret_post"}
    before = int(time.time())
    tokens = signed_in(openid_client, page, who, "nurse", scope="openid nationalrbacaccess", parameters=ACR)
    token = decode(tokens["id_token"], keys(cis2), algorithms=["RS256"])
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (cis2.issuer, "worker-app", WORKERS["nurse"]["sub"])
    assert (claims["authentication_assurance_level"], claims["id_assurance_level"]) == ("3", "3")
    assert (claims["acr"], claims["amr"]) == ("AAL3_ANY", ["N3_SMARTCARD"])
    assert before <= claims["auth_time"] <= claims["iat"] == claims["exp"] - 600
    assert (claims["nonce"], bool(claims["sid"])) == (tokens["nonce"], True)
    assert not [name for name in claims if name.startswith("nhsid")]
    said = openid_client("userinfo", access_token=tokens["access_token"], sub=claims["sub"], **who)
    assert said == {"nhsid_useruid": claims["sub"], **WORKERS["nurse"]}


def test_cis2_says_how_else_somebody_signed_in(cis2: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    who = registered(cis2, "clerk-app")
    tokens = signed_in(openid_client, page, who, "clerk", scope="openid", parameters=ACR)
    assert (tokens["claims"]["authentication_assurance_level"], tokens["claims"]["acr"]) == ("2", "AAL2_ANY")
    said = openid_client("userinfo", access_token=tokens["access_token"], **who)
    assert said == {"sub": WORKERS["clerk"]["sub"]}  # the roles are for those who ask for nationalrbacaccess


def test_nhs_login_says_who_a_patient_is(nhs_login: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    key = RSAKey.generate_key(2048, {"kid": "patient-app-1", "alg": "RS512", "use": "sig"})
    registration = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.as_dict(private=False)]}}
    who = registered(nhs_login, "patient-app", **registration) | {"key": key.as_dict(private=True)}
    tokens = signed_in(openid_client, page, who, "mona", scope="openid profile")
    claims = decode(tokens["id_token"], keys(nhs_login), algorithms=["RS512"]).claims
    mona = PATIENTS["mona"]
    assert (claims["sub"], claims["nhs_number"]) == (mona["sub"], mona["nhs_number"])
    assert (claims["identity_proofing_level"], claims["vot"]) == ("P9", "P9.Cp.Cd")
    assert (claims["vtm"], claims["nonce"], bool(claims["sid"])) == (f"{nhs_login.issuer}/trustmark", tokens["nonce"], True)
    said = openid_client("userinfo", access_token=tokens["access_token"], sub=claims["sub"], **who)
    assert said == {"identity_proofing_level": "P9", **mona}
    again = signed_in(openid_client, page, who, "unproven", scope="openid profile", parameters={"prompt": "login"})
    assert again["claims"]["identity_proofing_level"] == "P5"
    stranger = RSAKey.generate_key(2048, {"kid": "patient-app-1", "alg": "RS512"}).as_dict(private=True)
    (state,) = parse_qs(urlsplit(again["url"]).query)["state"]
    refused = openid_client("exchange", url=again["url"], state=state, code_verifier="x" * 43, **(who | {"key": stranger}))
    assert (refused["error"], refused["status"]) == ("invalid_client", 401)


def test_a_name_that_nobody_has(cis2: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    who = registered(cis2, "stranger-app")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="openid", **who)
    where = sign_in(page, begun["url"], "<nobody>")
    assert where.startswith(f"{cis2.issuer}/interaction/")
    assert page.title() == "NHS CIS2 (stand-in): sign in"
    assert page.get_by_role("alert").inner_text() == "unknown user: <nobody>"
    page.locator("input[name=login]").fill("nurse")
    with page.expect_request(lambda sent: sent.url.startswith(REDIRECT)):
        page.get_by_role("button").click()


def test_who_is_signed_in_is_not_asked_again(cis2: IdentityProvider, openid_client: OpenidClient, browser: Browser) -> None:
    first, second = registered(cis2, "first-app"), registered(cis2, "second-app")
    with browser.new_context() as context:
        one = signed_in(openid_client, context.new_page(), first, "nurse", scope="openid")["claims"]
        other = signed_in(openid_client, context.new_page(), second, "nobody at all", scope="openid")["claims"]
    assert (one["sub"], one["auth_time"]) == (other["sub"], other["auth_time"])
    assert one["sid"] != other["sid"]


def test_an_answer_names_its_issuer(cis2: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    who = registered(cis2, "mixed-up-app")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="openid", **who)
    answer = parse_qs(urlsplit(sign_in(page, begun["url"], "nurse")).query)
    assert (answer["iss"], answer["state"]) == ([cis2.issuer], [begun["state"]])


def test_where_an_application_may_not_be_sent_back_to(cis2: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    who = registered(cis2, "astray-app")
    begun = openid_client("authorize-url", redirect_uri="https://elsewhere.invalid/callback", scope="openid", **who)
    assert sign_in(page, begun["url"], "nurse") == begun["url"]
    assert "invalid_redirect_uri" in page.inner_text("body")


def test_what_openid_client_sends_elsewhere(openid_client: OpenidClient) -> None:
    key = RSAKey.generate_key(2048, {"kid": "app-1", "alg": "RS512"})
    with listening() as (url, forms):
        metadata = {"token_endpoint": url}
        who = {"issuer": "http://127.0.0.1", "metadata": metadata, "client_id": "app", "key": key.as_dict(private=True)}
        asked = {"subject_token": "t", "subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}
        audience = {"payload": {"aud": url}, "header": {"typ": "JWT"}}
        answers = [
            openid_client("token-exchange", parameters=asked, assertion=audience, **who),
            openid_client("refresh", refresh_token="r", **who),
        ]
    assert [answer["error"] for answer in answers] == ["OAUTH_RESPONSE_IS_NOT_JSON"] * 2
    exchange, refresh = forms
    assert exchange["grant_type"] == ["urn:ietf:params:oauth:grant-type:token-exchange"]
    assert (exchange["subject_token"], exchange["subject_token_type"]) == (["t"], [asked["subject_token_type"]])
    assert (refresh["grant_type"], refresh["refresh_token"]) == (["refresh_token"], ["r"])
    token = decode(exchange["client_assertion"][0], key, algorithms=["RS512"])
    assert (token.header, token.claims["aud"]) == ({"alg": "RS512", "kid": "app-1", "typ": "JWT"}, url)
    assert decode(refresh["client_assertion"][0], key, algorithms=["RS512"]).claims["aud"] == "http://127.0.0.1"


def test_new_keys(providers: Providers, openid_client: OpenidClient, page: Page) -> None:
    provider = providers(kind="nhs-cis2", accounts=WORKERS, id_token_seconds=60)
    who = registered(provider, "app")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="openid", **who)
    url = sign_in(page, begun.pop("url"), "nurse")
    (old,) = keys(provider).keys
    new = provider.rotate()
    (now,) = keys(provider).keys
    assert new == now.kid != old.kid
    tokens = openid_client("exchange", url=url, **begun, **who)  # a code from before is as good as ever
    assert decode(tokens["id_token"], keys(provider), algorithms=["RS256"]).header["kid"] == new
    assert tokens["claims"]["exp"] - tokens["claims"]["iat"] == 60
    again = signed_in(openid_client, page, who, "nobody", scope="openid")  # and so is the session
    assert again["claims"]["auth_time"] == tokens["claims"]["auth_time"]


def test_signing_out_is_told_to_each_application(nhs_login: IdentityProvider, openid_client: OpenidClient, page: Page) -> None:
    with listening() as (url, forms):
        after = "https://application.invalid/goodbye"
        told = {"backchannel_logout_uri": url, "post_logout_redirect_uris": [after]}
        who = registered(nhs_login, "told-app", **told)
        tokens = signed_in(openid_client, page, who, "mona", scope="openid profile")
        hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": after, "state": "bye"}
        page.goto(openid_client("end-session-url", parameters=hint, **who)["url"])
        with page.expect_request(lambda sent: sent.url.startswith(after)) as left:
            page.get_by_role("button", name="Sign out").click()
    assert left.value.url == f"{after}?state=bye"
    ((logout_token,),) = [form["logout_token"] for form in forms]
    token = decode(logout_token, keys(nhs_login), algorithms=["RS512"])
    assert token.header["typ"] == "logout+jwt"
    wanted = {"iss": nhs_login.issuer, "aud": "told-app", "sub": PATIENTS["mona"]["sub"], "sid": tokens["claims"]["sid"]}
    assert wanted.items() <= token.claims.items()
    assert token.claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert "nonce" not in token.claims
    assert page.context.cookies(nhs_login.issuer) == []


def test_it_ends_with_whoever_started_it(node_packages: Path) -> None:
    start = f"IdentityProvider.start(Path({str(node_packages)!r}), kind='nhs-login', accounts={{}})"
    told = "print(provider._process.pid, flush=True); time.sleep(60)"
    imports = "import time\nfrom pathlib import Path\nfrom fiveways.demo.signing_in import IdentityProvider\n"
    parent = subprocess.Popen([sys.executable, "-c", f"{imports}provider = {start}\n{told}"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 5
    while running(child):
        assert time.monotonic() < until
        time.sleep(0.02)


def running(process: int) -> bool:
    """Whether a process that is nobody's child of ours is still there; one that nobody buried has ended all the same."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_port_that_is_taken(cis2: IdentityProvider, node_packages: Path) -> None:
    with pytest.raises(IdentityProviderError, match="EADDRINUSE"):
        IdentityProvider.start(node_packages, kind="nhs-cis2", accounts={}, port=cis2.port)


def test_stopping_and_starting_again_in_the_same_place(node_packages: Path) -> None:
    with IdentityProvider.start(node_packages, kind="nhs-cis2", accounts={}) as first:
        (before,) = keys(first).keys
    with pytest.raises(httpx.ConnectError):
        keys(first)
    with IdentityProvider.start(node_packages, kind="nhs-cis2", accounts={}, port=first.port) as second:
        assert second.issuer == first.issuer
        assert before.kid not in {key.kid for key in keys(second).keys}
