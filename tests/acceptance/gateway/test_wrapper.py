"""The wrapper façade: a bearer token in front, and behind it a client certificate, a password, a key, an HMAC, a token, cookies."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from string import Template

import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, free_port, response
from tests.acceptance.messaging.wire import PublicSandbox

from fiveways.clock import SystemClock
from fiveways.security.certificates import issue_client, issue_server, make_authority

SECRETS = {"THEATRE_PASSWORD": "pa55: wörd", "LAB_KEY": "lab-key-0001", "MESH_PASSWORD": "password", "MESH_KEY": "TestKey"}
DEBT = "debt: {owner: Theatre systems, reason: vendor, target: pass-through, retire_by: 2199-01-01}"
COMMON = f"pattern: wrapper, security: [signed-jwt], resilience: {{breaker: {{failures: 1000}}}}, {DEBT}"
DEPLOYMENT = """\
organisations: {RXN: {name: Northshire}}
applications:
  ward: {organisation: RXN, jwks: file:keys/ward.json, products: [all]}
  second: {organisation: RXN, jwks: file:keys/second.json, products: [all]}
products: {all: {apis: [theatre, booked, lab, mesh, provided, sessions]}}
apis:
  theatre:
    {${common}, at: /theatre, target: {url: "${tls_url}", tls: {ca: file:tls/ca.pem, certificate: file:tls/gateway.pem,
      key: file:tls/gateway.key.pem}}}
  booked: {${common}, at: /booked, target: {url: "${url}"}, present: {basic: {user: fiveways, password: env:THEATRE_PASSWORD}}}
  lab: {${common}, at: /lab, target: {url: "${url}"}, present: {api_key: {header: X-Lab-Key, key: env:LAB_KEY}}}
  mesh:
    {${common}, at: /mesh, target: {url: "${mesh_url}/messageexchange"},
      present: {nhsmesh: {mailbox: X26ABC1, password: env:MESH_PASSWORD, shared_key: env:MESH_KEY}}}
  provided:
    {${common}, at: /provided, target: {url: "${provider_url}/service"},
      present: {oauth2: {token_url: "${provider_url}/oauth2/token", client_id: gateway, key: file:keys/gateway.pem, kid: gateway-1,
                          timeout: 2s}}}
  sessions: {${common}, at: /sessions, target: {url: "${url}"}, present: {session: {idle: 1h}}}
"""
PROVIDER = """\
organisations: {RXN: {name: Northshire}}
identity: {tokens: {lifetime: 6s}}
applications: {gateway: {organisation: RXN, jwks: file:keys/gateway.json, products: [all]}}
products: {all: {apis: [service]}}
apis: {service: {pattern: pass-through, at: /service, target: {url: "$url"}, security: [signed-jwt]}}
"""


@dataclass
class Estate:
    """The gateway, and the back ends behind it."""

    gateway: Served
    provider: Served
    plain: Backend
    tls: Backend

    def get(self, path: str, application: str = "ward", **headers: str) -> tuple[int, dict[str, str], bytes]:
        answer = self.gateway.call("GET", path, headers={**self.gateway.bearer(application), **headers})
        return answer.status_code, dict(answer.headers), answer.content


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, clock = tmp_path_factory.mktemp("tls"), SystemClock()
    authority = make_authority("Estate", clock)
    authority.write(folder, "ca")
    issue_server(authority, clock, names=("127.0.0.1",)).write(folder, "server")
    issue_client(authority, clock, name="fiveways.gateway").write(folder, "gateway")
    issue_client(authority, clock, name="fiveways.renewed").write(folder, "renewed")
    return folder


@pytest.fixture(scope="module")
def estate(serve: Serve, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    plain, tls, mesh = Backend(), Backend(context), PublicSandbox(tmp_path_factory.mktemp("mesh"))
    port = free_port()
    try:
        with serve(PROVIDER.replace("$url", plain.url), http=f"127.0.0.1:{port}", started=False) as provider:
            provider.url = f"http://127.0.0.1:{port}"
            with serve(
                Template(DEPLOYMENT).substitute(
                    common=COMMON, url=plain.url, tls_url=tls.url, mesh_url=mesh.url, provider_url=provider.url
                ),
                started=False,
                environment=SECRETS,
            ) as gateway:
                (gateway.folder / "tls").mkdir()
                for file in certificates.iterdir():
                    (gateway.folder / "tls" / file.name).write_bytes(file.read_bytes())
                key = gateway.keys["trial"]
                (gateway.folder / "keys" / "gateway.pem").write_bytes(key.as_pem(private=True))
                public = {**key.as_dict(private=False), "kid": "gateway-1"}
                (provider.folder / "keys" / "gateway.json").write_text(json.dumps({"keys": [public]}))
                provider.start()
                gateway.start()
                yield Estate(gateway, provider, plain, tls)
    finally:
        for each in (plain, tls, mesh):
            each.stop()


def test_a_bearer_token_in_front_a_client_certificate_behind(estate: Estate) -> None:
    path = estate.tls.at(response(200, b"from theatre"))
    assert estate.get(f"/theatre{path}")[::2] == (200, b"from theatre")
    (seen,) = estate.tls.requests(path)
    assert seen.peer == "fiveways.gateway"
    assert seen.all(b"authorization") == []
    assert estate.gateway.call("GET", f"/theatre{path}").status_code == 401
    with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|EOF"):
        _without_certificate(estate)


def _without_certificate(estate: Estate) -> None:
    context = ssl.create_default_context(cafile=estate.gateway.folder / "tls" / "ca.pem")
    with (
        socket.create_connection(("127.0.0.1", estate.tls.port)) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        if tls.recv(1) == b"":
            raise ConnectionResetError("closed")


def test_a_user_and_a_password_that_are_not_the_consumers(estate: Estate) -> None:
    path = estate.plain.at(response())
    assert estate.get(f"/booked{path}")[0] == 200
    (seen,) = estate.plain.requests(path)
    pair = base64.b64encode(f"fiveways:{SECRETS['THEATRE_PASSWORD']}".encode())
    assert seen.all(b"authorization") == [b"Basic " + pair]


def test_a_key_and_the_consumers_own_copy_of_its_field_ends_at_the_gateway(estate: Estate) -> None:
    path = estate.plain.at(response())
    assert estate.get(f"/lab{path}", **{"X-Lab-Key": "mine"})[0] == 200
    (seen,) = estate.plain.requests(path)
    assert seen.all(b"x-lab-key") == [SECRETS["LAB_KEY"].encode()]
    assert seen.all(b"authorization") == []


def test_an_hmac_of_its_own_for_every_request_that_a_real_mesh_takes(estate: Estate) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: estate.get("/mesh/X26ABC1/inbox", Accept="application/vnd.mesh.v2+json"), range(16)))
    assert {status for status, _, _ in answers} == {200}
    assert all("messages" in json.loads(body) for _, _, body in answers)
    status, _, body = estate.get("/mesh/X26ABC2/inbox", Accept="application/vnd.mesh.v2+json")
    assert status in (400, 403, 417), "the mailbox is another's"
    assert SECRETS["MESH_KEY"].encode() not in body


def test_one_token_of_the_back_ends_own_authorization_server_serves_all_and_is_renewed_in_time(estate: Estate) -> None:
    path = estate.plain.at(response(200, b"provided"))
    issued = len(estate.provider.events(kind="token.issued"))
    with ThreadPoolExecutor(8) as pool:
        assert {each[::2] for each in pool.map(lambda _: estate.get(f"/provided{path}"), range(24))} == {(200, b"provided")}
    assert len(estate.plain.requests(path)) == 24
    first = len(estate.provider.events(kind="token.issued")) - issued
    assert first <= 2, "a token lives for six seconds"
    time.sleep(6.1)
    assert estate.get(f"/provided{path}")[0] == 200
    assert len(estate.provider.events(kind="token.issued")) > issued + first
    assert all(seen.all(b"authorization") == [] for seen in estate.plain.requests(path)), (
        "that token ended at the provider's gateway"
    )


def test_a_token_that_the_back_end_takes_no_more_is_replaced_once(estate: Estate) -> None:
    path = estate.plain.at(response(200, b"provided"))
    assert estate.get(f"/provided{path}")[0] == 200
    assert estate.provider.run("token", "revoke", "--application", "gateway").returncode == 0
    time.sleep(1.5)  # a running process knows it within a second
    issued = len(estate.provider.events(kind="token.issued"))
    reached = len(estate.plain.requests(path))
    assert estate.get(f"/provided{path}")[::2] == (200, b"provided")
    assert len(estate.provider.events(kind="token.issued")) == issued + 1
    assert len(estate.plain.requests(path)) == reached + 1


def test_an_authorization_server_that_is_away_is_the_providers_fault_and_ends_when_it_is_back(estate: Estate) -> None:
    path = estate.plain.at(response())
    estate.provider.stop()
    time.sleep(6.1)
    status, headers, body = estate.get(f"/provided{path}")
    said = json.loads(body)
    assert (status, said["code"], said["party"], headers["retry-after"]) == (503, "SERVICE_UNAVAILABLE", "provider", "1")
    assert "authorization server" in said["detail"]
    assert estate.plain.requests(path) == []
    estate.provider.start()
    time.sleep(1.1)
    assert estate.get(f"/provided{path}")[0] == 200


def test_what_the_back_end_does_not_accept_is_no_401_of_the_consumers(estate: Estate) -> None:
    path = estate.plain.at(response(401, b"no", ("WWW-Authenticate", "Basic")))
    status, headers, body = estate.get(f"/booked{path}")
    assert (status, json.loads(body)["party"]) == (502, "provider")
    assert "www-authenticate" not in headers
    assert len(estate.plain.requests(path)) == 1, "there was nothing newer to present"


def counting() -> Callable[..., object]:
    """Opens a session for whoever has none, and says how often it has seen each."""
    sessions: dict[bytes, int] = {}

    async def answer(seen: Seen, reader: object, writer: object) -> None:
        cookies = seen.all(b"cookie")
        known = re.search(rb"SID=(\d+)", cookies[0]) if cookies else None
        id_ = known[1] if known is not None else b"%d" % (len(sessions) + 1)
        sessions[id_] = sessions.get(id_, 0) + 1
        fields = () if known is not None else (("Set-Cookie", f"SID={id_.decode()}; Path=/; HttpOnly"),)
        writer.write(response(200, b"%b:%d" % (id_, sessions[id_]), *fields))  # type: ignore[attr-defined]

    return answer


def test_each_consumer_has_a_session_of_its_own_and_never_sees_its_cookie(estate: Estate) -> None:
    path = estate.plain.at(counting())  # type: ignore[arg-type]
    for application, said in (("ward", b"1:1"), ("second", b"2:1"), ("ward", b"1:2"), ("second", b"2:2"), ("ward", b"1:3")):
        status, headers, body = estate.get(f"/sessions{path}", application, Cookie="SID=999")
        assert (status, body) == (200, said)
        assert "set-cookie" not in headers
    assert estate.gateway.run("reload").returncode == 0
    assert estate.get(f"/sessions{path}")[2] == b"1:4", "a reload keeps sessions"


def test_a_renewed_certificate_is_presented_after_a_reload_without_a_restart(estate: Estate) -> None:
    path = estate.tls.at(response())
    folder = estate.gateway.folder / "tls"
    kept = {name: (folder / name).read_bytes() for name in ("gateway.pem", "gateway.key.pem")}
    for name in kept:
        (folder / name).write_bytes((folder / name.replace("gateway", "renewed")).read_bytes())
    try:
        assert estate.gateway.run("reload").returncode == 0
        until = time.monotonic() + 5
        while True:
            assert estate.get(f"/theatre{path}")[0] == 200
            if estate.tls.requests(path)[-1].peer == "fiveways.renewed":
                break
            assert time.monotonic() < until
    finally:
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        assert estate.gateway.run("reload").returncode == 0


def test_a_certificate_that_will_expire_raises_an_alert_and_a_renewed_one_ends_it(estate: Estate, certificates: Path) -> None:
    folder, clock = estate.gateway.folder / "tls", SystemClock()
    kept = (folder / "gateway.pem").read_bytes()
    made = issue_client(make_authority("Elsewhere", clock), clock, name="soon", valid=timedelta(days=3)).write(folder, "soon")
    (folder / "gateway.pem").write_bytes(made[0].read_bytes())
    try:
        _told(estate, r'"rule": "certificate", "subject": "API theatre", "state": "raised".*gateway.pem. expires on')
    finally:
        (folder / "gateway.pem").write_bytes(kept)
    _told(estate, r'"rule": "certificate", "subject": "API theatre", "state": "cleared"')


def _told(estate: Estate, pattern: str) -> None:
    until = time.monotonic() + 12
    while not re.search(pattern, estate.gateway.log):
        assert time.monotonic() < until, estate.gateway.log[-2000:]
        time.sleep(0.1)


def test_no_secret_is_in_the_log_or_the_audit(estate: Estate) -> None:
    told = estate.gateway.log + json.dumps(estate.gateway.events())
    for secret in (SECRETS["THEATRE_PASSWORD"], SECRETS["LAB_KEY"], SECRETS["MESH_KEY"], "PRIVATE KEY"):
        assert secret not in told


def test_the_debt_of_every_wrapper_is_in_the_register(estate: Estate) -> None:
    shown = json.loads(estate.gateway.run("debt", "--json").stdout)
    assert {each["api"] for each in shown} == {"theatre", "booked", "lab", "mesh", "provided", "sessions"}
    assert all((each["owner"], each["pattern"]) == ("Theatre systems", "wrapper") for each in shown)
    assert "2199-01-01" in estate.gateway.run("debt").stdout
    checked = estate.gateway.run("check")
    assert checked.returncode == 0, checked.stdout
    text = estate.gateway.file.read_text()
    try:
        estate.gateway.file.write_text(text.replace(f", {DEBT}", "", 1))
        refused = estate.gateway.run("check")
        assert (refused.returncode, "GW05 apis.theatre" in refused.stdout) == (1, True)
        estate.gateway.file.write_text(text.replace("2199-01-01", "2020-01-01", 1))
        assert estate.gateway.run("check").returncode == 1
        assert estate.gateway.run("debt").returncode == 1
    finally:
        estate.gateway.file.write_text(text)


@pytest.mark.parametrize(
    ("api", "mistake"),
    [
        ("pattern: wrapper, target: {url: 'http://b'}", "a wrapper presents something"),
        ("pattern: pass-through, target: {url: 'http://b'}, present: {api_key: {key: env:A}}", "present is for pattern: wrapper"),
        (
            (
                "pattern: wrapper, target: {url: 'http://b'}, present: "
                "{basic: {user: a, password: env:A}, nhsmesh: {mailbox: A, password: env:A, shared_key: env:A}}"
            ),
            "a request has one Authorization",
        ),
        ("pattern: wrapper, target: {url: 'http://b'}, present: {basic: {user: 'a:b', password: env:A}}", "basic.user"),
        ("pattern: wrapper, target: {url: 'http://b'}, present: {api_key: {header: 'a b', key: env:A}}", "api_key.header"),
    ],
)
def test_a_wrapper_that_cannot_be_is_refused_where_it_stands(serve: Serve, api: str, mistake: str) -> None:
    with serve(f"apis: {{a: {{{api}, at: /a, security: [open]}}}}\n", started=False) as served:
        refused = served.run("check")
        assert refused.returncode == 1
        assert mistake in refused.stdout + refused.stderr
