"""What stands beside channels: who is not there is reached, what is said is recorded, what happens elsewhere is told, and large
things are attached."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.acceptance.conftest import Backend, Serve, response
from tests.acceptance.realtime.conftest import Estate, estate_of

CHANNELS = """
  care:
    name: "care:{id}"
    kind: conversation
    invite: [{organisation: RXN}]
    reach: {after: 100ms, url: "$backend/reach", secrets: [env:SECRET]}
    record: {fhir: "$backend/fhir", secrets: [env:SECRET]}
  mail:
    name: "mail:{id}"
    kind: conversation
    invite: [{organisation: RXN}]
    reach: {after: 100ms, mailbox: {"application:second": RXS-IN}, from: RXN-OUT, workflow: WAITING}
  arrivals: {name: arrivals, kind: broadcast, join: [{anyone: true}], follow: [{message: RXS-IN}]}
  estate: {name: estate, kind: feed, merge: true, join: [{anyone: true}], follow: [{metrics: 200ms}], history: {length: 10}}
  near: {name: "near:{id}", kind: broadcast, join: [{ask: "$backend$may"}, {organisation: RXN, ask: "$backend/no"}]}
outbound: {allow: ["127.0.0.1"], networks: ["127.0.0.0/8"], plain_http: true}
messaging: {shared_key: env:SHARED}
mailboxes:
  RXN-OUT: {organisation: RXN, password: env:PASSWORD}
  RXS-IN: {organisation: A81001, password: env:PASSWORD}
workflows: {WAITING: {from: [RXN-OUT], to: [RXS-IN]}}
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Backend]:
    """Whom the platform calls."""
    made = Backend()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def beside(serve: Serve, receiver: Backend) -> Iterator[Estate]:
    """The platform."""
    may = receiver.at(response(200, b'{"allowed": true}'))
    channels = CHANNELS.replace("$backend", receiver.url).replace("$may", may)
    context, live = estate_of(serve, channels=channels, environment=ENVIRONMENT)
    with context as served:
        yield Estate(served, live)


ENVIRONMENT = {
    "SECRET": "whsec_" + base64.b64encode(b"a" * 32).decode(), "SHARED": "a-shared-key-of-the-tests", "PASSWORD": "a-password",
}  # fmt: skip


def history(estate: Estate, channel: str) -> list[Any]:
    """What was said in a channel."""
    answer = estate.served.call("GET", f"/realtime/channels/{channel}/messages?limit=1000", headers=estate.served.bearer())
    assert answer.status_code == 200, answer.text
    return list(answer.json()["messages"])


def until(condition: Any, seconds: float = 15) -> Any:
    """What a condition comes to, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_who_is_not_there_is_told_by_a_webhook_and_what_is_said_is_recorded(beside: Estate, receiver: Backend) -> None:
    beside.begin("care:1", "application:ward", "application:second")
    assert beside.publish("care:1", {"text": "please review"}).status_code == 201
    told = until(lambda: receiver.requests("/reach"))[0]
    said = json.loads(told.body)
    assert (said["participant"], said["messages"], said["channel"]) == ("application:second", 1, "care:1")
    assert told.all(b"fiveways-signature")
    recorded = until(lambda: receiver.requests("/fhir/Communication"))[0]
    resource = json.loads(recorded.body)
    assert resource["resourceType"] == "Communication"
    assert resource["payload"] == [{"contentString": "please review"}]
    assert resource["sender"]["identifier"]["value"] == "ward"
    assert [each["identifier"]["value"] for each in resource["recipient"]] == ["second"]
    assert recorded.all(b"if-none-exist") == [f"identifier=urn:ietf:rfc:3986|{resource['identifier'][0]['value']}".encode()]
    time.sleep(2.5)
    assert len(receiver.requests("/reach")) == 1, "of the same message they are told once"
    assert len(receiver.requests("/fhir/Communication")) == 1


def test_who_is_not_there_has_it_in_their_mailbox_and_a_channel_follows_the_mailbox(beside: Estate) -> None:
    beside.begin("mail:1", "application:ward", "application:second")
    beside.publish("mail:1", "hello")
    found = until(lambda: history(beside, "arrivals"))
    assert len(found) == 1
    assert found[0]["data"] | {"id": ""} == {
        "what": "message", "of": "RXS-IN", "state": "arrived", "sender": "RXN-OUT", "workflow": "WAITING", "id": "",
    }  # fmt: skip
    time.sleep(2)
    assert len(history(beside, "arrivals")) == 1


def test_the_platforms_own_figures_are_a_board(beside: Estate) -> None:
    found = until(lambda: history(beside, "estate"))
    assert found[-1]["data"]["realtime"]["channels"] >= 0
    assert {"apis", "inboxes", "queues", "realtime"} <= found[-1]["data"].keys()
    metrics = beside.served.call("GET", "/metrics").text
    assert "fiveways_realtime_published_total" in metrics


@pytest.mark.parametrize("size", [100, 200_000])
def test_an_attachment_is_kept_and_had_by_who_takes_part(beside: Estate, size: int) -> None:
    beside.begin("care:2", "application:ward")
    content = bytes(range(256)) * (size // 256 + 1)
    path = "/realtime/channels/care:2/attachments"
    fields = {**beside.served.bearer(), "content-type": "image/png", "x-file-name": "wound.png"}
    made = beside.served.call("POST", path, content=content, headers=fields)
    assert made.status_code == 201, made.text
    assert made.json()["sha256"] == hashlib.sha256(content).hexdigest()
    got = beside.served.call("GET", f"{path}/{made.json()['id']}", headers=beside.served.bearer())
    assert got.content == content
    assert got.headers["content-type"] == "image/png"
    refused = beside.served.call("GET", f"{path}/{made.json()['id']}", headers=beside.served.bearer("second"))
    assert refused.status_code == 403
    nothing = beside.served.call("GET", f"{path}/nothing", headers=beside.served.bearer())
    assert nothing.status_code == 404


def test_operators_look_at_channels_and_say_something(beside: Estate) -> None:
    run = beside.served.run
    beside.begin("care:3", "application:ward")
    beside.publish("care:3", {"text": "one"})
    assert "care:3" in run("channel", "list").stdout
    done = run("channel", "publish", "care:3", '{"text": "from the operator"}', "--id", "x")
    assert done.returncode == 0, done.stderr
    assert json.loads(run("channel", "publish", "care:3", '{"text": "from the operator"}', "--id", "x").stdout)["again"]
    written = run("channel", "transcript", "care:3").stdout
    assert "one" in written
    assert "operator:" in written
    bundle = json.loads(run("channel", "transcript", "care:3", "--as", "fhir").stdout)
    assert [each["resource"]["payload"][0]["contentString"] for each in bundle["entry"]] == ["one", "from the operator"]
    assert run("channel", "publish", "strange", "1").returncode != 0
    assert beside.served.events(kind="realtime.channel.read")


def test_who_has_a_relationship_is_asked_of_those_who_know(beside: Estate, receiver: Backend) -> None:
    assert history(beside, "near:1") == []
    asked = [json.loads(seen.body) for seen in receiver.seen if b'"near:1"' in seen.body]
    assert [each["channel"] for each in asked] == ["near:1"]
    assert (asked[0]["application"], asked[0]["organisation"]) == ("ward", "RXN")
    assert history(beside, "near:1") == []
    assert len([seen for seen in receiver.seen if b'"near:1"' in seen.body]) == 1, "it is known for a minute"
