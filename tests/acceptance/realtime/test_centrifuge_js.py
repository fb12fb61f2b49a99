"""Centrifugo's JavaScript client, unchanged, in Node.js: each feature of the protocol that Fiveways speaks, as it is used.

npm fetches it once, as `javascript/package-lock.json` pins it. Where that is out of reach these tests are skipped, and say so.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.clients import JAVASCRIPT, shows
from tests.acceptance.realtime.conftest import Estate, estate_of, short_lived
from tests.acceptance.realtime.javascript_client import JsClient, JsError, Node, wait


def connected(node: Node, estate: Estate, application: str = "ward", **options: Any) -> JsClient:
    """A client that is connected."""
    return node.client(estate.websocket, estate.served.token(application), **options).connect()


@shows(JAVASCRIPT, "token")
def test_connect_with_a_token(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    (told,) = client.told("connected")
    assert told["transport"] == "websocket"
    assert told["client"]
    assert client.call("state") == "connected"


def test_what_a_client_says_of_itself_is_no_harm(node: Node, platform: Estate) -> None:
    client = connected(node, platform, data={"ward": 7}, name="js-test", version="1.2.3", headers={"X-Own": "1"})
    channel = client.subscribe("brief:19", data=["also", 1])
    channel.call("publish", None)
    wait(lambda: channel.said == [None])


@shows(JAVASCRIPT, "asked")
def test_connect_with_a_token_that_is_asked_for(node: Node, platform: Estate) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("again" if asked else "first")
        return platform.served.token("ward")

    client = node.client(platform.websocket, asks=ask).connect()
    client.subscribe("news").call("publish", "here")
    assert asked == ["first"]


def test_a_token_that_is_none_ends_the_connection_for_good(node: Node, platform: Estate) -> None:
    client = node.client(platform.websocket, "nobody's")
    client.call("connect")
    wait(lambda: client.told("disconnected"))
    assert client.told("disconnected") == [{"code": 3500, "reason": "invalid token"}]
    time.sleep(0.5)
    assert client.call("state") == "disconnected"


def test_whoever_is_given_no_token_stays_away(node: Node, platform: Estate) -> None:
    client = node.client(platform.websocket, asks=lambda: None)
    client.call("connect")
    wait(lambda: client.told("disconnected"))
    assert client.told("disconnected")[0]["reason"] == "unauthorized"


@shows(JAVASCRIPT, "read", "publish")
def test_subscribe_and_publish(node: Node, platform: Estate) -> None:
    reading = connected(node, platform).subscribe("news")
    client = connected(node, platform, "second")
    writing = client.subscribe("news")
    writing.call("publish", {"text": "good morning"})
    client.call("publish", "news", ["and", 2])
    wait(lambda: len(reading.said) == len(writing.said) == 2)
    assert reading.said == writing.said == [{"text": "good morning"}, ["and", 2]]
    assert reading.told("publication")[0]["info"]["user"] == "application:second"
    (told,) = reading.told("subscribed")
    assert told["channel"] == "news"


def test_what_was_published_over_several_lines_is_one_message(node: Node, platform: Estate) -> None:
    """Somebody's JSON is laid out for people; a line break is the end of a reply on this wire."""
    reading = connected(node, platform).subscribe("news")
    body = '{\n  "text": "Zoë has\\n left",\r\n\t"beds": [\n 1, 2\n]\n}\n'
    platform.publish_raw("news", body.encode())
    wait(lambda: reading.said)
    assert reading.said == [{"text": "Zoë has\n left", "beds": [1, 2]}]


@shows(JAVASCRIPT, "refused")
@pytest.mark.parametrize(("channel", "code"), [("ward:1:board", 103), ("nowhere", 102), ("own:ward", 103)])
def test_what_is_not_open_is_refused(node: Node, platform: Estate, channel: str, code: int) -> None:
    client = connected(node, platform, "second")
    refused = client.subscription(channel)
    refused.call("subscribe")
    wait(lambda: refused.told("unsubscribed"))
    assert refused.told("unsubscribed")[0]["code"] == code
    with pytest.raises(JsError) as error:
        client.call("publish", channel, {})
    assert error.value.code == code


@shows(JAVASCRIPT, "presence")
def test_presence_and_its_counts(node: Node, platform: Estate) -> None:
    one = connected(node, platform).subscribe("brief:11")
    two = connected(node, platform, "second").subscribe("brief:11")
    wait(lambda: len(one.call("presence")["clients"]) == 2)
    there = one.call("presence")["clients"]
    told = {each.client.told("connected")[0]["client"]: user for each, user in ((one, "ward"), (two, "second"))}
    assert {key: value["user"] for key, value in there.items()} == {key: f"application:{user}" for key, user in told.items()}
    assert one.call("presenceStats") == {"numClients": 2, "numUsers": 2}
    other = connected(node, platform)
    other.subscribe("brief:11")
    wait(lambda: two.call("presenceStats")["numClients"] == 3)
    assert other.call("presenceStats", "brief:11") == {"numClients": 3, "numUsers": 2}


@shows(JAVASCRIPT, "come")
def test_who_comes_and_goes_is_told(node: Node, platform: Estate) -> None:
    watching = connected(node, platform).subscribe("brief:12", joinLeave=True)
    leaving = connected(node, platform, "second").subscribe("brief:12", joinLeave=True)
    wait(lambda: "application:second" in [each["info"]["user"] for each in watching.told("join")])
    leaving.call("unsubscribe")
    wait(lambda: watching.told("leave"))
    assert [each["info"]["user"] for each in watching.told("leave")] == ["application:second"]
    cut = connected(node, platform, "second")
    cut.subscribe("brief:12")
    wait(lambda: len(watching.told("join")) == 3)
    cut.cut()
    wait(lambda: len(watching.told("leave")) == 2)


@shows(JAVASCRIPT, "history")
def test_history_and_its_pages(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    channel = client.subscribe("brief:13")
    for number in range(1, 4):
        channel.call("publish", {"number": number})
    found = channel.call("history", {"limit": 10})
    assert [each["data"]["number"] for each in found["publications"]] == [1, 2, 3]
    assert [each["offset"] for each in found["publications"]] == [1, 2, 3]
    since = {"offset": 1, "epoch": found["epoch"]}
    after = client.call("history", "brief:13", {"limit": 1, "since": since})
    assert [each["data"]["number"] for each in after["publications"]] == [2]
    assert after["offset"] == 3
    back = client.call("history", "brief:13", {"limit": 2, "reverse": True})
    assert [each["offset"] for each in back["publications"]] == [3, 2]
    before = client.call("history", "brief:13", {"limit": 10, "reverse": True, "since": {"offset": 3, "epoch": found["epoch"]}})
    assert [each["offset"] for each in before["publications"]] == [2, 1]
    assert client.call("history", "brief:13", {"limit": 0})["publications"] == []
    assert len(client.call("history", "brief:13", {"limit": -1})["publications"]) == 3
    with pytest.raises(JsError):
        client.call("history", "brief:13", {"limit": 1, "since": {"offset": 1, "epoch": "another"}})


@shows(JAVASCRIPT, "recovery")
def test_what_was_missed_while_away_is_recovered(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    channel = client.subscribe("brief:14", recoverable=True)
    platform.publish("brief:14", 1)
    wait(lambda: channel.said == [1])
    client.call("disconnect")
    platform.publish("brief:14", 2)
    platform.publish("brief:14", 3)
    client.connect()
    wait(lambda: channel.said == [1, 2, 3])
    told = channel.told("subscribed")[-1]
    assert (told["wasRecovering"], told["recovered"]) == (True, True)
    assert [each["offset"] for each in channel.told("publication")] == [1, 2, 3]


@shows(JAVASCRIPT, "recovery")
def test_what_was_missed_while_the_line_was_cut_is_recovered(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    channel = client.subscribe("brief:15")
    platform.publish("brief:15", 1)
    wait(lambda: channel.said == [1])
    client.cut()
    for number in range(2, 12):
        platform.publish("brief:15", number)
    wait(lambda: len(channel.said) == 11)
    platform.publish("brief:15", 12)
    wait(lambda: len(channel.said) == 12)
    assert channel.said == list(range(1, 13))
    assert channel.told("subscribed")[-1]["recovered"]
    assert len(client.told("connected")) == 2


def test_going_on_from_a_position_that_was_written_down(node: Node, platform: Estate) -> None:
    for number in range(1, 5):
        platform.publish("brief:16", number)
    client = connected(node, platform)
    epoch = client.call("history", "brief:16", {"limit": 0})["epoch"]
    channel = client.subscribe("brief:16", since={"offset": 2, "epoch": epoch})
    wait(lambda: channel.said == [3, 4])
    assert channel.told("subscribed")[0]["recovered"]


@shows(JAVASCRIPT, "lost")
def test_what_cannot_be_recovered_is_told_to_be_lost(node: Node, platform: Estate) -> None:
    platform.publish("brief:17", 1)
    client = connected(node, platform)
    channel = client.subscribe("brief:17", since={"offset": 1, "epoch": "0123456789ab"})
    (told,) = channel.told("subscribed")
    assert (told["wasRecovering"], told["recovered"], channel.said) == (True, False, [])
    platform.publish("brief:17", 2)
    wait(lambda: channel.said == [2])


@shows(JAVASCRIPT, "rpc")
def test_rpc(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    begun = client.call("rpc", "conversation.begin", {"channel": "talk:js", "members": ["application:ward", "application:second"]})
    assert begun["data"]["offset"] == 1
    members = client.call("rpc", "conversation.participants", {"channel": "talk:js"})["data"]["participants"]
    assert {each["member"] for each in members} == {"application:ward", "application:second"}
    sent = client.call("rpc", "message.send", {"channel": "talk:js", "id": "m-1", "data": {"text": "hello"}})["data"]
    again = client.call("rpc", "message.send", {"channel": "talk:js", "id": "m-1", "data": {"text": "hello"}})["data"]
    assert (sent["again"], again["again"], sent["offset"]) == (False, True, again["offset"])
    assert client.call("rpc", "conversation.mine", None)["data"]["conversations"]
    with pytest.raises(JsError) as error:
        client.call("rpc", "nothing", {})
    assert error.value.code == 104


@shows(JAVASCRIPT, "together")
def test_commands_that_leave_together_are_answered_each(node: Node, platform: Estate) -> None:
    client = connected(node, platform)
    channel = client.subscribe("news")
    before = client.frames()["out"]
    calls = [("publish", ["news", number]) for number in range(10)]
    calls += [("presenceStats", ["brief:18"]), ("history", ["brief:18", {"limit": 1}])]
    results = node.do("batch", client=client.name, calls=calls)
    assert client.frames()["out"] - before == 1
    assert results[:10] == [{}] * 10
    assert results[10] == {"numClients": 0, "numUsers": 0}
    assert results[11]["publications"] == []
    wait(lambda: len(channel.said) == 10)
    assert channel.said == list(range(10))


@shows(JAVASCRIPT, "board")
def test_a_board_gives_the_whole_first_and_then_changes(node: Node, platform: Estate) -> None:
    platform.publish("ward:17:board", {"bed-1": "free", "bed-2": "taken"})
    platform.publish("ward:17:board", {"bed-1": "taken", "bed-3": {"until": 7}})
    client = connected(node, platform)
    board = client.subscribe("ward:17:board")
    wait(lambda: board.said)
    assert board.said == [{"bed-1": "taken", "bed-2": "taken", "bed-3": {"until": 7}}]
    assert board.told("publication")[0]["tags"]["snapshot"] == "true"
    platform.publish("ward:17:board", {"bed-2": None})
    wait(lambda: len(board.said) == 2)
    assert board.said[1] == {"bed-2": None}
    assert "snapshot" not in board.told("publication")[1]["tags"]
    client.cut()
    platform.publish("ward:17:board", {"bed-1": "free"})
    wait(lambda: len(board.said) == 3)
    assert board.said[2] == {"bed-1": "free"}, "whoever was away for a moment is given what changed, and no second whole"


@shows(JAVASCRIPT, "rpc")
def test_a_conversation(node: Node, platform: Estate) -> None:
    platform.begin("talk:js-2", "application:ward", "application:second")
    sender, reader = connected(node, platform), connected(node, platform, "second")
    sending, reading = sender.subscribe("talk:js-2"), reader.subscribe("talk:js-2")
    sending.call("publish", {"id": "m-1", "text": "stop the warfarin"})
    sending.call("publish", {"id": "m-1", "text": "stop the warfarin"})
    wait(lambda: reading.said)
    (said,) = reading.told("publication")
    reader.call("rpc", "message.acknowledge", {"channel": "talk:js-2", "offset": said["offset"], "state": "read"})
    wait(lambda: len(sending.told("publication")) == 2)
    assert sending.told("publication")[1]["tags"]["happening"] == "read"
    state = sender.call("rpc", "message.state", {"channel": "talk:js-2", "offset": said["offset"]})
    assert state["data"] == {"state": "read"}


# --- time ------------------------------------------------------------------------------------------------------------------------


@shows(JAVASCRIPT, "pings")
def test_pings_are_answered_and_the_connection_lasts(node: Node, serve: Serve) -> None:
    context, live = estate_of(serve, realtime="ping: 1s, pong: 900ms")
    with context as served:
        client = connected(node, Estate(served, live), maxServerPingDelay=1000)
        wait(lambda: client.frames()["pongs"] >= 3)
        assert client.told("disconnected") == []
        assert len(client.told("connected")) == 1


def test_pings_may_be_so_frequent_that_they_are_less_than_a_second_apart(node: Node, serve: Serve) -> None:
    """The protocol has whole seconds; none would tell a client not to expect any, nor to answer."""
    context, live = estate_of(serve, realtime="ping: 400ms, pong: 200ms")
    with context as served:
        client = connected(node, Estate(served, live))
        wait(lambda: client.frames()["pongs"] >= 3)
        assert len(client.told("connected")) == 1


@shows(JAVASCRIPT, "refresh")
def test_a_token_is_refreshed_before_it_expires(node: Node, platform: Estate) -> None:
    lifetime = 4.0
    tokens: list[str] = []

    def ask() -> str:
        tokens.append(short_lived(platform.served, lifetime))
        return tokens[-1]

    client = node.client(platform.websocket, asks=ask).connect()
    channel = client.subscribe("news")
    wait(lambda: len(tokens) >= 3, 30)
    channel.call("publish", "still here")
    assert len(client.told("connected")) == 1, "on one connection"
    assert client.told("disconnected") == []


def test_a_token_that_has_expired_is_asked_for_anew(node: Node, platform: Estate) -> None:
    stale = short_lived(platform.served, 1)
    time.sleep(1.2)
    client = node.client(platform.websocket, stale, asks=lambda: platform.served.token("ward"))
    client.connect()
    assert client.told("disconnected") == []


@shows(JAVASCRIPT, "restart")
def test_a_server_that_stops_is_come_back_to(node: Node, serve: Serve) -> None:
    context, live = estate_of(serve)
    with context as served:
        estate = Estate(served, live)
        client = connected(node, estate)
        channel = client.subscribe("brief:1")
        estate.publish("brief:1", 1)
        wait(lambda: channel.said == [1])
        assert served.stop() == 0
        wait(lambda: len(client.told("connecting")) >= 2)
        assert client.told("connecting")[1] == {"code": 3001, "reason": "shutdown"}
        served.start()
        estate.publish("brief:1", 2)
        wait(lambda: channel.said == [1, 2], 20)
        assert channel.told("subscribed")[-1]["recovered"]
        assert client.told("disconnected") == []


def test_a_server_that_stops_takes_nobody_in_again_whom_it_has_sent_away(node: Node, serve: Serve) -> None:
    context, live = estate_of(serve)
    with context as served:
        client = connected(node, Estate(served, live), minReconnectDelay=10, maxReconnectDelay=20)
        assert served.stop() == 0
        assert len(client.told("connected")) == 1
