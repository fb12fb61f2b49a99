"""Who may call what (S35, S36): every security context through the gateway, alone and beside others, and entitlement behind it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

import httpx
import pytest
from joserfc.jwk import RSAKey
from joserfc.jwt import encode
from tests.acceptance.conftest import API_KEY, ASSERTION, STATUS_KEY, Backend, Serve, Served, free_port, hashed, response

from fiveways.clock import SystemClock
from fiveways.security.certificates import issue_client, issue_server, make_authority


def refused(answer: httpx.Response, status: int, code: str, party: str = "SEND") -> str:
    """That an answer is an OperationOutcome with a code; what it says to the developer."""
    body = answer.json()
    assert (answer.status_code, body["resourceType"]) == (status, "OperationOutcome")
    [issue] = body["issue"]
    first, second = issue["details"]["coding"]
    assert (first["code"], issue["severity"]) == (code, "error")
    assert second["code"].startswith(party + "_")
    return str(issue["diagnostics"])


def test_a_good_token_opens_the_api(platform: Served, behind: Backend) -> None:
    path = behind.at(response(200, b'{"resourceType":"Patient"}'))
    answer = platform.call("GET", f"/fhir/R4{path}", headers=platform.bearer())
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Patient"})
    [seen] = behind.requests(path)
    assert seen.all(b"authorization") == []
    assert seen.all(b"nhsd-application") == [b"ward"]


def test_no_token_is_401_with_a_challenge_and_an_id_that_the_audit_has(platform: Served) -> None:
    """RFC 6750 §3, RFC 9110 §11.6.1."""
    answer = platform.call("GET", "/fhir/R4/Patient/1")
    refused(answer, 401, "ACCESS_DENIED")
    assert answer.headers["www-authenticate"] == "Bearer"
    event = platform.event(id=answer.json()["id"])
    assert (event["status"], event["outcome"], event["party"], event["name"]) == (401, "ACCESS_DENIED", "consumer", "Patient.read")


@pytest.mark.parametrize(
    "credentials",
    ["Bearer", "Bearer x", "Bearer a.b.c", "Basic dTpw", "bearer", "Bearer " + "a" * 9000, "Bearer eyJhbGciOiJub25lIn0.e30.",
     "Bearer \xff\xfe", "Bearer a b"],
)  # fmt: skip
def test_garbled_credentials_are_401(platform: Served, behind: Backend, credentials: str) -> None:
    path = behind.at(response())
    refused(
        platform.call("GET", f"/fhir/R4{path}", headers=[(b"Authorization", credentials.encode("latin-1"))]), 401, "ACCESS_DENIED"
    )
    assert not behind.requests(path)


def test_a_token_altered_in_any_part_is_401(platform: Served) -> None:
    head, claims, signature = platform.token("ward").split(".")
    for altered in (
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims[:-1]}A.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
    ):
        refused(platform.call("GET", "/fhir/R4/Patient", headers={"Authorization": f"Bearer {altered}"}), 401, "ACCESS_DENIED")


def test_another_s_token_is_401(platform: Served, client_keys: dict[str, RSAKey]) -> None:
    """Signed by a client's own key, with everything else right; and a client's assertion is no access token."""
    claims = {
        "iss": "urn:fiveways", "aud": "urn:fiveways:gateway", "sub": "ward", "client_id": "ward", "app": "ward", "jti": "x",
        "level": "level3", "scope": "urn:nhsd:apim:app:level3:fhir", "context": "signed-jwt", "iat": time.time(),
        "exp": int(time.time()) + 500,
    }  # fmt: skip
    forged = encode({"alg": "RS512", "typ": "at+jwt", "kid": "ward-1"}, claims, client_keys["ward"], algorithms=["RS512"])
    for token in (forged, platform.assertion("ward")):
        refused(platform.call("GET", "/fhir/R4/Patient", headers={"Authorization": f"Bearer {token}"}), 401, "ACCESS_DENIED")


def test_a_revoked_token_is_401_at_once(platform: Served) -> None:
    token = platform.ask_token(platform.assertion("ward")).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert platform.call("GET", "/fhir/R4/Patient", headers=headers).status_code == 200
    form = {"token": token, "client_assertion_type": ASSERTION, "client_assertion": platform.assertion("ward")}
    answer = platform.call("POST", "/oauth2/revoke", data=form)
    assert answer.status_code == 200, answer.text
    refused(platform.call("GET", "/fhir/R4/Patient", headers=headers), 401, "ACCESS_DENIED")


def test_an_application_without_the_product_is_403(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    said = refused(platform.call("GET", f"/fhir/R4{path}", headers=platform.bearer("outsider")), 403, "ACCESS_DENIED")
    assert "outsider" in said
    assert not behind.requests(path)


def test_an_application_without_a_required_attribute_is_400(platform: Served) -> None:
    """PDS: 400 MISSING_VALUE."""
    said = refused(platform.call("GET", "/fhir/R4/Patient", headers=platform.bearer("second")), 400, "MISSING_VALUE")
    assert said == "No ASID is associated with your app. Please contact support."


def test_an_api_key_opens_the_api_and_ends_there(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    assert platform.call("GET", f"/keyed{path}", headers={"apikey": API_KEY}).status_code == 200
    assert behind.requests(path)[0].all(b"apikey") == []
    for headers in (
        {},
        {"apikey": ""},
        {"apikey": "x"},
        {"apikey": API_KEY + "x"},
        {"apikey": STATUS_KEY},
        {"apikey": hashed(API_KEY)},
    ):
        answer = platform.call("GET", f"/keyed{path}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "ACCESS_DENIED")
    assert platform.call("GET", f"/keyed{path}", headers=platform.bearer()).status_code == 401
    assert len(behind.requests(path)) == 1


def test_the_first_context_that_has_something_decides(platform: Served, behind: Backend) -> None:
    """[signed-jwt, api-key, open]: bad credentials are refused, though without any the API is open."""
    path = behind.at(response())
    assert platform.call("GET", f"/mixed{path}").status_code == 200
    assert platform.call("GET", f"/mixed{path}", headers={"apikey": API_KEY}).status_code == 200
    assert platform.call("GET", f"/mixed{path}", headers={**platform.bearer("second"), "apikey": API_KEY}).status_code == 200
    assert platform.call("GET", f"/mixed{path}", headers={"Authorization": "Bearer bad", "apikey": API_KEY}).status_code == 401
    assert platform.call("GET", f"/mixed{path}", headers={"apikey": "bad"}).status_code == 401
    assert platform.call("GET", f"/mixed{path}", headers=platform.bearer("outsider")).status_code == 403
    assert [seen.all(b"nhsd-application") for seen in behind.requests(path)] == [[], [b"ward"], [b"second"]]


def test_an_operation_may_have_security_of_its_own(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    assert platform.call("GET", f"/partly/public{path}").status_code == 200
    assert platform.call("HEAD", f"/partly/public{path}").status_code == 200
    assert platform.call("POST", f"/partly/public{path}").status_code == 401
    assert platform.call("GET", f"/partly/public{path}/more").status_code == 401
    assert platform.call("GET", f"/partly/keys{path}/more", headers=platform.bearer()).status_code == 401
    assert platform.call("GET", f"/guarded{path}").status_code == 200
    assert platform.call("GET", "/guarded/secret").status_code == 401


def test_an_assertion_is_used_once_across_a_restart(serve: Serve, backend: Backend) -> None:
    """The jti is remembered for 30 days; the platform's keys, and with them its tokens, outlive a restart as well."""
    with serve(MINIMAL.format(url=backend.url)) as served:
        port = served.url.rpartition(":")[2]
        served.arguments = ("--http", f"127.0.0.1:{port}")
        assertion = served.assertion("ward")
        token = served.ask_token(assertion).json()["access_token"]
        assert served.ask_token(assertion).json()["error_description"].startswith("Non-unique 'jti' claim")
        for number in (15, 9):
            served.stop(number)
            served.start()
            answer = served.ask_token(assertion)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
            assert answer.json()["error_description"].startswith("Non-unique 'jti' claim")
            assert served.call("GET", "/a/x", headers={"Authorization": f"Bearer {token}"}).status_code == 200


MINIMAL = """\
organisations: {{RXN: {{name: Northshire Hospitals}}}}
applications: {{ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}}}
products: {{all: {{apis: [a]}}}}
identity: {{tokens: {{lifetime: 5m}}}}
apis: {{a: {{pattern: pass-through, at: /a, target: {{url: "{url}"}}, security: [signed-jwt]}}}}
"""


Secure = tuple[Served, dict[str, str], Path]


@pytest.fixture(scope="module")
def secure(serve: Serve, behind: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """A platform with TLS listeners, and tokens of two seconds. With the URLs of its listeners and the folder of certificates."""
    clock, tls = SystemClock(), tmp_path_factory.mktemp("tls")
    authority, foreign = make_authority("Fiveways local authority", clock), make_authority("Somebody else", clock)
    authority.write(tls, "ca")
    issue_server(authority, clock, names=("localhost", "127.0.0.1")).write(tls, "server")
    for name in ("ward", "stranger"):
        issue_client(authority, clock, name=name).write(tls, name)
    issue_client(foreign, clock, name="ward").write(tls, "forged")
    ports = {name: free_port() for name in ("port", "tls", "mutual", "strict")}
    text = Template((Path(__file__).parent / "listeners.yaml").read_text())
    texts = {name: str(port) for name, port in ports.items()}
    with serve(text.substitute(url=behind.url, print="0" * 64, **texts), http="", started=False) as served:
        (served.folder / "tls").symlink_to(tls)
        served.start()
        served.url = f"http://127.0.0.1:{ports['port']}"
        yield served, {name: f"https://127.0.0.1:{port}" for name, port in ports.items()}, tls


def context(tls: Path, client: str | None = None) -> ssl.SSLContext:
    """How a client sees the servers of these tests, with a certificate of its own or without."""
    made = ssl.create_default_context(cafile=tls / "ca.pem")
    if client is not None:
        made.load_cert_chain(tls / f"{client}.pem", tls / f"{client}.key.pem")
    return made


def test_a_token_expires(secure: Secure) -> None:
    served, _, _ = secure
    answer = served.ask_token(served.assertion("ward")).json()
    assert answer["expires_in"] == "1"
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert served.call("GET", "/a/x", headers=headers).status_code == 200
    time.sleep(2.1)
    late = served.call("GET", "/a/x", headers=headers)
    assert late.status_code == 401
    assert late.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_suspended_application_gets_no_token(secure: Secure) -> None:
    served, _, _ = secure
    answer = served.ask_token(served.assertion("suspended"))
    assert (answer.status_code, answer.json()["error"]) == (401, "access_denied")


@pytest.mark.parametrize("listener", ["mutual", "strict"])
def test_a_client_certificate_identifies_its_application(secure: Secure, behind: Backend, listener: str) -> None:
    _, urls, tls = secure
    path = behind.at(response())
    with httpx.Client(verify=context(tls, "ward"), base_url=urls[listener], trust_env=False) as client:
        for _ in range(2):
            assert client.get(f"/certified{path}").status_code == 200
        assert client.post(f"/certified{path}", content=b"x" * 100_000).status_code == 200
    assert behind.requests(path)[0].all(b"nhsd-application") == [b"ward"]
    assert behind.requests(path)[2].body == b"x" * 100_000
    with httpx.Client(verify=context(tls, "stranger"), base_url=urls[listener], trust_env=False) as client:
        answer = client.get(f"/certified{path}")
    assert (answer.status_code, answer.json()["code"]) == (401, "ACCESS_DENIED")
    assert len(behind.requests(path)) == 3


def test_without_a_certificate_the_handshake_or_the_api_refuses(secure: Secure) -> None:
    _, urls, tls = secure
    with httpx.Client(verify=context(tls), base_url=urls["mutual"], trust_env=False) as client:
        assert client.get("/certified/x").status_code == 401
        assert client.get("/_ping").status_code == 200
    with httpx.Client(verify=context(tls), base_url=urls["strict"], trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get("/_ping")


@pytest.mark.parametrize("listener", ["mutual", "strict"])
def test_a_certificate_of_an_unknown_authority_is_turned_away(secure: Secure, listener: str) -> None:
    _, urls, tls = secure
    with httpx.Client(verify=context(tls, "forged"), base_url=urls[listener], trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            client.get("/certified/x")


def test_a_certificate_counts_only_where_it_was_asked_for(secure: Secure) -> None:
    served, urls, tls = secure
    spoofed = {"X-Client-Cert": "CN=ward", "X-SSL-Client-S-DN": "CN=ward", "X-Forwarded-Client-Cert": "Subject=CN=ward"}
    assert served.call("GET", "/certified/x", headers=spoofed).status_code == 401
    with httpx.Client(verify=context(tls, "ward"), base_url=urls["tls"], trust_env=False) as client:
        assert client.get("/certified/x", headers=spoofed).status_code == 401


def test_https_speaks_http_2_and_http_1(secure: Secure, behind: Backend) -> None:
    served, urls, tls = secure
    path = behind.at(response(200, b"ok"))
    for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        with httpx.Client(verify=context(tls), base_url=urls["tls"], http2=http2, trust_env=False) as client:
            assertion = served.assertion("ward", aud=f"{urls['tls']}/oauth2/token")
            form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
            token = client.post("/oauth2/token", data=form).json()["access_token"]
            answer = client.get(f"/a{path}", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.http_version) == (200, version)
    assert {value for seen in behind.requests(path) for value in seen.all(b"x-forwarded-proto")} == {b"https"}


def test_a_replaced_certificate_is_taken_up_by_a_reload(secure: Secure) -> None:
    served, urls, tls = secure
    clock = SystemClock()
    other = make_authority("Another authority", clock)
    before = {name: (tls / name).read_bytes() for name in ("server.pem", "server.key.pem")}
    issue_server(other, clock, names=("localhost", "127.0.0.1")).write(tls, "next")
    other.write(tls, "next-ca")
    try:
        for name in ("pem", "key.pem"):
            (tls / f"server.{name}").write_bytes((tls / f"next.{name}").read_bytes())
        assert served.run("reload", str(served.file)).returncode == 0
        trusting = ssl.create_default_context(cafile=tls / "next-ca.pem")
        for name in ("tls", "mutual"):
            assert _answers(urls[name], trusting), name
    finally:
        for name, content in before.items():
            (tls / name).write_bytes(content)
        served.run("reload", str(served.file))


def _answers(url: str, trusting: ssl.SSLContext) -> bool:
    """Whether a server shows a certificate that is trusted, within the moment that its own threads may take to change it."""
    for _ in range(30):
        try:
            return httpx.get(f"{url}/_ping", verify=trusting, trust_env=False).status_code == 200
        except httpx.ConnectError:
            time.sleep(0.1)
    return False
