"""Channels over HTTP: published in, asked about, and written out; and what the audit keeps of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate, estate_of
from tests.acceptance.realtime.javascript_client import wait
from tests.unit.methods.synchronous.transformation.validators import problems

MEMBERS = ("application:ward", "application:second")


def ask(estate: Estate, path: str, application: str = "ward", method: str = "GET", **options: Any) -> httpx.Response:
    """A request under /realtime/channels."""
    headers = {**estate.served.bearer(application), **options.pop("headers", {})}
    return estate.served.call(method, f"/realtime/channels/{path}", headers=headers, **options)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that a refusal is told as (RFC 9457)."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    return found


def misshapen(bundle: dict[str, Any]) -> list[str]:
    """What validators find wrong with a Bundle; one of them takes no choice of type within an element for one."""
    return [each for each in problems(bundle) if not each.endswith("payload[0].content[x] is required")]


# --- publishing ------------------------------------------------------------------------------------------------------------------


def test_what_is_published_has_the_next_number(platform: Estate) -> None:
    answers = [platform.publish("brief:41", {"number": number}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    told = [answer.json() for answer in answers]
    assert [each["offset"] for each in told] == [1, 2, 3]
    assert len({each["epoch"] for each in told}) == 1
    assert [each["again"] for each in told] == [False] * 3


def test_of_what_is_not_kept_there_is_no_number(platform: Estate) -> None:
    answer = platform.publish("news", "passing")
    assert (answer.status_code, answer.json()) == (201, {"offset": 0, "epoch": "", "again": False})


def test_what_comes_twice_under_one_key_is_published_once(platform: Estate) -> None:
    headers = {"Idempotency-Key": '"k-1"'}
    first = platform.publish("brief:42", {"text": "once"}, **headers)
    again = platform.publish("brief:42", {"text": "once"}, **headers)
    laid_out = ask(platform, "brief:42/messages", method="POST", content=b'{\n  "text": "once"\n}', headers=headers)
    assert (first.status_code, again.status_code, laid_out.status_code) == (201, 200, 200)
    assert again.json() == laid_out.json() == {**first.json(), "again": True}
    other = problem(platform.publish("brief:42", {"text": "another"}, **headers), 409)
    assert "id" in other["detail"]
    elsewhere = platform.publish("brief:42", {"text": "another"}, application="second", **headers)
    assert elsewhere.status_code == 201, "keys are their senders' own"
    assert len(ask(platform, "brief:42/messages").json()["messages"]) == 2


def test_the_same_key_at_the_same_time_is_published_once(platform: Estate) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: platform.publish("brief:43", 1, **{"Idempotency-Key": "k"}), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert {answer.json()["offset"] for answer in answers} == {1}


def test_many_at_once_are_each_by_themselves(platform: Estate) -> None:
    messages = [
        {"channel": "brief:44", "data": 1, "id": "m-1"},
        {"channel": "ward:44:board", "data": {"bed-1": "free"}},
        {"channel": "nowhere", "data": 2},
        {"channel": "own:ward", "data": 3},
        {"channel": "brief:44", "data": 1, "id": "m-1"},
        {"channel": "brief:44", "data": "other", "id": "m-1"},
        {"channel": "ward:44:board", "data": ["no object"]},
        {"channel": "brief:44", "data": "x" * 70_000},
        {"channel": "brief:44", "data": 4},
    ]
    answer = platform.served.call(
        "POST", "/realtime/messages", json={"messages": messages}, headers=platform.served.bearer("second")
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each.get("error", {}).get("status", each.get("offset")) for each in results] == [1, 403, 404, 403, 1, 409, 403, 413, 2]
    assert [each.get("again") for each in results] == [False, None, None, None, True, None, None, None, False]
    assert all(set(each["error"]) == {"status", "code", "detail"} for each in results if "error" in each)
    mine = platform.served.call("POST", "/realtime/messages", json={"messages": messages[6:7]}, headers=platform.served.bearer())
    assert mine.json()["results"][0]["error"]["status"] == 400


def test_no_more_at_once_than_may_be(platform: Estate) -> None:
    none = platform.served.call("POST", "/realtime/messages", json={"messages": []}, headers=platform.served.bearer())
    assert none.json() == {"results": []}
    many = {"messages": [{"channel": "news", "data": 1}] * 1001}
    problem(platform.served.call("POST", "/realtime/messages", json=many, headers=platform.served.bearer()), 400)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nothing", b'{"a":1}{', b'"\xff"', b"[" * 100_000, b'"\x00"', b"1e9999", b'{"a":\n', b"\xef\xbb\xbf1"]
)
def test_what_is_no_json_is_refused(platform: Estate, body: bytes) -> None:
    problem(ask(platform, "brief:45/messages", method="POST", content=body), 400)
    assert ask(platform, "brief:45/messages").json()["offset"] == 0


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"messages":[{"data":1}]}', b'{"messages":{}}', b'{"messages":[{"channel":1,"data":1}]}']
)
def test_what_is_no_batch_is_refused(platform: Estate, body: bytes) -> None:
    problem(platform.served.call("POST", "/realtime/messages", content=body, headers=platform.served.bearer()), 400)


def test_what_is_too_large_is_refused(platform: Estate) -> None:
    assert platform.publish("brief:46", "x" * (64 * 1024 - 2)).status_code == 201
    problem(platform.publish("brief:46", "x" * (64 * 1024 - 1)), 413)
    problem(ask(platform, "brief:46/messages", method="POST", content=b'"' + b"x" * 5 * 2**20 + b'"'), 413)
    problem(platform.publish("brief:46", 1, **{"Idempotency-Key": "k" * 129}), 400)
    assert ask(platform, "brief:46/messages").json()["offset"] == 1


def test_faster_than_allowed_is_told_when_to_come_again(serve: Serve) -> None:
    channel = "  slow: {name: slow, kind: feed, join: [{anyone: true}], publish: [{anyone: true}], limits: {rate: 3/min}}"
    context, live = estate_of(serve, channels=channel)
    with context as served:
        estate = Estate(served, live)
        assert [estate.publish("slow", number).status_code for number in range(3)] == [201] * 3
        refused = estate.publish("slow", 4)
        problem(refused, 429)
        assert 10 <= int(refused.headers["retry-after"]) <= 20
        assert estate.publish("slow", 5, application="second").status_code == 201, "each has a rate of their own"
        batch = {"messages": [{"channel": "slow", "data": 6}]}
        answer = served.call("POST", "/realtime/messages", json=batch, headers=served.bearer())
        assert answer.json()["results"][0]["error"]["status"] == 429


def test_refusals_say_what_is_wrong(platform: Estate) -> None:
    none = platform.served.call("POST", "/realtime/channels/news/messages", json=1)
    problem(none, 401)
    assert none.headers["www-authenticate"].startswith("Bearer")
    stranger = platform.served.call("GET", "/realtime/channels/news/messages", headers={"Authorization": "Bearer nobody's"})
    problem(stranger, 401)
    problem(platform.publish("ward:1:board", {}, application="second"), 403)
    problem(platform.publish("nowhere", {}), 404)
    for path in ("news", "news/nothing", "news/messages/1", "", "/messages"):
        problem(ask(platform, path), 404)
    for path, methods in (("news/messages", {"GET", "POST"}), ("news/presence", {"GET"}), ("talk:1/participants", {"POST"})):
        wrong = ask(platform, path, method="DELETE")
        problem(wrong, 405)
        assert set(wrong.headers["allow"].split(", ")) == methods


# --- looking ---------------------------------------------------------------------------------------------------------------------


def test_history_page_by_page(platform: Estate) -> None:
    for number in range(1, 26):
        platform.publish("ward:47:board", {"n": number})
    whole = ask(platform, "ward:47:board/messages").json()
    assert (whole["offset"], len(whole["messages"])) == (25, 25)
    pages: list[int] = []
    since = "0"
    while True:
        page = ask(platform, f"ward:47:board/messages?limit=10&since={since}").json()["messages"]
        if not page:
            break
        pages += [each["offset"] for each in page]
        since = f"{whole['epoch']}:{pages[-1]}"
    assert pages == list(range(1, 26))
    back = ask(platform, "ward:47:board/messages?limit=3&reverse=true").json()["messages"]
    assert [each["data"]["n"] for each in back] == [25, 24, 23]
    before = ask(platform, f"ward:47:board/messages?limit=3&reverse=true&since={whole['epoch']}:23").json()["messages"]
    assert [each["offset"] for each in before] == [22, 21, 20]
    assert ask(platform, "ward:47:board/messages?limit=0").json()["messages"] == []


@pytest.mark.parametrize("query", ["since=x", "since=-1", "limit=-1", "limit=x", "limit=99999", "since=0123:1", "since=1%00"])
def test_a_question_that_is_none(platform: Estate, query: str) -> None:
    platform.publish("brief:48", 1)
    problem(ask(platform, f"brief:48/messages?{query}"), 400)


def test_history_of_what_is_not_kept(platform: Estate) -> None:
    problem(ask(platform, "news/messages"), 404)
    problem(ask(platform, "ward:1:board/messages", "second"), 403)


def test_who_is_there(platform: Estate, node_client: Callable[..., Any]) -> None:
    assert ask(platform, "brief:49/presence").json() == {"present": []}
    client = node_client("second")
    client.subscribe("brief:49")
    wait(lambda: ask(platform, "brief:49/presence").json()["present"])
    (there,) = ask(platform, "brief:49/presence").json()["present"]
    assert there == {"client": client.told("connected")[0]["client"], "member": "application:second"}
    problem(ask(platform, "news/presence"), 404)
    problem(ask(platform, "ward:1:board/presence", "second"), 403)


# --- conversations ---------------------------------------------------------------------------------------------------------------


def test_a_conversation_is_begun_and_others_are_invited(platform: Estate) -> None:
    begun = ask(platform, "talk:51/participants", method="POST", json={"members": [MEMBERS[0]]})
    again = ask(platform, "talk:51/participants", method="POST", json={"members": [MEMBERS[0]]})
    assert (begun.status_code, again.status_code, again.json()["again"]) == (201, 200, True)
    problem(platform.publish("talk:51", "let me in", application="second"), 403)
    problem(ask(platform, "talk:51/participants", "second", "POST", json={"members": [MEMBERS[1]]}), 403)
    problem(ask(platform, "talk:51/transcript", "second"), 403)
    assert ask(platform, "talk:51/participants", method="POST", json={"members": list(MEMBERS)}).status_code == 201
    assert platform.publish("talk:51", "here I am", application="second").status_code == 201
    for members in ([], ["ward"], ["person:"], ["person:a\nb"], ["application:" + "x" * 300]):
        problem(ask(platform, "talk:51/participants", method="POST", json={"members": members}), 400)
    problem(ask(platform, "brief:51/participants", method="POST", json={"members": list(MEMBERS)}), 404)


@pytest.fixture(scope="module")
def conversation(platform: Estate, process: Any) -> str:
    """A conversation in which something was said, read, corrected and retracted."""
    channel = "talk:52"
    platform.begin(channel, *MEMBERS)
    assert platform.publish(channel, {"text": "is bed 4 free?", "id": 7}).json()["offset"] == 2
    assert platform.publish(channel, "yes <b>", application="second").json()["offset"] == 3
    assert platform.publish(channel, {"bed": 4, "until": None}).json()["offset"] == 4
    assert platform.publish(channel, "wrong window", application="second").json()["offset"] == 5
    ward, second = (process.client(platform.websocket, platform.served.token(each)).connect() for each in ("ward", "second"))
    second.call("rpc", "message.acknowledge", {"channel": channel, "offset": 4, "state": "read"})
    ward.call("rpc", "message.correct", {"channel": channel, "offset": 2, "data": {"text": "is bed 5 free?"}})
    second.call("rpc", "message.retract", {"channel": channel, "offset": 5, "reason": "another patient"})
    return channel


def test_a_transcript_for_programs(platform: Estate, conversation: str) -> None:
    for accept in ("application/json", "*/*", "text/html"):
        answer = ask(platform, f"{conversation}/transcript", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["channel"], found["kind"], found["closed"], found["offset"]) == (conversation, "talk", False, 8)
    assert set(found["participants"]) == set(MEMBERS)
    entries = {each["offset"]: each for each in found["entries"]}
    assert list(entries) == [1, 2, 3, 4, 5]
    assert entries[1]["happening"] == "invite"
    assert [entries[number]["state"] for number in (2, 3, 4, 5)] == ["corrected", "sent", "read", "retracted"]
    assert (entries[2]["data"], entries[2]["former"]) == ({"text": "is bed 5 free?"}, [{"text": "is bed 4 free?", "id": 7}])
    assert list(entries[4]["read"]) == ["application:second"]
    assert entries[5]["retracted"] == {"reason": "another patient"}


def test_a_transcript_for_people(platform: Estate, conversation: str) -> None:
    answer = ask(platform, f"{conversation}/transcript", headers={"Accept": "text/plain"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.text.splitlines()
    assert re.search(r"^ +2  \d{4}-\d\d-\d\dT[\d:.]+Z  application:ward  \[corrected\]  ", answer.text, re.MULTILINE)
    assert any("formerly: " in line and "bed 4" in line for line in lines)
    assert any("retracted: " in line and "another patient" in line for line in lines)
    assert any(line.strip().startswith("read by application:second") for line in lines)


def test_a_transcript_for_the_record(platform: Estate, conversation: str) -> None:
    answer = ask(platform, f"{conversation}/transcript", headers={"Accept": "application/fhir+json"})
    assert answer.headers["content-type"] == "application/fhir+json"
    bundle = answer.json()
    assert misshapen(bundle) == []
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    said = [entry["resource"] for entry in bundle["entry"]]
    assert {each["resourceType"] for each in said} == {"Communication"}
    assert [each["status"] for each in said] == ["completed"] * 3 + ["entered-in-error"]
    assert [each["payload"][0]["contentString"] for each in said] == [
        "is bed 5 free?", "yes <b>", '{"bed":4,"until":null}', "wrong window",
    ]  # fmt: skip
    assert [each["sender"]["identifier"]["value"] for each in said] == ["ward", "second", "ward", "second"]
    assert [[who["identifier"]["value"] for who in each["recipient"]] for each in said] == [["second"], ["ward"]] * 2
    assert "received" in said[0]
    for entry, each in zip(bundle["entry"], said, strict=True):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", each["sent"])
        assert entry["fullUrl"] == each["identifier"][0]["value"]
        UUID(entry["fullUrl"].removeprefix("urn:uuid:"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(said=JSON)
def test_whatever_is_said_is_written_out(fuzzed: tuple[Estate, httpx.Client], said: Any) -> None:
    estate, client = fuzzed
    headers = estate.served.bearer()
    offset = client.post("/realtime/channels/talk:53/messages", content=json.dumps(said), headers=headers).json()["offset"]
    for accept in ("application/json", "text/plain", "application/fhir+json"):
        answer = client.get("/realtime/channels/talk:53/transcript", headers={**headers, "Accept": accept})
        assert answer.status_code == 200, answer.text
        if accept == "application/json":
            (entry,) = [each for each in answer.json()["entries"] if each["offset"] == offset]
            assert entry["data"] == said


@pytest.fixture(scope="module")
def fuzzed(platform: Estate) -> Any:
    """A conversation in which anything is said."""
    platform.begin("talk:53", *MEMBERS)
    with platform.served.client() as client:
        yield platform, client


@pytest.mark.parametrize("body", [b'"\\u0000"', b'""', b'" "', b"9" * 400, b"[" * 60 + b"]" * 60, b'{"text":""}', b'{"text":7}'])
def test_what_is_odd_is_written_out(platform: Estate, body: bytes) -> None:
    channel = f"talk:odd-{uuid4().hex[:8]}"
    platform.begin(channel, *MEMBERS)
    platform.publish_raw(channel, body)
    for accept in ("application/json", "text/plain", "application/fhir+json"):
        answer = ask(platform, f"{channel}/transcript", headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
    assert misshapen(answer.json()) == []


# --- the audit -------------------------------------------------------------------------------------------------------------------


def test_the_audit_says_that_and_by_whom_and_not_what(platform: Estate) -> None:
    platform.begin("talk:54", *MEMBERS)
    correlation, secret = str(uuid4()), f"secret-{uuid4().hex}"
    answer = platform.publish("talk:54", {"text": secret}, **{"X-Correlation-ID": correlation})
    assert answer.status_code == 201
    event = platform.served.event(kind="realtime.message.say", correlation_id=correlation)
    assert (event["subject"], event["api"]) == ("application:ward", "talk")
    assert event["details"]["size"] == len(json.dumps({"text": secret}, separators=(",", ":")))
    (request,) = platform.served.events(kind="interaction", correlation_id=correlation)
    assert (request["name"], request["status"], request["application"]) == ("realtime.publish", 201, "ward")
    assert secret not in json.dumps(platform.served.events())
    again = platform.publish("talk:54", {"text": secret}, **{"X-Correlation-ID": correlation, "Idempotency-Key": "k"})
    platform.publish("talk:54", {"text": secret}, **{"X-Correlation-ID": correlation, "Idempotency-Key": "k"})
    assert again.status_code == 201
    wait(lambda: platform.served.events(kind="realtime.message.repeated", correlation_id=correlation))
    said = ask(platform, "talk:54/transcript").json()["entries"][1]
    assert said["data"] == {"text": secret}
    assert said["id"] == event["id"]


def test_a_publication_is_traced_by_its_correlation_id(platform: Estate) -> None:
    platform.begin("talk:55", *MEMBERS)
    correlation = str(uuid4())
    platform.publish("talk:55", {"text": "traced"}, **{"X-Correlation-ID": correlation})
    platform.served.event(kind="realtime.message.say", correlation_id=correlation)
    traced = platform.served.run("trace", correlation)
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert "realtime.message.say" in traced.stdout
    assert "realtime.publish" in traced.stdout
    assert "traced" not in traced.stdout


def test_readers_are_given_the_correlation_id(platform: Estate, node_client: Callable[..., Any]) -> None:
    channel = node_client().subscribe("brief:56")
    correlation = str(uuid4())
    platform.publish("brief:56", 1, **{"X-Correlation-ID": correlation})
    wait(lambda: channel.said)
    assert channel.told("publication")[0]["tags"]["correlation"] == correlation
