"""Two platforms over one store act as one: tokens, replays, quotas, repeats and the audit are shared (S27, A25)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from fiveways.demo.backend import Backend
from fiveways.demo.stage import token_form
from fiveways.ledger.audit.verify import verify
from fiveways.platform.app import app
from fiveways.platform.listeners import PlainListener
from fiveways.platform.platform import Platform
from fiveways.security.making import make_key

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8080"
DEPLOYMENT = """
store: {{url: "{url}"}}
organisations: {{RXN: {{name: Northshire}}}}
applications: {{ward: {{organisation: RXN, jwks: "file:keys/ward.jwks.json", products: [all]}}}}
products: {{all: {{apis: [patients], quota: 6/d}}}}
apis:
  patients:
    pattern: pass-through
    at: /fhir
    target: {{url: "http://127.0.0.1:{port}/FHIR/R4"}}
    model: {{fhir: {{version: R4}}}}
    security: [signed-jwt]
    operations: [{{match: Patient.create, idempotent: false, deduplicate: {{}}}}]
"""


@dataclass
class Nodes:
    """Two nodes' clients, what stands behind, and the folder of each."""

    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
    platforms: tuple[Platform, Platform]
    backend: Backend
    folder: Path

    async def token(self, node: int, form: bytes | None = None) -> httpx.Response:
        """Ask a node for a token."""
        form = form or token_form(BASE, self.folder / "keys", "ward")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.clients[node].post("/oauth2/token", content=form, headers=headers)


@pytest.fixture
async def nodes(url: str, tmp_path: Path) -> AsyncIterator[Nodes]:
    make_key(tmp_path / "keys", "ward")
    backend = Backend()
    async with AsyncExitStack() as stack:
        listener = PlainListener(("127.0.0.1", 0), backend.app)
        await listener.start()
        stack.push_async_callback(listener.stop)
        file = tmp_path / "deployment.yaml"
        file.write_text(DEPLOYMENT.format(url=url, port=listener.port))
        shared = tmp_path / "shared-keys"
        shared.mkdir(mode=0o700)
        platforms, clients = [], []
        for name in ("one", "two"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / "keys").symlink_to(shared)
            platform = await Platform.open(file, tmp_path / name, node=name)
            stack.push_async_callback(platform.close)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app(platform)), base_url=BASE)
            platforms.append(platform)
            clients.append(await stack.enter_async_context(client))
        yield Nodes((clients[0], clients[1]), (platforms[0], platforms[1]), backend, tmp_path)


async def test_an_assertion_is_used_once_on_all_nodes(nodes: Nodes) -> None:
    form = token_form(BASE, nodes.folder / "keys", "ward")
    assert (await nodes.token(0, form)).status_code == 200
    again = await nodes.token(1, form)
    assert (again.status_code, again.json()["error_description"]) == (400, "Non-unique 'jti' claim in client_assertion JWT")


async def test_a_quota_is_one_for_all_nodes(nodes: Nodes) -> None:
    bearer = {"authorization": f"Bearer {(await nodes.token(0)).json()['access_token']}"}
    statuses = [(await nodes.clients[turn % 2].get("/fhir/Patient?family=Khan", headers=bearer)).status_code for turn in range(14)]
    assert statuses == [200] * 6 + [429] * 8


async def test_a_repeat_at_the_other_node_gets_the_first_answer(nodes: Nodes) -> None:
    headers = {
        "authorization": f"Bearer {(await nodes.token(1)).json()['access_token']}",
        "x-request-id": str(uuid4()),
        "x-correlation-id": str(uuid4()),
    }
    body = b'{"resourceType": "Patient"}'
    first = await nodes.clients[0].post("/fhir/Patient", headers=headers, content=body)
    second = await nodes.clients[1].post("/fhir/Patient", headers=headers, content=body)
    assert (first.status_code, second.status_code, nodes.backend.created) == (201, 201, 1)
    assert first.content == second.content
    for platform in nodes.platforms:
        await platform.ledger.audit.flush()
    events = await nodes.platforms[0].ledger.audit.trace(headers["x-correlation-id"])
    assert [(event.status, (event.details or {}).get("duplicate")) for event in events] == [(201, None), (201, True)]


async def test_a_token_revoked_at_one_node_is_refused_by_the_other(nodes: Nodes) -> None:
    token = (await nodes.token(0)).json()["access_token"]
    form = token_form(BASE, nodes.folder / "keys", "ward") + b"&token=" + token.encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await nodes.clients[0].post("/oauth2/revoke", content=form, headers=headers)).status_code == 200
    await nodes.platforms[1].foundation.revocations.refresh()
    assert (await nodes.clients[1].get("/fhir/Patient", headers={"authorization": f"Bearer {token}"})).status_code == 401


async def test_each_node_vouches_for_its_own_chain(nodes: Nodes) -> None:
    await nodes.token(0)
    await nodes.token(1)
    chains = [platform.ledger.audit.chain for platform in nodes.platforms]
    database = nodes.platforms[0].foundation.database
    for platform in nodes.platforms:
        await platform.ledger.audit.flush()
    elsewhere = [chain for chain in chains if chain != chains[0]]
    report = await verify(database, nodes.folder / "one", elsewhere=elsewhere)
    assert report.ok, report.findings
    assert report.events > 0
