"""People who sign in are signed in on every node: whichever is asked, and whichever falls away (S35)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests.acceptance.people.issuer import CIS2, Issuer

from fiveways.platform.app import app
from fiveways.platform.platform import Platform
from fiveways.security.apikeys import stored_form
from fiveways.security.making import make_key

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8080"
BACK = "http://127.0.0.1:9/signed-in"
DEPLOYMENT = """
store: {{url: "{url}"}}
identity: {{providers: {{cis2: {{issuer: "{issuer}", kind: nhs-cis2, client: {{id: fiveways, secret: "file:secret"}}}}}}}}
organisations: {{RXN: {{name: Northshire}}}}
applications:
  ward: {{organisation: RXN, client_secrets: ["{secret}"], redirect_uris: ["{back}"], products: [all]}}
products: {{all: {{apis: [patients]}}}}
apis:
  patients:
    pattern: pass-through
    at: /fhir
    target: {{url: "http://127.0.0.1:9"}}
    security: [{{user_restricted: {{provider: cis2, assurance: aal3, role: none}}}}]
"""


@pytest.fixture
def issuer() -> Any:
    made = Issuer(CIS2)
    yield made
    made.stop()


@pytest.fixture
async def nodes(url: str, tmp_path: Path, issuer: Issuer) -> AsyncIterator[tuple[list[httpx.AsyncClient], list[Platform]]]:
    make_key(tmp_path / "keys", "ward")
    (tmp_path / "secret").write_text("ours")
    file = tmp_path / "deployment.yaml"
    file.write_text(DEPLOYMENT.format(url=url, issuer=issuer.url, back=BACK, secret=stored_form(b"secret")))
    shared = tmp_path / "shared-keys"
    shared.mkdir(mode=0o700)
    async with AsyncExitStack() as stack:
        platforms, clients = [], []
        for name in ("one", "two"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / "keys").symlink_to(shared)
            platform = await Platform.open(file, tmp_path / name, node=name)
            stack.push_async_callback(platform.close)
            platforms.append(platform)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app(platform)), base_url=BASE)
            clients.append(await stack.enter_async_context(client))
        yield clients, platforms


def query(answer: httpx.Response) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def test_a_sign_in_goes_from_node_to_node(nodes: tuple[list[httpx.AsyncClient], list[Platform]], issuer: Issuer) -> None:
    (one, two), platforms = nodes
    asked = {"client_id": "ward", "redirect_uri": BACK, "response_type": "code", "state": "s"}
    sent = await one.get("/oauth2/authorize", params=asked)
    question = query(sent)
    two.cookies.update(one.cookies)
    said = {"code": await asyncio.to_thread(issuer.code, question), "state": question["state"], "iss": issuer.url}
    back = await two.get("/oauth2/callback", params=said)
    again = await one.get("/oauth2/callback", params=said)
    assert (back.status_code, again.status_code) == (302, 400), "a state is used once on all nodes"

    client = {"client_id": "ward", "client_secret": "secret"}
    code = {**client, "grant_type": "authorization_code", "redirect_uri": BACK, "code": query(back)["code"]}
    first = (await one.post("/oauth2/token", data=code)).json()
    renewed = await two.post(
        "/oauth2/token", data={**client, "grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    )
    assert renewed.json()["refresh_count"] == "1"
    tokens = [first["access_token"], renewed.json()["access_token"]]

    async def statuses() -> list[int]:
        """What each node answers to each token: 502 where it lets it through, to a back end that is not there."""
        bearers = [{"authorization": f"Bearer {token}"} for token in tokens]
        return [(await node.get("/fhir/Patient/1", headers=bearer)).status_code for node in (one, two) for bearer in bearers]

    assert await statuses() == [502] * 4
    reused = await one.post(
        "/oauth2/token", data={**client, "grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    )
    assert reused.json()["error_description"] == "refresh_token is invalid"
    for platform in platforms:
        await platform.foundation.revocations.refresh()
    assert await statuses() == [401] * 4


async def test_of_two_nodes_one_redeems_a_code(nodes: tuple[list[httpx.AsyncClient], list[Platform]], issuer: Issuer) -> None:
    clients, _ = nodes
    asked = {"client_id": "ward", "redirect_uri": BACK, "response_type": "code", "state": "s"}
    question = query(await clients[0].get("/oauth2/authorize", params=asked))
    said = {"code": await asyncio.to_thread(issuer.code, question), "state": question["state"], "iss": issuer.url}
    code = query(await clients[0].get("/oauth2/callback", params=said))["code"]
    form = {
        "grant_type": "authorization_code", "redirect_uri": BACK, "code": code, "client_id": "ward", "client_secret": "secret",
    }  # fmt: skip
    answers = await asyncio.gather(*(client.post("/oauth2/token", data=form) for client in clients * 2))
    assert sum(answer.status_code == 200 for answer in answers) <= 1
    assert {answer.status_code for answer in answers} <= {200, 400}
