"""The promise of work: received at once, delivered for as long as it takes, in order, once for whoever looks at its key."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, after, dying, read_body, response
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire}}}}
applications:
  ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}
  second: {{organisation: RXN, jwks: file:keys/second.json, products: [all]}}
products: {{all: {{apis: [updates, plain, news, brief, weak, ended]}}}}
apis:
  updates:
    {{{common}, at: /updates, model: {{fhir: {{version: R4}}}},
      promise: {{{quick}, check: "plans:checked",
        order: {{header: X-Patient-ID, body: /subject/reference, path: "/Patient/{{key}}"}}}}}}
  plain: {{{common}, at: /plain, promise: {{{quick}, answer: 200}}}}
  news: {{{common}, at: /news, promise: {{{quick}, after_failure: go-on, order: {{header: X-Key}}}}}}
  brief: {{{common}, at: /brief, promise: {{{quick}, keep_trying: 1s}}}}
  weak: {{{common}, at: /weak, promise: {{{quick}, capacity: {{at_once: 1}}}}}}
  ended: {{{common}, at: /ended, promise: {{{quick}, expires: 1s}}}}
"""
COMMON = (
    'pattern: promise, security: [signed-jwt], limits: {{body: 4MiB}}, target: {{url: "{url}/app", timeout: {{first_byte: 2s}}}}, '
    "resilience: {{breaker: {{failures: 1000}}}}"
)
QUICK = "first_wait: 50ms, longest_wait: 200ms"


@pytest.fixture(scope="module")
def served(behind: Backend, serve: Serve) -> Iterator[Served]:
    text = DEPLOYMENT.format(common=COMMON.format(url=behind.url), quick=QUICK)
    with serve(text, started=False) as made:
        shutil.copy(Path(__file__).parent / "plans.py", made.folder)
        made.start()
        yield made


def send(
    served: Served, path: str, body: Any = None, method: str = "POST", application: str = "ward", **fields: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    headers = {**served.bearer(application), "Content-Type": "application/json", **fields}
    return served.call(method, path, headers=headers, content=content)


def keys(seen: list[Seen]) -> list[str]:
    return [each.all(b"idempotency-key")[0].decode() for each in seen]


def life(served: Served, id_: str) -> list[tuple[str, str, str]]:
    """What happened to a promise: happening, state, reason."""
    with closing(sqlite3.connect(f"file:{served.data / 'fiveways.db'}?mode=ro", uri=True)) as database:
        asked = "SELECT happening, state, reason FROM delivery_events WHERE delivery = ? ORDER BY number"
        return database.execute(asked, (id_,)).fetchall()


def ended(served: Served, id_: str, state: str) -> list[tuple[str, str, str]]:
    until = time.monotonic() + 15
    while (found := life(served, id_))[-1][1] != state:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


def test_what_changes_is_received_and_then_delivered_as_it_was_sent(served: Served, behind: Backend) -> None:
    path = behind.at(response(201))
    ids = {"X-Request-ID": str(uuid4()), "X-Correlation-ID": str(uuid4())}
    fields = {**ids, "Prefer": "return=minimal", "X-Patient-ID": "1", "Cookie": "a=b"}
    answer = send(served, f"/updates{path}?x=1", {"a": "ü"}, **fields)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/fhir+json")
    assert answer.json()["issue"][0]["severity"] == "information"
    promise = answer.headers["fiveways-promise"]
    behind.wait(lambda: behind.requests(path))
    (seen,) = behind.requests(path)
    assert (seen.method, seen.target) == (b"POST", f"/app{path}?x=1".encode())
    assert seen.body == json.dumps({"a": "ü"}).encode()
    assert seen.all(b"idempotency-key") == [promise.encode()]
    assert seen.all(b"nhsd-request-id") == [ids["X-Request-ID"].encode()]
    assert ids["X-Correlation-ID"].encode() in seen.all(b"nhsd-correlation-id")[0]
    assert seen.all(b"nhsd-application") == [b"ward"]
    assert (seen.all(b"prefer"), seen.all(b"authorization"), seen.all(b"cookie")) == ([b"return=minimal"], [], [])
    found = ended(served, promise, "delivered")
    assert [happening for happening, _, _ in found] == ["promise", "claim", "deliver"]
    assert found[-1][2] == "answered 201"
    shown = served.run("promise", "show", promise).stdout
    assert "answered 201" in shown
    told = served.run("trace", ids["X-Correlation-ID"]).stdout
    assert "202" in told
    assert "201" in told


def test_what_only_asks_is_answered(served: Served, behind: Backend) -> None:
    path = behind.at(response(200, b'{"a": 1}', ("ETag", '"1"')))
    answer = served.call("GET", f"/updates{path}", headers=served.bearer())
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, {"a": 1}, '"1"')
    assert behind.requests(path)[0].all(b"idempotency-key") == []


def test_the_answer_may_be_200_and_is_json_where_the_api_is_no_fhir(served: Served, behind: Backend) -> None:
    answer = send(served, f"/plain{behind.at(response())}")
    assert (answer.status_code, answer.json()["status"]) == (200, "received")
    assert answer.json()["promise"] == answer.headers["fiveways-promise"]


def test_a_repeat_is_the_same_promise_and_another_request_under_its_id_is_422(served: Served, behind: Backend) -> None:
    path = behind.at(response(200))
    ids = {"X-Request-ID": str(uuid4())}
    answers = [send(served, f"/plain{path}", {"a": 1}, **ids) for _ in range(3)]
    assert len({answer.headers["fiveways-promise"] for answer in answers}) == 1
    ended(served, answers[0].headers["fiveways-promise"], "delivered")
    assert send(served, f"/plain{path}", {"a": 1}, **ids).status_code == 200
    for other in (
        send(served, f"/plain{path}", {"a": 2}, **ids),
        send(served, f"/plain{path}?x=1", {"a": 1}, **ids),
        send(served, f"/plain{path}", {"a": 1}, method="PUT", **ids),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "DUPLICATE_REQUEST_ID")
    mine = send(served, f"/plain{path}", {"a": 2}, application="second", **ids)
    assert mine.status_code == 200, "an id is its consumer's own"
    behind.wait(lambda: len(behind.requests(path)) == 2)
    time.sleep(0.3)
    assert len(behind.requests(path)) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("/updates/Patient", b'{"resourceType": ', 400, "no JSON"),
        ("/updates/Patient", b"[" * 100_000, 400, "no JSON"),
        ("/updates/Patient", {"resourceType": "Observation"}, 400, "no Patient"),
        ("/updates/Patient", [], 400, "no resource"),
        ("/updates/Patient", b"", 400, "no resource"),
        ("/updates/x", {}, 400, "in order"),
        ("/updates/x", {"subject": {"reference": True}}, 400, "in order"),
        ("/updates/x", {"subject": {"reference": "Patient/1"}, "refuse": True}, 403, "not at this time"),
    ],
)
def test_what_is_refused_is_not_promised(served: Served, path: str, body: Any, status: int, why: str) -> None:
    answer = send(served, path, body)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    assert "fiveways-promise" not in answer.headers
    assert "promise" not in served.event(id=answer.json()["id"]).get("details", {})


def test_an_update_is_of_the_resource_that_its_path_says(served: Served) -> None:
    for body, status in (({"resourceType": "Patient", "id": "1"}, 202), ({"resourceType": "Patient", "id": "2"}, 400)):
        assert send(served, "/updates/Patient/1", body, method="PUT").status_code == status


def test_a_body_of_any_kind_and_size_arrives_unchanged_and_one_that_is_too_large_is_413(served: Served, behind: Backend) -> None:
    path = behind.at(response(200))
    large = bytes(range(256)) * 8_000
    assert send(served, f"/plain{path}", large, **{"Content-Type": "application/dicom"}).status_code == 200
    behind.wait(lambda: behind.requests(path) and behind.requests(path)[0].whole)
    assert behind.requests(path)[0].body == large
    assert send(served, f"/plain{path}", bytes(5 * 2**20), **{"Content-Type": "application/dicom"}).status_code == 413
    empty = served.call("DELETE", f"/plain{path}", headers=served.bearer())
    assert empty.status_code == 200
    behind.wait(lambda: len(behind.requests(path)) == 2)
    assert (behind.requests(path)[1].method, behind.requests(path)[1].body) == (b"DELETE", b"")


def failing(times: int, how: bytes, then: bytes = response(200)) -> Callable[..., Any]:
    """An answer that fails so many times."""
    left = [times]

    async def answer(seen: Seen, reader: Any, writer: Any) -> None:
        await read_body(seen, reader)
        left[0] -= 1
        writer.write(how if left[0] >= 0 else then)
        if left[0] >= 0 and not how:
            writer.transport.abort()

    return answer


@pytest.mark.parametrize("how", [response(500), response(503), response(429), response(401), response(403), b""])
def test_what_may_pass_is_tried_again_with_the_same_key(served: Served, behind: Backend, how: bytes) -> None:
    path = behind.at(failing(3, how))
    promise = send(served, f"/plain{path}").headers["fiveways-promise"]
    found = ended(served, promise, "delivered")
    assert [happening for happening, _, _ in found].count("fail") == 3
    assert keys(behind.requests(path)) == [promise] * 4


def test_of_one_key_the_second_waits_for_the_first_and_other_keys_do_not(served: Served, behind: Backend) -> None:
    first, second, other = behind.at(failing(4, response(500))), behind.at(response()), behind.at(response())
    for path, patient in ((first, "1"), (second, "1"), (other, "2")):
        assert send(served, f"/updates{path}", {"subject": {"reference": f"Patient/{patient}"}}).status_code == 202
    behind.wait(lambda: behind.requests(other))
    assert behind.requests(second) == []
    behind.wait(lambda: behind.requests(second), 10)
    assert len(behind.requests(first)) == 5


def test_what_the_provider_will_not_take_holds_up_its_key_until_a_person_has_dealt_with_it(served: Served, behind: Backend) -> None:
    bad, good, behind_it = behind.at(response(422)), behind.at(response()), behind.at(response())
    fields = {"X-Patient-ID": "9000000009"}
    promise = send(served, f"/updates{bad}", **fields).headers["fiveways-promise"]
    ended(served, promise, "dead")
    send(served, f"/updates{behind_it}", **fields)
    listed = served.run("promise", "list")
    assert promise in listed.stdout
    assert "answered 422" in listed.stdout
    assert "9000000009" not in listed.stdout
    time.sleep(0.5)
    assert behind.requests(behind_it) == []
    assert served.run("promise", "mend", promise, "--target", good, "--reason", "was sent to the wrong place").returncode == 0
    assert behind.requests(good) == []
    assert served.run("promise", "resend", promise, "--reason", "mended").returncode == 0
    behind.wait(lambda: behind.requests(behind_it))
    assert keys(behind.requests(good)) == [promise]
    assert json.loads(served.run("promise", "list", "--json").stdout) == []


def test_what_is_given_up_by_a_person_lets_the_rest_go_on(served: Served, behind: Backend) -> None:
    bad, after_it = behind.at(response(500)), behind.at(response())
    fields = {"X-Patient-ID": "giving-up"}
    promise = send(served, f"/updates{bad}", **fields).headers["fiveways-promise"]
    send(served, f"/updates{after_it}", **fields)
    waiting = json.loads(served.run("promise", "list", "--waiting", "--json").stdout)
    assert promise in {each["id"] for each in waiting}
    assert served.run("promise", "give-up", promise, "--reason", "entered by hand").returncode == 0
    behind.wait(lambda: behind.requests(after_it))
    assert life(served, promise)[-1][1] == "discarded"
    assert served.event(kind="delivery.discarded", id=promise)["details"]["reason"] == "entered by hand"


def test_where_it_is_said_so_a_dead_letter_holds_up_nothing(served: Served, behind: Backend) -> None:
    bad, good = behind.at(response(422)), behind.at(response())
    promises = [send(served, f"/news{path}", **{"X-Key": "k"}).headers["fiveways-promise"] for path in (bad, good)]
    behind.wait(lambda: behind.requests(good))
    assert life(served, promises[0])[-1][1] == "dead"
    assert served.run("promise", "give-up", promises[0], "--reason", "tidy").returncode == 0


def test_after_the_time_for_trying_it_is_a_dead_letter_with_its_last_reason(served: Served, behind: Backend) -> None:
    promise = send(served, f"/brief{behind.at(response(503))}").headers["fiveways-promise"]
    found = ended(served, promise, "dead")
    assert "answered 503" in found[-1][2]
    assert served.run("promise", "give-up", promise, "--reason", "tidy").returncode == 0


def test_what_nobody_needs_any_more_is_not_delivered(served: Served, behind: Backend) -> None:
    promise = send(served, f"/ended{behind.at(response(500))}").headers["fiveways-promise"]
    ended(served, promise, "expired")


def test_no_more_than_the_provider_takes_at_once(served: Served, behind: Backend) -> None:
    now, most = 0, 0

    async def slow(seen: Seen, reader: Any, writer: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await after(0.1)(seen, reader, writer)  # type: ignore[operator]
        now -= 1

    path = behind.at(slow)
    promises = [send(served, f"/weak{path}").headers["fiveways-promise"] for _ in range(5)]
    behind.wait(lambda: len({*keys(behind.requests(path))} & {*promises}) == 5, 15)
    assert most == 1


def test_a_promise_that_cannot_be_is_refused_where_it_stands(serve: Serve) -> None:
    base = "pattern: promise, at: /a, security: [open], target: {url: 'http://x'}"
    for more, mistake in (
        ("promise: {order: {}}", "expected where the key is"),
        ("promise: {order: {path: /Patient}}", "path"),
        ("promise: {check: 'no.such:check'}", "no.such:check cannot be loaded"),
        ("operations: [{match: POST /, deduplicate: {by: X-Request-ID}}]", "knows repeats by itself"),
    ):
        with serve(f"apis:\n  a: {{{base}, {more}}}\n", started=False) as served:
            refused = served.run("check")
            assert (refused.returncode, mistake in refused.stdout + refused.stderr) == (1, True), refused.stdout + refused.stderr


def test_a_provider_that_is_down_is_left_alone_and_all_arrives_when_it_is_back(serve: Serve) -> None:
    provider = Backend()
    common = COMMON.format(url=provider.url).replace("failures: 1000", "failures: 3, rest: 1s")
    text = DEPLOYMENT.format(common=common, quick=QUICK)
    with serve(text, started=False) as served:
        shutil.copy(Path(__file__).parent / "plans.py", served.folder)
        served.start()
        path = provider.at(response())
        provider.go()
        promises = [
            send(served, f"/updates{path}?n={number}", **{"X-Patient-ID": str(number % 5)}).headers["fiveways-promise"]
            for number in range(40)
        ]
        time.sleep(3)
        events = sum(len(life(served, promise)) for promise in promises)
        assert events < 120, "an open breaker costs no attempts"
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
        served.start()
        provider.come_back()
        provider.wait(lambda: len({*keys(provider.requests(path))}) == 40, 30)
        for patient in range(5):
            first: dict[str, int] = {}
            for seen in provider.requests(path):
                number = int(seen.target.rpartition(b"=")[2])
                if number % 5 == patient:
                    first.setdefault(keys([seen])[0], number)
            assert list(first.values()) == list(range(patient, 40, 5)), "in the order in which they came"
    provider.stop()


def test_where_one_node_is_killed_the_other_keeps_its_promises(
    serve: Serve,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path: Path,
) -> None:
    provider = Backend()
    store = f'store: {{url: "{postgres()}", payloads: "file://{tmp_path}/payloads"}}\n'
    text = store + DEPLOYMENT.format(common=COMMON.format(url=provider.url), quick=QUICK)
    with ExitStack() as stack:
        nodes = []
        for name in ("one", "two"):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            nodes.append(stack.enter_context(serve(text, "--node", name, http=f"127.0.0.1:{port}", started=False)))
            shutil.copy(Path(__file__).parent / "plans.py", nodes[-1].folder)
            nodes[-1].start()
        path = provider.at(after(0.02))
        promises = []
        for number in range(30):
            if number == 20:
                nodes[0].stop(signal.SIGKILL)
            node = nodes[number % 2] if number < 20 else nodes[1]
            answer = send(node, f"/updates{path}?n={number}", **{"X-Patient-ID": str(number % 3)})
            promises.append(answer.headers["fiveways-promise"])
        provider.wait(lambda: {*promises} == {*keys(provider.requests(path))}, 60)  # a killed node's lease has to run out
        for patient in range(3):
            seen = [int(each.target.rpartition(b"=")[2]) for each in provider.requests(path)]
            assert list(dict.fromkeys(n for n in seen if n % 3 == patient)) == list(range(patient, 30, 3))
    provider.stop()


@pytest.mark.parametrize("target", ["Patient/2", "/../x", "/a b", "/ü"])
def test_what_is_mended_so_that_it_leads_elsewhere_is_given_up_again(served: Served, behind: Backend, target: str) -> None:
    promise = send(served, f"/news{behind.at(response(422))}", **{"X-Key": target.encode().hex()}).headers["fiveways-promise"]
    ended(served, promise, "dead")
    assert served.run("promise", "mend", promise, "--target", target, "--reason", "mistaken").returncode == 0
    before = len(life(served, promise))
    seen = len(behind.seen)
    assert served.run("promise", "resend", promise, "--reason", "mistaken").returncode == 0
    behind.wait(lambda: len(life(served, promise)) >= before + 3)
    assert (ended(served, promise, "dead")[-1][0], len(behind.seen)) == ("give up", seen)
    assert served.run("promise", "give-up", promise, "--reason", "tidy").returncode == 0


@pytest.mark.parametrize("answer", [dying(b""), after(3)])
def test_a_provider_that_breaks_off_or_is_too_slow_is_tried_again(served: Served, behind: Backend, answer: Any) -> None:
    path = behind.at(answer)
    promise = send(served, f"/plain{path}").headers["fiveways-promise"]
    behind.wait(lambda: len(behind.requests(path)) >= 2, 10)
    assert keys(behind.requests(path))[:2] == [promise] * 2
    assert served.run("promise", "give-up", promise, "--reason", "tidy").returncode == 0
    again = served.run("promise", "give-up", promise, "--reason", "tidy")
    assert (again.returncode, "could still be given up: it is discarded" in again.stderr) == (1, True)
