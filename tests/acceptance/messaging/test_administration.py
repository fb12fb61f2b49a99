"""Mailboxes and workflows while the platform runs: by the admin API and the command line, used at once by the public client."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_client import MeshClient, MeshError
from requests import HTTPError
from tests import forked
from tests.acceptance.conftest import Serve, Served, hashed

KEY = "fwk_administration-key-of-the-tests-0000000000"
OTHER = "fwk_another-administration-key-of-the-tests-00"
PASSWORD = "set while running, and told to nobody"
ENVIRONMENT = {"MESH_KEY": "TestKey", "MESH_PASSWORD": "password"}
DEPLOYMENT = f"""\
messaging: {{shared_key: env:MESH_KEY, collect_within: 4s, keep: 1h}}
administration: {{keys: ["{hashed(KEY)}", "{hashed(OTHER)}"]}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  ALICE: {{organisation: X26, password: env:MESH_PASSWORD}}
  BOB: {{organisation: X26, password: env:MESH_PASSWORD}}
workflows: {{DECLARED: {{from: [ALICE], to: [BOB]}}}}
"""
MAILBOX = {"organisation": "X27", "organisation_name": "The Surgery", "name": "New", "password": PASSWORD}
fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def served(serve: Serve) -> Iterator[Served]:
    """A platform whose messages expire in seconds."""
    with serve(DEPLOYMENT, environment=ENVIRONMENT) as served:
        yield served


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    """An administrator's connection."""
    with served.client(headers={"apikey": KEY}) as client:
        yield client


@pytest.fixture(autouse=True)
def clean() -> None:
    """There is no sandbox here to be cleaned."""


@pytest.fixture
def mesh(served: Served) -> Iterator[Callable[..., MeshClient]]:
    """Opens mesh-client on a mailbox."""
    opened: list[MeshClient] = []

    def make(mailbox: str, password: str = "password") -> MeshClient:
        opened.append(MeshClient(served.url, mailbox, password, shared_key=b"TestKey", max_retries=0))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def administer(served: Served, *command: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of `fiveways mailbox` or `fiveways workflow`, in an operator's shell."""
    return forked.run(command, {**os.environ, "COLUMNS": "200", **environment}, served.folder, typed=typed)


def problem(answer: httpx.Response, status: int, code: str) -> str:
    """What is wrong, in the words of RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (said["status"], said["code"]) == (status, code)
    return str(said["detail"])


def test_a_mailbox_added_while_running_is_used_by_the_public_client_at_once(
    http: httpx.Client, mesh: Callable[..., MeshClient]
) -> None:
    added = http.put("/_admin/mailboxes/NEW", json=MAILBOX)
    assert (added.status_code, added.headers["location"], added.headers["etag"]) == (201, "/_admin/mailboxes/NEW", '"1"')
    assert http.put("/_admin/workflows/TO_NEW", json={"from": ["ALICE", "BOB"], "to": ["NEW"]}).status_code == 201
    new = mesh("NEW", PASSWORD)
    assert new.handshake() == b"hello"
    sent = mesh("ALICE").send_message("NEW", b"Hello", workflow_id="TO_NEW")
    assert new.list_messages() == [sent]
    with new.retrieve_message(sent) as message:
        assert message.read() == b"Hello"
    (found,) = mesh("ALICE").lookup_endpoint("X27", "TO_NEW")["results"]
    assert (found["mailbox_id"], found["mailbox_name"]) == ("NEW", "New")
    with pytest.raises(MeshError, match="Workflow ID not registered"):
        new.send_message("ALICE", b"x", workflow_id="TO_NEW")
    assert http.patch("/_admin/mailboxes/NEW", json={"password": "a new password"}).json()["version"] == 2
    with pytest.raises(HTTPError, match="403"):
        new.handshake()
    assert mesh("NEW", "a new password").handshake() == b"hello"
    assert http.delete("/_admin/workflows/TO_NEW").status_code == 204
    assert http.delete("/_admin/mailboxes/NEW").status_code == 204
    with pytest.raises(HTTPError, match="403"):
        mesh("NEW", "a new password").handshake()


def test_a_deactivated_mailbox_keeps_what_waits_and_its_senders_are_told_at_expiry(
    http: httpx.Client, mesh: Callable[..., MeshClient]
) -> None:
    http.put("/_admin/mailboxes/CLOSING", json=MAILBOX)
    http.put("/_admin/workflows/W", json={})
    alice, closing = mesh("ALICE"), mesh("CLOSING", PASSWORD)
    sent = alice.send_message("CLOSING", b"x", workflow_id="W", local_id="mine")
    assert http.patch("/_admin/mailboxes/CLOSING", json={"active": False}).json()["active"] is False
    with pytest.raises(HTTPError, match="403"):
        closing.list_messages()
    with pytest.raises(MeshError, match="Unregistered"):
        alice.send_message("CLOSING", b"y", workflow_id="W")
    http.patch("/_admin/mailboxes/CLOSING", json={"active": True})
    assert closing.list_messages() == [sent], "it waited"
    http.patch("/_admin/mailboxes/CLOSING", json={"active": False})
    until = time.monotonic() + 15
    while not (reports := alice.list_messages()):
        assert time.monotonic() < until
        time.sleep(0.1)
    with alice.retrieve_message(reports[0]) as report:
        assert (report.message_type, report.mex_header("statuscode")) == ("REPORT", "14")
        assert (report.mex_header("statusdescription"), report.mex_header("linkedmsgid")) == ("Mailbox deactivated", sent)
    assert alice.track_message(message_id=sent)["status"] == "undeliverable"


def test_an_answer_says_everything_but_the_password(http: httpx.Client) -> None:
    for answer in (
        http.put("/_admin/mailboxes/SHOWN", json={**MAILBOX, "certificates": []}),
        http.get("/_admin/mailboxes/SHOWN"),
        http.put("/_admin/mailboxes/SHOWN", json=MAILBOX),
        http.patch("/_admin/mailboxes/SHOWN", json={"name": "Shown"}),
        http.get("/_admin/mailboxes?limit=1000"),
    ):
        assert answer.is_success, answer.text
        assert PASSWORD not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    shown = http.get("/_admin/mailboxes/SHOWN")
    assert (shown.headers["etag"], shown.json()["name"], shown.json()["declared_in"]) == ('"3"', "Shown", "store")
    again = http.put("/_admin/mailboxes/SHOWN", json={**shown.json(), "name": "Sent back"})
    assert (again.status_code, again.json()["name"]) == (200, "Sent back")
    assert http.head("/_admin/mailboxes/SHOWN").content == b""


def test_pages_show_every_entry_once(http: httpx.Client) -> None:
    for number in range(7):
        http.put(f"/_admin/mailboxes/PAGED{number}", json={**MAILBOX, "organisation": "P4GED"})
    seen: list[str] = []
    where = "/_admin/mailboxes?limit=3&organisation=P4GED"
    while where:
        page = http.get(where).json()
        assert len(page["mailboxes"]) <= 3
        seen += [each["id"] for each in page["mailboxes"]]
        where = page.get("next", "")
    assert seen == [f"PAGED{number}" for number in range(7)]
    declared = {each["id"]: each["declared_in"] for each in http.get("/_admin/workflows").json()["workflows"]}
    assert declared["DECLARED"] == "file"


def test_who_says_which_version_they_saw_changes_no_other(http: httpx.Client) -> None:
    path = "/_admin/mailboxes/VERSIONED"
    only_new = {"if-none-match": "*"}
    assert http.put(path, json=MAILBOX, headers=only_new).status_code == 201
    problem(http.put(path, json=MAILBOX, headers=only_new), 412, "CHANGED_SINCE")
    assert http.patch(path, json={"name": "second"}, headers={"if-match": '"1"'}).headers["etag"] == '"2"'
    for late in ('"1"', '"x"', "1", 'W/"2"'):
        for method in ("PUT", "PATCH", "DELETE"):
            problem(http.request(method, path, json={}, headers={"if-match": late}), 412, "CHANGED_SINCE")
    assert http.delete(path, headers={"if-match": '"2"'}).status_code == 204


def test_refusals(http: httpx.Client) -> None:
    http.put("/_admin/mailboxes/NAMED", json=MAILBOX)
    http.put("/_admin/workflows/NAMES", json={"to": ["NAMED"]})
    assert "NAMES" in problem(http.delete("/_admin/mailboxes/NAMED"), 409, "STILL_NAMED")
    for method in ("PUT", "PATCH", "DELETE"):
        told = problem(http.request(method, "/_admin/mailboxes/ALICE", json=MAILBOX), 409, "DECLARED_IN_FILE")
        assert told == "The mailbox ALICE is declared in the deployment file: change it there, and reload"
        problem(http.request(method, "/_admin/workflows/DECLARED", json={}), 409, "DECLARED_IN_FILE")
    for path in (
        "/_admin",
        "/_admin/",
        "/_admin/mailboxes/",
        "/_admin/messages",
        "/_admin/mailboxes/A/b",
        "/_admin/mailboxes/NONE",
    ):
        problem(http.get(path), 404, "NOT_FOUND")
    assert problem(http.post("/_admin/mailboxes/X", json=MAILBOX), 405, "UNSUPPORTED_METHOD")
    assert http.post("/_admin/mailboxes", json=MAILBOX).headers["allow"] == "GET, HEAD"
    for wrong in (b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b'{"organisation": "X26", "password": "12345678"'):
        problem(http.put("/_admin/mailboxes/WRONG", content=wrong), 400, "INVALID_VALUE")
    told = problem(http.put("/_admin/mailboxes/WRONG", json={**MAILBOX, "organisation": PASSWORD}), 400, "INVALID_VALUE")
    assert PASSWORD not in told
    problem(http.put("/_admin/workflows/W2", json={"to": ["NOBODY"]}), 400, "INVALID_VALUE")
    for query in (
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=٣",
        "what=1",
        "organisation=X&limit=",
        "&".join(["a=1"] * 30),
    ):
        problem(http.get(f"/_admin/mailboxes?{query}"), 400, "INVALID_VALUE")
    assert problem(http.put("/_admin/mailboxes/BIG", content=b" " * (1024 * 1024 + 1)), 413, "PAYLOAD_TOO_LARGE")


def test_a_workflows_id_may_have_any_sign_in_it(http: httpx.Client) -> None:
    assert http.put("/_admin/workflows/A%2FB%25%3F", json={}).status_code == 201
    assert http.get("/_admin/workflows/A%2FB%25%3F").json()["id"] == "A/B%?"
    assert http.delete("/_admin/workflows/A%2FB%25%3F").status_code == 204


def test_without_a_key_nothing_is_told_and_wrong_keys_are_bounded_but_right_ones_pass(serve: Serve) -> None:
    with serve(DEPLOYMENT, environment=ENVIRONMENT) as served:
        with served.client() as client:
            came = [client.get("/_admin/mailboxes")]
            while came[-1].status_code == 401:
                came.append(client.get("/_admin/mailboxes", headers={"apikey": f"wrong {len(came)}"}))
        assert 31 <= len(came) <= 61, "30 a minute, and another minute may have begun"
        problem(came[0], 401, "ACCESS_DENIED")
        problem(came[-1], 429, "TOO_MANY_REQUESTS")
        assert 1 <= int(came[-1].headers["retry-after"]) <= 60
        for key in (KEY, OTHER):
            assert served.call("GET", "/_admin/mailboxes", headers={"apikey": key}).status_code == 200


def test_where_no_key_is_declared_there_is_no_admin_api(serve: Serve) -> None:
    text = "".join(line for line in DEPLOYMENT.splitlines(keepends=True) if not line.startswith("administration"))
    with serve(text, environment=ENVIRONMENT) as served:
        for path in ("/_admin", "/_admin/mailboxes", "/_admin/mailboxes/ALICE"):
            problem(served.call("GET", path, headers={"apikey": KEY}), 404, "NOT_FOUND")


def test_a_platform_without_mailboxes_in_its_file_takes_them_while_running_and_a_restart_keeps_them(serve: Serve) -> None:
    text = f'messaging: {{shared_key: env:MESH_KEY, open_workflows: true}}\nadministration: {{keys: ["{hashed(KEY)}"]}}\n'
    with serve(text, environment=ENVIRONMENT) as served:
        assert served.call("PUT", "/_admin/mailboxes/NEW", json=MAILBOX, headers={"apikey": KEY}).status_code == 201
        assert served.stop() == 0
        served.start()
        with MeshClient(served.url, "NEW", PASSWORD, shared_key=b"TestKey") as new:
            sent = new.send_message("NEW", b"to myself", workflow_id="W")
            assert new.list_messages() == [sent]
        served.process.kill()
        served.process.wait()
        served.start()
        with MeshClient(served.url, "NEW", PASSWORD, shared_key=b"TestKey") as new:
            assert new.list_messages() == [sent]
        # A reload of the file keeps what was registered, too.
        served.file.write_text(text + "organisations: {X27: {name: Of the file}}\n")
        assert served.run("reload").returncode == 0
        until = time.monotonic() + 5
        while served.call("GET", "/_admin/mailboxes/NEW", headers={"apikey": KEY}).json()["organisation_name"] != "Of the file":
            assert time.monotonic() < until
            time.sleep(0.05)
        with MeshClient(served.url, "NEW", PASSWORD, shared_key=b"TestKey") as new:
            assert new.list_messages() == [sent]


def test_the_operator_administers_beside_the_running_platform(served: Served, mesh: Callable[..., MeshClient]) -> None:
    added = administer(served, "mailbox", "add", "OPERATED", "--organisation", "X26", "--name", "[Operated]", typed=f"{PASSWORD}\n",
                       MESH_KEY="TestKey")  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert PASSWORD not in added.stdout
    within(2, lambda: mesh("OPERATED", PASSWORD).handshake())
    listed = json.loads(administer(served, "mailbox", "list", "--json").stdout)
    assert {each["id"]: each["declared_in"] for each in listed}.items() >= {"ALICE": "file", "OPERATED": "store"}.items()
    assert "[Operated]" in administer(served, "mailbox", "list").stdout
    said = ("--deduplicate", "1d", "--takes-at-once", "5", "--collects-every", "5m")
    changed = administer(served, "mailbox", "change", "OPERATED", "--generate", "--json", *said, MESH_KEY="TestKey")
    shown = json.loads(changed.stdout)
    password = shown["password"]
    assert (shown["deduplicate"], shown["collects_every"], shown["takes"]) == ("1d", "5m", {"at_once": 5})
    rated = administer(served, "mailbox", "change", "OPERATED", "--takes-rate", "30/min", "--json")
    assert json.loads(rated.stdout)["takes"] == {"at_once": 5, "rate": "30/min"}
    within(2, lambda: mesh("OPERATED", password).handshake())
    assert administer(served, "workflow", "add", "BY_OPERATOR", "--to", "OPERATED").returncode == 0
    within(2, lambda: mesh("ALICE").send_message("OPERATED", b"x", workflow_id="BY_OPERATOR"))
    workflows = administer(served, "workflow", "list").stdout.splitlines()
    assert ["BY_OPERATOR", "all", "OPERATED", "-", "-", "store"] in [line.split() for line in workflows]
    still = administer(served, "mailbox", "remove", "OPERATED")
    assert (still.returncode, "BY_OPERATOR" in still.stderr) == (1, True)
    assert administer(served, "workflow", "remove", "BY_OPERATOR").returncode == 0
    assert administer(served, "mailbox", "remove", "OPERATED").returncode == 0
    told = [event for event in served.events() if event.get("details", {}).get("by") == "operator"]
    assert [event["kind"] for event in told] == [
        "mailbox.added", "mailbox.changed", "mailbox.changed", "workflow.added", "workflow.removed", "mailbox.removed",
    ]  # fmt: skip
    assert all(event["details"]["account"] for event in told)
    assert password not in json.dumps(served.events())


def within(seconds: float, work: Callable[[], object]) -> None:
    """Do something again until it succeeds."""
    until = time.monotonic() + seconds
    while True:
        try:
            work()
        except (HTTPError, MeshError):
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("mailbox", "add", "X", "--organisation", "X26"), "no password on standard input"),
        (("mailbox", "add", "x", "--organisation", "X26", "--generate"), "The id of a mailbox is expected to match"),
        (("mailbox", "add", "X", "--organisation", "X26", "--generate"), "messaging.shared_key cannot be read here"),
        (("mailbox", "add", "X", "--organisation", "X26", "--generate", "--certificate", "CN=a"), "expected subject=…"),
        (("mailbox", "change", "ALICE", "--inactive"), "declared in the deployment file"),
        (("mailbox", "change", "ALICE"), "nothing to change"),
        (("mailbox", "show", "NOBODY"), "There is no mailbox NOBODY"),
        (("workflow", "add", "W9", "--to", "NOBODY"), "There is no mailbox NOBODY"),
        (("workflow", "remove", "W9"), "There is no workflow W9"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_what_the_operator_cannot_do_is_a_clear_error(served: Served, command: tuple[str, ...], said: str) -> None:
    done = administer(served, *command)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_changes_are_in_the_audit_under_the_requests_id_with_the_keys_fingerprint(served: Served, http: httpx.Client) -> None:
    correlation = "5f0b1e9e-9d5e-4f1c-8a5e-3c0a7d1f2b11"
    http.put("/_admin/mailboxes/AUDITED", json=MAILBOX, headers={"x-correlation-id": correlation}).raise_for_status()
    asked = served.event(kind="interaction", correlation_id=correlation)
    made = served.event(kind="mailbox.added", id=asked["id"])
    fingerprint = hashed(KEY)[:23]
    assert (asked["name"], asked["context"], asked["details"]["mailbox"]) == ("mailbox.put", "administration-key", "AUDITED")
    assert made["details"] == {"by": "key", "key": fingerprint, "mailbox": "AUDITED"}
    assert asked["details"]["key"] == fingerprint
    verified = served.run("audit", "verify", str(served.file))
    assert "intact" in verified.stdout


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(
    [
        "organisation",
        "organisation_name",
        "name",
        "active",
        "certificates",
        "password",
        "from",
        "to",
        "id",
        "version",
        "declared_in",
    ]
)
contents = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda said: json.dumps(said).encode(), st.dictionaries(members | st.text(max_size=8), json_values, max_size=8)),
    st.builds(lambda said: json.dumps({**MAILBOX, **said}).encode(), st.dictionaries(members, json_values, max_size=3)),
)


@fuzzed
@given(
    st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE"]),
    st.sampled_from(["mailboxes", "workflows", "mailboxes/", "x"]),
    st.sampled_from(["FUZZED", "fuzzed", "ALICE", "%00", "%ff", "A%0aB", "..", "%2e%2e", "A/b", "%F0%9F%90%88", "x" * 400, ""]),
    st.dictionaries(st.sampled_from(["if-match", "if-none-match", "content-type"]), st.sampled_from(["*", '"1"', "x", '""', ""])),
    contents,
)
def test_nothing_that_is_sent_gives_a_500(
    http: httpx.Client, method: str, what: str, id_: str, headers: dict[str, str], content: bytes
) -> None:
    answer = http.request(method, f"/_admin/{what}/{id_}", content=content, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


@fuzzed
@given(st.dictionaries(st.sampled_from(["limit", "after", "organisation", "x"]), st.text(max_size=20), max_size=4))
def test_no_query_gives_a_500(http: httpx.Client, query: dict[str, str]) -> None:
    assert http.get("/_admin/mailboxes", params=query).status_code in (200, 400)


def test_no_password_is_in_the_store_the_audit_or_the_log(served: Served, http: httpx.Client) -> None:
    http.put("/_admin/mailboxes/SECRET", json=MAILBOX).raise_for_status()
    http.put("/_admin/mailboxes/SECRET", json={**MAILBOX, "pasword": PASSWORD})
    time.sleep(0.2)
    searched: list[Any] = [file for file in served.data.rglob("*") if file.is_file()]
    assert len(searched) > 3
    for file in (*searched, served.folder / "log"):
        assert PASSWORD.encode() not in file.read_bytes(), file
