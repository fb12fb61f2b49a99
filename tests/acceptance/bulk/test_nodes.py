"""Two nodes over one PostgreSQL and one payload folder are one: a file that comes to either is seen and collected at both, nothing
is done twice, and a node that is killed under load loses nothing that it acknowledged."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest
from tests.acceptance.bulk.conftest import DEPLOYMENT, Estate, Partner, make_key
from tests.acceptance.conftest import Serve, free_port
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

FEEDS = """
  plain:
    from: northshire
    files: "*.csv"
    to: [{partner: southshire}]
    receipt: {folder: /receipts}
    records: {columns: {id: {type: integer, required: true}, word: {}}, unique: [id]}
    deliver_to: [{folder: "$out", batches: {records: 10}}]
  marked: {from: northshire, files: "*.csv", complete_when: {marker: "{name}.done"}}
"""


@dataclass
class Nodes:
    """The platform at each node, and what they share."""

    estates: list[Estate]
    out: Path
    folder: Path

    def ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database says."""
        return [tuple(row.values()) for row in self.estates[0].ask(question, *values)]

    def until(self, condition: Callable[[], object], seconds: float = 40) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, [estate.served.log[-1500:] for estate in self.estates]
            time.sleep(0.1)

    def states(self, name: str) -> list[str]:
        """The states of the transfers of a name."""
        asked = (
            "SELECT e.state FROM bulk_transfers t JOIN bulk_transfer_events e ON e.transfer = t.id WHERE t.name = $1 "
            "AND e.number = (SELECT max(number) FROM bulk_transfer_events WHERE transfer = t.id)"
        )
        return [row[0] for row in self.ask(asked, name)]


@pytest.fixture(scope="module")
def nodes(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nodes]:
    """Two nodes."""
    folder, names, url = tmp_path_factory.mktemp("nodes"), ("northshire", "southshire"), postgres()
    for name in names:
        make_key(folder / name)
    store = f"store: {{url: '{url}', payloads: 'file://{folder}/payloads'}}"
    feeds = Template(FEEDS).substitute(out=folder / "out")
    environment = {"PASSWORD": "a-password-of-the-tests", "FILES_KEY": "6b" * 32}
    with ExitStack() as stack:
        estates = []
        for node in ("one", "two"):
            said = {"store": store, "main": str(free_port()), "sftp": str(free_port()), "feeds": feeds}
            context = serve(
                Template(DEPLOYMENT).substitute(said), "--node", node, http="", environment=environment, started=False
            )  # fmt: skip
            served = stack.enter_context(context)
            for name in names:
                (served.folder / f"{name}.pub").write_bytes((folder / f"{name}.pub").read_bytes())
            partners = {name: Partner(name, folder / name, int(said["sftp"])) for name in names}
            estates.append(Estate(served, folder, partners, database=url))
        with ThreadPoolExecutor() as starting:
            list(starting.map(lambda estate: estate.served.start(), estates))
        yield Nodes(estates, folder / "out", folder)


def test_a_file_that_comes_to_one_node_is_everybody_s(nodes: Nodes) -> None:
    one, two = nodes.estates
    content = "id,word\n" + "".join(f"{number},{'x' * 100}\n" for number in range(1000))  # too large for a row
    file = one.file("a.csv", content)
    one.north.sftp(f"put {file} /plain/a.csv")
    got = nodes.folder / "got"
    two.north.sftp(f"get /plain/a.csv {got}")
    assert got.read_text() == content
    nodes.until(lambda: nodes.states("a.csv") == ["released"])
    two.south.sftp(f"get /plain/a.csv {got}")
    assert got.read_text() == content
    nodes.until(lambda: nodes.states("a.csv") == ["collected"])
    two.north.sftp(f"get /receipts/a.csv.receipt.jws {got}")
    transfer = nodes.ask("SELECT receipt FROM bulk_transfers WHERE name = 'a.csv'")[0][0]
    assert got.read_text() == transfer, "the receipt that was signed is the one that is kept"


def test_a_file_and_its_marker_may_come_to_different_nodes(nodes: Nodes) -> None:
    one, two = nodes.estates
    one.north.sftp(f"put {one.file('m.csv', 'id,marked')} /marked/m.csv")
    two.north.sftp(f"put {two.file('m.csv.done', '')} /marked/m.csv.done")
    nodes.until(lambda: nodes.states("m.csv") == ["released"])


def test_an_upload_that_was_cut_at_one_node_is_gone_on_with_at_the_other(nodes: Nodes) -> None:
    one, two = nodes.estates
    content = bytes(range(256)) * 4096 * 8
    file, got = one.file("cut", content), nodes.folder / "cut-got"
    client = subprocess.Popen(
        ["sftp", "-l", "40000", *one.north.options(), "-P", str(one.north.port), "-b", "-", "northshire@127.0.0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert client.stdin is not None
    client.stdin.write(f"put {file} /private/cut\n")
    client.stdin.close()
    time.sleep(1)
    client.kill()
    client.wait()
    nodes.until(lambda: "cut" in two.north.sftp("ls /private"))
    two.north.sftp(f"reput {file} /private/cut")
    one.north.sftp(f"get /private/cut {got}")
    assert got.read_bytes() == content


@pytest.mark.long
def test_a_node_killed_under_load_loses_nothing_and_nothing_is_done_twice(nodes: Nodes) -> None:
    names = [f"{number}-load.csv" for number in range(24)]
    bodies = {
        name: "id,word\n" + "".join(f"{number * 10_000 + row},x\n" for row in range(40)) for number, name in enumerate(names)
    }  # fmt: skip
    files = {name: nodes.estates[0].file(name, body) for name, body in bodies.items()}
    acknowledged: set[str] = set()

    def send(name: str) -> None:
        for turn in range(20):
            estate = nodes.estates[(int(name.split("-")[0]) + turn) % 2]
            if not estate.north.run_sftp(f"put {files[name]} /plain/{name}").returncode:
                acknowledged.add(name)
                return
            time.sleep(0.3)

    with ThreadPoolExecutor(4) as sending:
        sent = [sending.submit(send, name) for name in names]
        for node in (1, 0):
            time.sleep(1)
            nodes.estates[node].served.stop(signal.SIGKILL)
            time.sleep(0.2)
            nodes.estates[node].served.start()
        for each in sent:
            each.result()
    assert acknowledged == set(names)

    def done() -> bool:
        rows = nodes.ask("SELECT count(*) FROM bulk_batches WHERE delivered = 0")
        return not rows[0][0] and all("released" in nodes.states(name) for name in names)

    nodes.until(done, 60)
    judged = nodes.ask(
        "SELECT t.name, count(*) FROM bulk_transfers t JOIN bulk_transfer_events e ON e.transfer = t.id "
        "WHERE t.name LIKE '%-load.csv' AND e.happening = 'release' GROUP BY t.name"
    )
    assert sorted(judged) == sorted((name, 1) for name in names)
    released = nodes.ask(
        "SELECT t.id, t.name FROM bulk_transfers t JOIN bulk_transfer_events e ON e.transfer = t.id "
        "WHERE t.name LIKE '%-load.csv' AND e.happening = 'release'"
    )
    for id_, name in released:
        parts = sorted(nodes.out.glob(f"plain-{id_}-*.csv"))
        assert len(parts) == 4, (name, parts)
        assert "".join(part.read_text().removeprefix("id,word\n") for part in parts) == bodies[name].removeprefix("id,word\n")
    receipts = nodes.estates[0].north.sftp("ls /receipts")
    assert all(f"{name}.receipt.jws" in receipts for name in names)
