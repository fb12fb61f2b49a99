"""What a workflow declares of failure, as clients, operators and the audit see it (A45)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient
from tests.acceptance.conftest import Serve, Served, hashed
from tests.acceptance.messaging.wire import KEY, V1, V2, Wire

from fiveways.errors import DeploymentError
from fiveways.linter import lint
from fiveways.platform.model import load

ADMINISTRATOR = "fwk_administration-key-of-the-tests-0000000000"
DESK = "Integration desk, 020 7946 0000"
DEPLOYMENT = f"""\
messaging: {{shared_key: env:MESH_KEY, collect_within: 5d, keep: 30d}}
administration: {{keys: ["{hashed(ADMINISTRATOR)}"]}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  SURGERY: {{organisation: X26, password: env:MESH_PASSWORD}}
  DESK: {{organisation: X26, password: env:MESH_PASSWORD}}
workflows:
  LETTER: {{acknowledged_by: LETTER_ACK, correlated_by: message-header, need: {{intent: command, latency_budget: 2d}}}}
  LETTER_ACK: {{from: [SURGERY], to: [WARD]}}
  QUICK:
    from: [WARD]
    to: [SURGERY]
    undelivered_after: 1s
    failures: {{told: [DESK], worked_by: "{DESK}"}}
"""
ENVIRONMENT = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password"}
Open = Callable[[str], MeshClient]


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox."""


@pytest.fixture(scope="module")
def served(serve: Serve) -> Iterator[Served]:
    """A platform with a workflow whose messages expire in a second."""
    with serve(DEPLOYMENT, environment=ENVIRONMENT) as served:
        yield served


@pytest.fixture
def mesh(served: Served) -> Iterator[Open]:
    """Opens mesh-client on a mailbox."""
    with ExitStack() as stack:

        def open_(mailbox: str) -> MeshClient:
            made = MeshClient(served.url, mailbox, "password", shared_key=KEY)
            stack.callback(made.close)
            return made

        yield open_


def command(served: Served, *arguments: str) -> str:
    """What a command printed."""
    done = served.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reports(client: MeshClient, about: str, within: float = 15) -> list[Any]:
    """The reports about a message in a mailbox, waited for; everything there is acknowledged."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        found = []
        for message in client.iterate_all_messages():
            with message:
                found.append(message)
        about_it = [message for message in found if message.mex_header("linkedmsgid") == about]
        if about_it:
            return about_it
        time.sleep(0.1)
    raise AssertionError("nobody was told")


def test_a_message_expires_in_the_time_of_its_workflow_and_all_are_told(served: Served, mesh: Open) -> None:
    ward, surgery, desk = mesh("WARD"), mesh("SURGERY"), mesh("DESK")
    id_ = ward.send_message("SURGERY", b"x", workflow_id="QUICK", local_id="mine", subject="Letter")
    letter = ward.send_message("SURGERY", b"x", workflow_id="LETTER")
    for client, mailbox in ((ward, "WARD"), (desk, "DESK")):
        (report,) = reports(client, id_)
        assert (report.message_type, report.recipient, report.local_id) == ("REPORT", mailbox, "mine")
        said = (report.mex_header("statuscode"), report.mex_header("statusdescription"))
        assert said == ("14", "Message not collected by recipient after 1 second")
        assert report.subject == "NDR: Letter"
    assert surgery.list_messages() == [letter]
    assert ward.track_message(message_id=id_)["status"] == "undeliverable"
    surgery.acknowledge_message(letter)
    assert f"worked_by='{DESK}'" in served.log or json.dumps(DESK) in served.log


def test_whoever_asks_is_told_until_when_a_message_waits(served: Served, mesh: Open) -> None:
    ward = mesh("WARD")
    wire = Wire(served.url)
    for workflow, seconds in (("QUICK", 1), ("LETTER", 5 * 86_400)):
        id_ = ward.send_message("SURGERY", b"x", workflow_id=workflow)
        shown = wire("GET", f"/messageexchange/WARD/outbox/tracking?messageID={id_}", "WARD", accept=V2).json()
        assert _seconds(shown["upload_timestamp"], shown["expiry_time"]) == pytest.approx(seconds, abs=0.01)
        older = wire("GET", f"/messageexchange/WARD/outbox/tracking?messageID={id_}", "WARD", accept=V1).json()
        assert re.sub("[^0-9]", "", shown["expiry_time"])[:14] == older["expiryTime"]
        rich = wire("GET", "/messageexchange/WARD/outbox/rich", "WARD", accept=V2).json()["messages"]
        assert next(each for each in rich if each["message_id"] == id_)["expiry_timestamp"] == shown["expiry_time"]
    wire.close()


def _seconds(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def test_a_workflow_registered_while_running_has_it_all_too(served: Served, mesh: Open) -> None:
    said = ("--from", "WARD", "--to", "SURGERY", "--undelivered-after", "1s", "--told", "DESK", "--worked-by", "Bed desk")
    shown = json.loads(command(served, "workflow", "add", "BEDS", *said, "--acknowledged-by", "LETTER_ACK", "--json"))
    fhir = json.loads(command(served, "workflow", "add", "BUNDLES", "--payload", "fhir-message", "--json"))
    assert fhir["payload"] == "fhir-message"
    assert shown["failures"] == {"told": ["DESK"], "worked_by": "Bed desk"}
    assert (shown["undelivered_after"], shown["acknowledged_by"]) == ("1s", "LETTER_ACK")
    listed = command(served, "workflow", "list")
    for workflow, after, who in (("BEDS", "1s", "Bed desk"), ("QUICK", "1s", DESK), ("LETTER", "-", "-")):
        assert re.search(rf"^{workflow} .* {after} +{re.escape(who)} ", listed, re.MULTILINE), listed
    time.sleep(1.5)  # every process knows it within a second
    id_ = mesh("WARD").send_message("SURGERY", b"x", workflow_id="BEDS")
    assert len(reports(mesh("DESK"), id_)) == 1
    assert len(reports(mesh("WARD"), id_)) == 1


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"failures": {"told": ["NOBODY"]}}, "There is no mailbox NOBODY"),
        ({"acknowledged_by": "NOTHING"}, "acknowledged_by: there is no workflow NOTHING"),
        ({"undelivered_after": "31d"}, "undelivered_after: a message is kept at least as long"),
        ({"failures": {"worked_by": "a\nb"}}, "failures.worked_by: "),
        ({"failures": {"tell": []}}, "failures.tell: unknown member"),
        ({"correlated_by": "luck"}, "correlated_by: "),
    ],
)
def test_what_cannot_be_is_not_registered(served: Served, said: dict[str, Any], wrong: str) -> None:
    with served.client(headers={"apikey": ADMINISTRATOR}) as http:
        refused = http.put("/_admin/workflows/WRONG", json=said)
    assert refused.status_code == 400
    assert wrong in refused.json()["detail"]


def test_a_patch_changes_what_it_names_and_what_is_named_stays(served: Served) -> None:
    with served.client(headers={"apikey": ADMINISTRATOR}) as http:
        assert http.put("/_admin/mailboxes/NIGHT", json={"organisation": "X26", "password": "correct horse"}).status_code == 201
        assert http.put("/_admin/workflows/A_ACK", json={}).status_code == 201
        said = {"acknowledged_by": "A_ACK", "failures": {"told": ["NIGHT"], "worked_by": "Bed desk"}, "need": {"urgent": True}}
        assert http.put("/_admin/workflows/A", json=said).status_code == 201
        patched = _shown(http.patch("/_admin/workflows/A", json={"failures": {"worked_by": "Night desk"}, "need": None}))
        assert patched == {
            "from": [], "to": [], "acknowledged_by": "A_ACK", "failures": {"told": ["NIGHT"], "worked_by": "Night desk"},
        }  # fmt: skip
        for path in ("mailboxes/NIGHT", "workflows/A_ACK"):
            assert http.delete(f"/_admin/{path}").status_code == 409
        assert http.patch("/_admin/workflows/A", json={"failures": {"told": None}, "acknowledged_by": None}).status_code == 200
        for path in ("mailboxes/NIGHT", "workflows/A_ACK", "workflows/A"):
            assert http.delete(f"/_admin/{path}").status_code == 204


def _shown(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in ("id", "declared_in", "version", "changed_at")}


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("acknowledged_by: NOTHING", r":6:\d+: workflows\.W\.acknowledged_by: found 'NOTHING', expected one of workflows:"),
        ("failures: {told: [A, B]}", r":6:\d+: workflows\.W\.failures\.told\[1\]: found 'B', expected one of mailboxes:"),
        ("undelivered_after: 31d", r":6:\d+: workflows\.W\.undelivered_after: a message is kept at least as long"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, said: str, wrong: str) -> None:
    file = tmp_path / "deployment.yaml"
    head = (
        "messaging: {shared_key: env:KEY}\norganisations: {X26: {name: x}}\nmailboxes:\n  A: {organisation: X26, password: env:P}\n"
    )
    file.write_text(f"{head}workflows:\n  W: {{{said}}}\n")
    with pytest.raises(DeploymentError) as caught:
        load(file)
    assert re.search(wrong, str(caught.value))
    assert len(str(caught.value).splitlines()) <= 2


def test_the_deployment_that_the_documentation_shows_passes_the_linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "methods" / "messaging.md").read_text()
    section = page.partition("\n## The deployment file\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert blocks
    for name in re.findall(r"env:(\w+)", blocks[0]):
        monkeypatch.setenv(name, "x")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shared-key").write_text("x")
    (tmp_path / "deployment.yaml").write_text(blocks[0])
    assert lint(tmp_path / "deployment.yaml") == []
