"""Two platforms over one store: a mailbox that is registered at one is used at the other within a second, without being asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.acceptance.conftest import hashed
from tests.acceptance.messaging.wire import V2, token

from fiveways.clock import ManualClock, SystemClock
from fiveways.methods.messaging.registry import Registry
from fiveways.platform.app import app
from fiveways.platform.platform import Platform
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio

KEY = "fwk_administration-key-of-the-tests-0000000000"
PASSWORD = "set at one node"
DEPLOYMENT = """
store: {{url: "{url}"}}
messaging: {{shared_key: env:MESH_KEY, open_workflows: true}}
administration: {{keys: ["{key}"]}}
"""


@pytest.fixture
async def nodes(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    """Clients of two nodes."""
    monkeypatch.setenv("MESH_KEY", "TestKey")
    file = tmp_path / "deployment.yaml"
    file.write_text(DEPLOYMENT.format(url=url, key=hashed(KEY)))
    shared = tmp_path / "shared-keys"
    shared.mkdir(mode=0o700)
    async with AsyncExitStack() as stack:
        clients = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / "keys").symlink_to(shared)
            platform = await Platform.open(file, tmp_path / name, node=name)
            stack.push_async_callback(platform.close)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app(platform)), base_url="http://127.0.0.1:8080")
            clients.append(await stack.enter_async_context(client))
        yield tuple(clients)


async def used(node: httpx.AsyncClient, mailbox: str, password: str = PASSWORD) -> bool:
    """Whether a mailbox can be used at a node."""
    headers = {"authorization": token(mailbox, password=password), "accept": V2}
    return (await node.get(f"/messageexchange/{mailbox}/inbox", headers=headers)).status_code == 200


async def within(seconds: float, node: httpx.AsyncClient, mailbox: str, password: str, wanted: bool) -> bool:
    """Whether it comes to be that a mailbox can be used, or no longer, in time."""
    until = time.monotonic() + seconds
    while await used(node, mailbox, password) != wanted:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_what_is_changed_at_one_node_holds_at_the_other_within_a_second(nodes: tuple[httpx.AsyncClient, ...]) -> None:
    one, two = nodes
    admin = {"apikey": KEY}
    said = {"organisation": "X26", "password": PASSWORD}
    assert (await one.put("/_admin/mailboxes/NEW", json=said, headers=admin)).status_code == 201
    assert await used(one, "NEW"), "here it is in force when it is answered"
    assert await within(2, two, "NEW", PASSWORD, True)
    assert (await two.patch("/_admin/mailboxes/NEW", json={"password": "set at another"}, headers=admin)).status_code == 200
    assert await within(2, one, "NEW", "set at another", True)
    assert not await used(one, "NEW", PASSWORD)
    message = {"authorization": token("NEW", password="set at another"), "mex-to": "NEW", "mex-workflowid": "W", "accept": V2}
    assert (await one.post("/messageexchange/NEW/outbox", content=b"x", headers=message)).status_code == 202
    assert (await one.delete("/_admin/mailboxes/NEW", headers=admin)).status_code == 204
    assert await within(2, two, "NEW", "set at another", False)


async def test_an_administrator_sees_at_once_what_another_has_done_elsewhere(nodes: tuple[httpx.AsyncClient, ...]) -> None:
    one, two = nodes
    said = {"organisation": "X26", "password": PASSWORD}
    for number in range(6):
        here, there = (one, two) if number % 2 else (two, one)
        path = f"/_admin/mailboxes/NEW{number}"
        assert (await here.put(path, json=said, headers={"apikey": KEY})).status_code == 201
        assert (await there.put(path, json=said, headers={"apikey": KEY})).status_code == 200
        assert (await here.get(path, headers={"apikey": KEY})).json()["version"] == 2
    listed = (await one.get("/_admin/mailboxes", headers={"apikey": KEY})).json()
    assert [each["id"] for each in listed["mailboxes"]] == [f"NEW{number}" for number in range(6)]


async def test_nodes_whose_clocks_are_hours_apart_miss_nothing_of_each_other(database: Database, group: GroupWriter) -> None:
    now = SystemClock().now()
    clocks = [ManualClock(now + timedelta(hours=hours)) for hours in (0, -3, 5)]
    registries = [Registry(database, group, LocalBus(), clock) for clock in clocks]
    for round_ in range(3):
        for number, registry in enumerate(registries):
            assert await registry.write("mailbox", f"M{round_}{number}", b"{}", None, seen=None, attest=lambda: lambda made: None)
        assert await registries[round_].write("mailbox", "M00", b"1", None, seen=1 + round_, attest=lambda: lambda made: None)
        for registry in registries:
            await registry.refresh()
    known = [sorted((entry.id, entry.version, entry.content) for entry in registry.all("mailbox")) for registry in registries]
    assert known[0] == known[1] == known[2]
    assert len(known[0]) == 9
    assert known[0][0] == ("M00", 4, b"1")
