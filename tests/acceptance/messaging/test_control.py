"""What tests do to a sandbox: let time pass, lose answers, demand certificates. And none of it is there where it is no sandbox."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient, MeshError
from requests import HTTPError
from requests.exceptions import ConnectionError, RetryError  # noqa: A004
from tests.acceptance.conftest import Serve, free_port
from tests.acceptance.messaging.conftest import Sandbox
from urllib3.exceptions import ResponseError

from fiveways.cli.sandbox import _prepared
from fiveways.platform.mailboxes import _CONTROL

LARGE = bytes(range(256)) * 400
LOST = (ConnectionError, RetryError, ResponseError)
"""What mesh-client raises where it got no answer that it takes for one."""
PAGE = Path(__file__).parents[3] / "docs" / "methods" / "sandbox.md"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with TLS, in which ALICE asks for de-duplication."""
    folder = tmp_path_factory.mktemp("control")
    file = _prepared(folder)
    file.write_text(file.read_text().replace("ALICE: {", "ALICE: {deduplicate: 1d, "))
    running = Sandbox(folder, "--https", f"127.0.0.1:{free_port()}")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def admin(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{sandbox.url}/admin") as client:
        yield client


@pytest.fixture
def fail(admin: httpx.Client) -> Callable[..., None]:
    """Announces failures."""

    def announce(**what: Any) -> None:
        admin.post("failures", json=what).raise_for_status()

    return announce


@pytest.fixture
def alice(client: Callable[..., MeshClient]) -> MeshClient:
    """Alice's mailbox, with the client's own retries but for their waiting."""
    return client("ALICE", retry_backoff_factor=0)


@pytest.fixture
def bob(client: Callable[..., MeshClient]) -> MeshClient:
    return client("BOB", retry_backoff_factor=0)


def advance(admin: httpx.Client, by: str) -> Any:
    return admin.post("clock", json={"advance": by}).raise_for_status().json()


def left(admin: httpx.Client) -> Any:
    """The failures that are still to come."""
    return admin.get("failures").raise_for_status().json()["failures"]


# --- the clock ------------------------------------------------------------------------------------------------------------


def test_time_passes_and_a_message_comes_back_as_a_report_at_once(admin: httpx.Client, alice: MeshClient, bob: MeshClient) -> None:
    sent = alice.send_message("BOB", b"discharge", workflow_id="NOTE", subject="Discharge", local_id="e1")
    assert advance(admin, "4d23h")["ahead"] == "119h"
    assert bob.list_messages() == [sent]
    assert advance(admin, "2h")["ahead"] == "121h"
    assert bob.list_messages() == []
    (id_,) = alice.list_messages()
    with alice.retrieve_message(id_) as report:
        assert (report.message_type, report.local_id, report.mex_header("statuscode")) == ("REPORT", "e1", "14")
    assert alice.track_message(message_id=sent)["status"] == "undeliverable"


def test_old_messages_are_removed_with_their_content(
    sandbox: Sandbox, admin: httpx.Client, alice: MeshClient, bob: MeshClient
) -> None:
    id_ = alice.send_message("BOB", LARGE, workflow_id="NOTE", compress=False)
    bob.acknowledge_message(id_)
    payloads = [path for path in (sandbox.folder / "data" / "payloads").glob("*/*") if path.parent.name != "incoming"]
    assert len(payloads) == 1
    advance(admin, "29d")
    assert admin.get(f"message/{id_}").status_code == 200
    advance(admin, "2d")
    assert admin.get(f"message/{id_}").status_code == 404
    assert not payloads[0].exists()


def test_tokens_of_clients_whose_clocks_are_real_are_taken_and_a_reset_puts_the_clock_back(
    admin: httpx.Client, alice: MeshClient
) -> None:
    told = advance(admin, "400d")
    assert (datetime.fromisoformat(told["now"]) - datetime.now(UTC)).days in (399, 400)
    sent = alice.send_message("BOB", b"of next year", workflow_id="NOTE")
    assert int(sent[:4]) > datetime.now(UTC).year
    admin.delete("reset").raise_for_status()
    assert admin.get("clock").json()["ahead"] == "0ms"
    sent = alice.send_message("BOB", b"of today", workflow_id="NOTE")
    assert abs(datetime.strptime(sent[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() < 60


def test_a_mailbox_remembers_local_ids_for_as_long_as_it_says_and_not_over_a_reset(admin: httpx.Client, alice: MeshClient) -> None:
    def send() -> str:
        return alice.send_message("BOB", b"same", workflow_id="NOTE", local_id="d1")

    first = send()
    advance(admin, "23h")
    assert send() == first
    advance(admin, "1h")
    second = send()
    assert second != first
    admin.delete("reset").raise_for_status()
    assert send() != second


def test_an_upload_that_was_begun_and_left_is_given_up(admin: httpx.Client, alice: MeshClient, fail: Any) -> None:
    for _ in range(2):  # also where the clock was ahead before
        fail(operation="chunk", answer=500)
        with pytest.raises(HTTPError, match="500") as failed:
            alice.send_message("BOB", b"in two chunks", workflow_id="NOTE", max_chunk_size=8)
        advance(admin, "6d")
        assert failed.value.response is not None
        sent = failed.value.response.url.split("/")[-2]
        assert alice.track_message(message_id=sent)["status"] == "error"
        admin.delete("reset").raise_for_status()


@pytest.mark.parametrize("by", ["soon", "", "-1d", "4000d", 5, None])
def test_what_is_no_length_of_time_is_refused_in_words(admin: httpx.Client, by: Any) -> None:
    answer = admin.post("clock", json={"advance": by})
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["msg"]
    assert admin.get("clock").json()["ahead"] == "0ms"


# --- failures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [503, 429, "cut"])
def test_mesh_clients_retry_survives_as_many_failures_as_it_retries(
    alice: MeshClient, admin: httpx.Client, fail: Any, answer: Any
) -> None:
    fail(times=3, answer=answer)
    assert alice.list_messages() == []
    assert left(admin) == []
    fail(times=4, answer=answer)
    with pytest.raises(LOST):
        alice.list_messages()


@pytest.mark.parametrize("answer", [503, "cut"])
@pytest.mark.parametrize("size", [5, len(LARGE)])
def test_where_the_answer_to_a_send_is_lost_the_same_local_id_is_the_same_message(
    alice: MeshClient, bob: MeshClient, fail: Any, answer: Any, size: int
) -> None:
    def send() -> str:
        return alice.send_message("BOB", LARGE[:size], workflow_id="NOTE", local_id="l1")

    fail(operation="send", answer=answer, done=True)
    with pytest.raises(LOST):
        send()
    (id_,) = bob.list_messages()
    assert send() == id_
    assert bob.list_messages() == [id_]
    assert bob.retrieve_message(id_).read() == LARGE[:size]


def test_and_a_mailbox_that_does_not_ask_for_it_has_sent_two(alice: MeshClient, bob: MeshClient, fail: Any) -> None:
    fail(operation="send", answer="cut", done=True)
    with pytest.raises(LOST):
        bob.send_message("ALICE", b"hello", workflow_id="NOTE", local_id="l2")
    bob.send_message("ALICE", b"hello", workflow_id="NOTE", local_id="l2")
    assert len(alice.list_messages()) == 2


@pytest.mark.parametrize("answer", [503, "cut"])
def test_what_failed_before_its_work_was_not_done(alice: MeshClient, bob: MeshClient, fail: Any, answer: Any) -> None:
    fail(operation="send", answer=answer)
    with pytest.raises(LOST):
        alice.send_message("BOB", LARGE, workflow_id="NOTE")
    assert bob.list_messages() == []
    sent = alice.send_message("BOB", LARGE, workflow_id="NOTE")
    assert bob.list_messages() == [sent]


@pytest.mark.parametrize("answer", [503, "cut"])
def test_lost_answers_to_all_else_are_made_good_by_the_clients_own_retry(
    alice: MeshClient, bob: MeshClient, admin: httpx.Client, fail: Any, answer: Any
) -> None:
    for operation in ("chunk", "list", "collect", "acknowledge", "track", "handshake"):
        fail(operation=operation, answer=answer, done=True, times=2)
    sent = alice.send_message("BOB", LARGE, workflow_id="NOTE", max_chunk_size=60_000, compress=False)
    assert bob.list_messages() == [sent]
    with bob.retrieve_message(sent) as message:  # which acknowledges it
        assert message.read() == LARGE
    assert alice.track_message(message_id=sent)["status"] == "acknowledged"
    bob.handshake()
    assert bob.list_messages() == []
    assert left(admin) == []


def test_failures_are_for_a_mailbox_and_an_operation_and_in_words_that_clients_read(
    alice: MeshClient, bob: MeshClient, admin: httpx.Client, fail: Any
) -> None:
    fail(mailbox="bob", operation="send", answer=400)
    assert bob.list_messages() == []
    alice.send_message("BOB", b"hello", workflow_id="NOTE")
    assert left(admin)[0]["mailbox"] == "BOB"
    with pytest.raises(MeshError, match="A tester has asked for this answer"):
        bob.send_message("ALICE", b"hello", workflow_id="NOTE")
    assert left(admin) == []
    fail(times=100)
    assert admin.delete("failures").json() == {"failures": []}
    assert len(bob.list_messages()) == 1


def test_an_answer_can_come_late_and_be_what_it_would_have_been(alice: MeshClient, fail: Any) -> None:
    fail(answer="own", delay="300ms")
    begun = time.monotonic()
    assert alice.list_messages() == []
    assert time.monotonic() - begun > 0.3
    begun = time.monotonic()
    alice.list_messages()
    assert time.monotonic() - begun < 0.3


@pytest.mark.parametrize(
    "what",
    [{"answer": 200}, {"answer": "none"}, {"times": 0}, {"operation": "sned"}, {"delay": "1d"}, {"delay": "x"}, {"retries": 3}],
    ids=str,
)
def test_failures_that_are_not_understood_are_refused(admin: httpx.Client, what: dict[str, Any]) -> None:
    answer = admin.post("failures", json=what)
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["msg"]
    assert admin.post("failures", json={"mailbox": "NOBODY"}).status_code == 404
    assert left(admin) == []


# --- certificates ---------------------------------------------------------------------------------------------------------


def test_client_certificates_are_demanded_while_running_of_all_or_of_some(sandbox: Sandbox, admin: httpx.Client) -> None:
    tls = sandbox.folder / "tls"
    certificate = (str(tls / "client.pem"), str(tls / "client.key.pem"))
    url = f"https://{sandbox._options[1]}"

    def usable(mailbox: str, *, certified: bool, url: str = url) -> bool:
        shown: Any = {"cert": certificate} if certified else {}
        with MeshClient(url, mailbox, "password", shared_key=b"TestKey", verify=str(tls / "ca.pem"), **shown) as client:
            try:
                client.list_messages()
            except HTTPError as error:
                return error.response is None or "Client certificate" not in error.response.text
        return True

    assert usable("ALICE", certified=False)
    assert admin.put("certificates", json={"demanded": ["alice"]}).json() == {"demanded": ["ALICE"]}
    assert [usable("ALICE", certified=each) for each in (True, False)] == [True, False]
    assert not usable("ALICE", certified=False, url=sandbox.url)
    assert usable("BOB", certified=False)
    admin.put("certificates", json={"demanded": True}).raise_for_status()
    assert [usable("BOB", certified=each) for each in (True, False)] == [True, False]
    assert admin.put("certificates", json={"demanded": ["NOBODY"]}).status_code == 404
    assert admin.get("certificates").json() == {"demanded": True}
    admin.delete("reset").raise_for_status()
    assert usable("BOB", certified=False)


def test_certificates_are_kept_over_a_restart(sandbox: Sandbox) -> None:
    before = {path.name: path.read_bytes() for path in (sandbox.folder / "tls").iterdir()}
    sandbox.stop()
    sandbox.start()
    assert {path.name: path.read_bytes() for path in (sandbox.folder / "tls").iterdir()} == before
    assert set(before) == {f"{name}.{kind}" for name in ("ca", "server", "client") for kind in ("pem", "key.pem")}


# --- the page, and where there is no sandbox ------------------------------------------------------------------------------


def test_the_curl_commands_of_the_page_work(sandbox: Sandbox, alice: MeshClient) -> None:
    commands = re.findall(r"^curl .*(?:\n  .*)*", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 8
    id_ = alice.send_message("BOB", b"hello", workflow_id="NOTE")
    for command in commands:
        words = shlex.split(command.replace("\\\n", "").replace("http://127.0.0.1:8700", sandbox.url).replace("MESSAGE_ID", id_))
        done = subprocess.run([words[0], "--fail-with-body", *words[1:]], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, (command, done.stdout)


def test_where_it_is_no_sandbox_there_is_no_control(serve: Serve) -> None:
    deployment = """
messaging: {shared_key: env:MESH_KEY}
organisations: {X26: {name: Northshire}}
mailboxes: {ALICE: {organisation: X26, password: env:MESH_KEY}}
"""
    below = ("", "/reset", "/reset/ALICE", "/clock", "/failures", "/certificates", "/report", "/mailbox/ALICE", "/message/1",
             "/message/1/event")  # fmt: skip
    with serve(deployment, environment={"MESH_KEY": "key"}) as served, httpx.Client(base_url=served.url) as client:
        assert client.get("/messageexchange/_ping").status_code == 200
        for path in (*_CONTROL, "/messageexchange/mailbox/ALICE"):
            for each in (f"{path}{rest}" for rest in (below if path.endswith("admin") else ("",))):
                for method in ("GET", "POST", "PUT", "DELETE"):
                    status = client.request(method, each, json={}).status_code
                    mailbox = each.startswith("/messageexchange/") and each.count("/") == 2 and method in ("GET", "POST")
                    assert status == (403 if mailbox else 404), (method, each)  # to shake hands, with a mailbox of that name
