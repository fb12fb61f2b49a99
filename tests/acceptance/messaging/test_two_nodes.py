"""Two nodes of `fiveways serve` over one PostgreSQL and one payload store are one service, whoever of them is killed (A10, A25).

The same with a single node on SQLite. Real clients, real processes, SIGKILL.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.acceptance.conftest import Serve, Served, free_port
from tests.acceptance.messaging.load import Load, client, proves
from tests.acceptance.messaging.wire import V2, Wire, token
from tests.contract.conftest import postgres  # noqa: F401 - a fixture
from tests.unit.store.test_payloads import s3  # noqa: F401 - a fixture

RECIPIENTS = ["SURGERY", "CLINIC"]
KEY = b"SharedKey"
ENVIRONMENT = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
DEPLOYMENT = """\
store: {{url: "{url}", payloads: "{payloads}"}}
messaging: {{shared_key: env:MESH_KEY, open_workflows: true{more}}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  SURGERY: {{organisation: X26, password: env:MESH_PASSWORD}}
  CLINIC: {{organisation: X26, password: env:MESH_PASSWORD}}
"""
Nodes = list[Served]


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox: each test has a store of its own."""


@contextmanager
def running(serve: Serve, names: list[str], url: str, payloads: str, more: str = "") -> Iterator[Nodes]:
    """Nodes that share a database and a payload store, each with a data folder of its own, while the block lasts."""
    text = DEPLOYMENT.format(url=url, payloads=payloads, more=more)
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        nodes = []
        for name in names:
            at = f"127.0.0.1:{free_port()}"
            nodes.append(stack.enter_context(serve(text, "--node", name, http=at, started=False, environment=ENVIRONMENT)))
        list(starting.map(Served.start, nodes))
        yield nodes


@pytest.fixture(scope="module")
def nodes(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nodes]:
    """Two, on PostgreSQL and a folder that both see. Whoever kills one starts it again; every test empties the inboxes it fills."""
    with running(serve, ["one", "two"], postgres(), f"file://{tmp_path_factory.mktemp('shared')}/payloads") as both:
        yield both


def kill_in_turn(nodes: Nodes, rounds: int) -> None:
    """kill -9, a moment's rest, and up again; one node after the other."""
    for turn in range(rounds):
        time.sleep(0.8)
        node = nodes[turn % len(nodes)]
        node.stop(signal.SIGKILL)
        time.sleep(0.2)
        node.start()
    time.sleep(0.3)


def test_what_is_sent_to_one_node_is_collected_from_the_other(nodes: Nodes) -> None:
    one, two = (node.url for node in nodes)
    contents = [b"small", os.urandom(150_000), os.urandom(350_000)]
    with client(one, "WARD") as ward, client(two, "SURGERY") as surgery, client(one, "SURGERY") as back:
        sent = [ward.send_message("SURGERY", content, workflow_id="NOTE") for content in contents]
        assert surgery.list_messages() == back.list_messages() == sent
        assert [surgery.retrieve_message(id_).read() for id_ in sent] == contents
        for number, id_ in enumerate(sent, 1):
            (surgery, back)[number % 2].acknowledge_message(id_)
            assert surgery.list_messages() == back.list_messages() == sent[number:]
            assert ward.track_message(message_id=id_)["status"] == "acknowledged"


def test_chunks_of_one_message_may_go_to_both(nodes: Nodes) -> None:
    pieces = [os.urandom(100_000) for _ in range(6)]
    with client(nodes[0].url, "WARD") as one, client(nodes[1].url, "WARD") as two, client(nodes[1].url, "SURGERY") as surgery:
        id_ = one.send_chunk("SURGERY", pieces[0], 1, 6, workflow_id="NOTE").json()["message_id"]
        for number in (6, 2, 4, 3, 5):
            assert surgery.list_messages() == []
            (two, one)[number % 2].send_chunk("SURGERY", pieces[number - 1], number, 6, message_id=id_, workflow_id="NOTE")
        assert surgery.list_messages() == [id_]
        with surgery.retrieve_message(id_) as message:
            assert hashlib.sha256(message.read()).digest() == hashlib.sha256(b"".join(pieces)).digest()


def test_a_token_used_at_one_node_is_refused_by_the_other_even_if_the_first_died_at_once(nodes: Nodes) -> None:
    one, two = (Wire(node.url) for node in nodes)
    message = {"mex-to": "SURGERY", "mex-workflowid": "NOTE"}
    sending, listing = ({"authorization": token("WARD", key=KEY)} for _ in range(2))
    assert one("POST", "/messageexchange/WARD/outbox", accept=V2, headers={**message, **sending}, body=b"x").status == 202
    assert one("GET", "/messageexchange/WARD/inbox", accept=V2, headers=listing).status == 200
    nodes[0].stop(signal.SIGKILL)
    for method, path, said in (
        ("POST", "/messageexchange/WARD/outbox", {**message, **sending}),
        ("GET", "/messageexchange/WARD/inbox", sending),
        ("GET", "/messageexchange/WARD/count", listing),
    ):
        answer = two(method, path, accept=V2, headers=said, body=b"x" if method == "POST" else None)
        assert (answer.status, answer.json()["detail"][0]["msg"]) == (403, "Error Duplicated Authentication Token")
    assert two("GET", "/messageexchange/WARD/inbox", accept=V2, headers=listing).status == 200, "the client's own repeat"
    for each in (one, two):
        each.close()
    nodes[0].start()


def test_workers_of_both_nodes_report_each_message_that_nobody_collects_once(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path: Path,
) -> None:
    sent = [f"L{number}" for number in range(60)]
    with running(serve, ["one", "two"], postgres(), f"file://{tmp_path}/payloads", ", collect_within: 1s") as nodes:
        with client(nodes[0].url, "WARD") as one, client(nodes[1].url, "WARD") as two:
            for number, local_id in enumerate(sent):
                (one, two)[number % 2].send_message("SURGERY", b"x", workflow_id="NOTE", local_id=local_id)
        nodes[0].stop(signal.SIGKILL)
        nodes[0].start()
        until = time.monotonic() + 30
        while len(reports := reported(nodes[1])) < len(sent):
            assert time.monotonic() < until, f"{len(reports)} of {len(sent)} reported"
            time.sleep(0.1)
        time.sleep(1)
        assert Counter(reported(nodes[1])) == Counter(sent)


def reported(node: Served) -> list[str]:
    """The local ids of the messages that all reports to the sender are about; reports, too, expire."""
    wire = Wire(node.url)
    said = {"authorization": token("WARD", key=KEY)}
    found = wire("GET", "/messageexchange/WARD/inbox/rich?max_results=2000", accept=V2, headers=said).json()["messages"]
    wire.close()
    assert {each["message_type"] for each in found} <= {"REPORT"}
    return [each["local_id"] for each in found]


def outlives(nodes: Nodes, rounds: int) -> None:
    """Load goes on while nodes are killed in turn; then the account is drawn up."""
    load = Load([node.url for node in nodes], RECIPIENTS)
    try:
        kill_in_turn(nodes, rounds)
    finally:
        account = load.finish()
    proves(account)
    assert len(account.accepted) > 10 * rounds
    assert account.lost_answers, "nobody noticed that nodes were killed"


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_killing_either_node_loses_nothing_and_delivers_nothing_twice(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    s3: str,  # noqa: F811
    rounds: int,
) -> None:
    with running(serve, ["one", "two"], postgres(), s3) as nodes:
        outlives(nodes, rounds)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_killing_a_node_on_sqlite_loses_nothing_and_delivers_nothing_twice(serve: Serve, tmp_path: Path, rounds: int) -> None:
    with running(serve, ["one"], f"sqlite:///{tmp_path}/fiveways.db", f"file://{tmp_path}/payloads") as nodes:
        outlives(nodes, rounds)
