"""How soon a recipient collects its messages is observed: in the metrics, and for whoever looks the recipient up (A44)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
from mesh_client import MeshClient
from tests.acceptance.conftest import Serve
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import V1, V2, Wire

LOOKUP = "/messageexchange/endpointlookup/X27/RESTRICTED_WORKFLOW"


def found(sandbox: Sandbox, path: str = LOOKUP, accept: str = V2) -> dict[str, dict[str, Any]]:
    """What a lookup finds, by mailbox."""
    wire = Wire(sandbox.url)
    answer = wire("GET", path, accept=accept).json()
    wire.close()
    return {each.get("mailbox_id") or each["address"]: each for each in answer["results"]}


def sample(sandbox: Sandbox, name: str) -> float:
    lines = httpx.get(f"{sandbox.url}/metrics").text.splitlines()
    return float(next((line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")), 0))


def test_what_a_recipient_takes_to_collect_is_shown_in_metrics_and_to_those_who_look_it_up(
    sandbox: Sandbox, alice: MeshClient, client: Callable[..., MeshClient]
) -> None:
    bob = client("BOB")
    begun = time.time()
    for _ in range(3):
        alice.send_message("BOB", b"x", workflow_id="RESTRICTED_WORKFLOW")
    time.sleep(0.3)
    first, second, _ = bob.list_messages()
    for id_ in (first, first, second):
        bob.acknowledge_message(id_)
    took = time.time() - begun
    count = 'fiveways_messaging_collect_seconds_count{mailbox="BOB"}'
    assert sample(sandbox, count) == 2, "acknowledging again is no collection"
    assert 0.6 <= sample(sandbox, 'fiveways_messaging_collect_seconds_sum{mailbox="BOB"}') <= 2 * took
    looked_up: dict[str, Any] = {
        each["mailbox_id"]: each for each in alice.lookup_endpoint("X26", "RESTRICTED_WORKFLOW")["results"]
    }
    observed = looked_up["BOB"]["observed_collect"]
    assert found(sandbox, "/messageexchange/workflowsearch/RESTRICTED_WORKFLOW") == looked_up
    others = found(sandbox, "/messageexchange/workflowsearch/TEST_WORKFLOW2")
    assert others.keys() == {"X26ABC1", "X26ABC2", "X26ABC3"}
    assert "observed_collect" not in str(others), "nothing was observed of them"
    assert set(observed) == {"messages", "median_seconds", "p95_seconds", "since"}
    assert observed["messages"] == 2
    assert 0.3 <= observed["median_seconds"] <= observed["p95_seconds"] <= took
    assert begun - 1 <= time.mktime(time.strptime(observed["since"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert "observed_collect" not in str(found(sandbox, accept=V1)), "version 1's answer is as it was"


def test_how_full_inboxes_are_is_shown(serve: Serve) -> None:
    text = """
messaging: {shared_key: env:MESH_KEY, open_workflows: true}
organisations: {X26: {name: Northshire}}
mailboxes: {WARD: {organisation: X26, password: env:MESH_PASSWORD}, SURGERY: {organisation: X26, password: env:MESH_PASSWORD}}
"""
    with serve(text, environment={"MESH_KEY": "SharedKey", "MESH_PASSWORD": "password"}) as served:
        with MeshClient(served.url, "WARD", "password", shared_key=b"SharedKey") as ward:
            for _ in range(3):
                ward.send_message("SURGERY", b"x", workflow_id="NOTE")
        until = time.monotonic() + 25
        while 'fiveways_messaging_waiting{mailbox="SURGERY"} 3.0' not in (shown := served.call("GET", "/metrics").text):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert 'fiveways_messaging_oldest_waiting_seconds{mailbox="SURGERY"}' in shown
        assert 'fiveways_delivery_waiting{queue="messaging.webhook"} 0.0' in shown
