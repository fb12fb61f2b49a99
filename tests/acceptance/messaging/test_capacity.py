"""What a receiver cannot take waits in its mailbox: two nodes over one PostgreSQL, and the real mesh-client (A24)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mesh_client import MeshClient
from requests import HTTPError
from tests.acceptance.conftest import Serve, Served
from tests.acceptance.messaging.wire import KEY, V1, V2, Wire
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

from fiveways.errors import DeploymentError
from fiveways.platform.model import load

DEPLOYMENT = """\
store: {{url: "{url}", payloads: "{payloads}"}}
messaging: {{shared_key: env:MESH_KEY, open_workflows: true}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  DAILY: {{organisation: X26, password: env:MESH_PASSWORD, takes: {{rate: 5/d}}}}
  STEADY: {{organisation: X26, password: env:MESH_PASSWORD, takes: {{rate: 2/s}}}}
  THREE: {{organisation: X26, password: env:MESH_PASSWORD, takes: {{at_once: 3}}}}
  TWELVE: {{organisation: X26, password: env:MESH_PASSWORD, takes: {{at_once: 12}}}}
"""
ENVIRONMENT = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password"}
Open = Callable[..., MeshClient]


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox: every test has a mailbox of its own."""


@pytest.fixture(scope="module")
def nodes(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Served]]:
    """Two nodes."""
    text = DEPLOYMENT.format(url=postgres(), payloads=f"file://{tmp_path_factory.mktemp('shared')}/payloads")
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        both = [stack.enter_context(serve(text, "--node", name, started=False, environment=ENVIRONMENT)) for name in ("one", "two")]
        list(starting.map(Served.start, both))
        yield both


@pytest.fixture
def mesh(nodes: list[Served]) -> Iterator[Open]:
    """Opens mesh-client on a mailbox at a node."""
    with ExitStack() as stack:

        def open_(mailbox: str, node: int = 0, **options: Any) -> MeshClient:
            made = MeshClient(nodes[node].url, mailbox, "password", shared_key=KEY, **{"max_chunk_size": 5, **options})
            stack.callback(made.close)
            return made

        yield open_


def sent(mesh: Open, to: str, number: int, workflow: str = "NOTE") -> list[str]:
    ward = mesh("WARD")
    return [ward.send_message(to, b"x", workflow_id=workflow) for _ in range(number)]


def test_an_inbox_shows_what_its_receiver_takes_at_once_in_order_of_arrival(mesh: Open) -> None:
    ids = sent(mesh, "THREE", 7)
    receiver, elsewhere = mesh("THREE"), mesh("THREE", node=1)
    assert receiver.list_messages() == elsewhere.list_messages() == ids[:3]
    with pytest.deprecated_call():
        assert receiver.count_messages() == 7, "the rest waits, and is counted"
    elsewhere.acknowledge_message(ids[1])
    assert receiver.list_messages() == elsewhere.list_messages() == [ids[0], ids[2], ids[3]]
    collected = []
    for message in receiver.iterate_all_messages():
        with message:
            collected.append(message.id())
    assert collected == [ids[0], *ids[2:]]
    assert elsewhere.list_messages() == []


def test_pages_and_filters_go_through_what_is_shown(mesh: Open, nodes: list[Served]) -> None:
    notes, others = sent(mesh, "TWELVE", 20), sent(mesh, "TWELVE", 2, "OTHER")
    wire = Wire(nodes[1].url)
    first = wire("GET", "/messageexchange/TWELVE/inbox?max_results=10", "TWELVE", accept=V2).json()
    assert (first["messages"], first["approx_inbox_count"]) == (notes[:10], 22)
    second = wire("GET", first["links"]["next"], "TWELVE", accept=V2).json()
    assert second["messages"] == notes[10:12]
    third = wire("GET", second["links"]["next"], "TWELVE", accept=V2).json()
    assert third["messages"] == [], "the rest comes once some are acknowledged"
    assert "next" not in third["links"]
    older = wire("GET", "/messageexchange/TWELVE/inbox?max_results=10", "TWELVE", accept=V1).json()
    behind = f"/messageexchange/TWELVE/inbox?max_results=10&continue_from={older['messages'][-1]}"
    assert wire("GET", behind, "TWELVE", accept=V1).json()["messages"] == notes[10:12]
    receiver = mesh("TWELVE")
    assert receiver.list_messages(workflow_filter="OTHER") == others, "what nobody reads of one workflow does not hide another"
    assert receiver.list_messages(workflow_filter="!OTHER") == notes[:12]
    assert receiver.list_messages(workflow_filter="NO*") == notes[:12]
    wire.close()


def test_two_nodes_hand_out_of_one_rate_and_the_rest_waits(mesh: Open, nodes: list[Served]) -> None:
    ids = sent(mesh, "DAILY", 3)
    both = [mesh("DAILY", node=node, max_retries=0) for node in (0, 1)]
    for turn in range(5):
        assert both[turn % 2].retrieve_message(ids[turn % 3]).read() == b"x"
    for receiver in both:
        with pytest.raises(HTTPError, match="429"):
            receiver.retrieve_message(ids[0])
        assert receiver.list_messages() == ids, "looking costs nothing, and nothing is lost"
    wire = Wire(nodes[0].url)
    for accept in (V2, V1):
        refused = wire("GET", f"/messageexchange/DAILY/inbox/{ids[0]}", "DAILY", accept=accept)
        assert refused.status == 429
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        body = refused.json()
        text = body["detail"][0]["msg"] if accept == V2 else body["errorDescription"]
        assert text.startswith("The mailbox takes 5/d: the message waits")
        assert wire("HEAD", f"/messageexchange/DAILY/inbox/{ids[0]}", "DAILY", accept=accept).status == 200
    assert wire("GET", f"/messageexchange/DAILY/inbox/{'0' * 20}_000000", "DAILY", accept=V2).status == 404
    wire.close()
    both[0].acknowledge_message(ids[0])
    assert both[1].list_messages() == ids[1:]


def test_mesh_client_waits_as_it_is_told_and_collects_everything(mesh: Open) -> None:
    ids = sent(mesh, "STEADY", 6)
    began = time.monotonic()
    collected = []
    for message in mesh("STEADY").iterate_all_messages():
        with message:
            collected.append((message.id(), message.read()))
    assert collected == [(id_, b"x") for id_ in ids]
    assert time.monotonic() - began > 1.5, "two at once, and four more at two a second"


def test_later_chunks_and_other_mailboxes_take_no_permits(mesh: Open) -> None:
    """Three messages of three chunks each, where two a second are taken: nine permits would take four seconds."""
    ward = mesh("WARD")
    ids = [ward.send_message("STEADY", b"123456789012345", workflow_id="NOTE") for _ in range(3)]
    plain = [ward.send_message("WARD", b"x", workflow_id="NOTE") for _ in range(20)]
    began = time.monotonic()
    steady = mesh("STEADY")
    assert [steady.retrieve_message(id_).read() for id_ in ids] == [b"123456789012345"] * 3
    assert time.monotonic() - began < 3
    assert [ward.retrieve_message(id_).read() for id_ in plain] == [b"x"] * 20


def test_what_a_receiver_takes_is_a_rate_and_a_number(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    text = DEPLOYMENT.format(url="sqlite:///x.db", payloads="memory://")
    file.write_text(text.replace("at_once: 12", "at_once: 0").replace("rate: 2/s", "rate: 2"))
    with pytest.raises(DeploymentError) as caught:
        load(file)
    assert "deployment.yaml:7" in str(caught.value)
    assert "deployment.yaml:9" in str(caught.value)
