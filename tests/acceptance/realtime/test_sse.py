"""Server-Sent Events, byte by byte; as browsers read them, they are in test_browser.py."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate, estate_of, revoke, short_lived
from tests.acceptance.realtime.events import reading
from tests.acceptance.realtime.javascript_client import wait


def asked(estate: Estate, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """One request to the listener of channels."""
    with httpx.Client(timeout=10, trust_env=False) as client:
        return client.request(method, estate.events + path, headers=headers)


def lines_until(estate: Estate, channel: str, token: str, seconds: float = 30) -> tuple[list[str], float]:
    """The lines of a stream until the server ends it, and how long that took."""
    begun = time.monotonic()
    with httpx.Client(timeout=seconds, trust_env=False) as client:
        with client.stream("GET", f"{estate.events}/channels/{channel}/events", params={"access_token": token}) as response:
            assert response.status_code == 200
            found = list(response.iter_lines())
    return found, time.monotonic() - begun


# --- reading ---------------------------------------------------------------------------------------------------------------------


def test_what_is_published_is_an_event_each_with_its_number(platform: Estate) -> None:
    with reading(platform, "brief:31") as events:
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["cache-control"] == "no-store"
        assert events.retry == 2000
        epoch = events.last_id.partition(":")[0]
        assert events.last_id == f"{epoch}:0", "whoever comes back before anything was said goes on from here"
        platform.publish("brief:31", {"text": "one\ntwo"})
        platform.publish("brief:31", 2)
        first, second = events.next(), events.next()
    assert (first.name, first.id, second.id) == ("message", f"{epoch}:1", f"{epoch}:2")
    assert (first.json["data"], first.json["offset"], second.json["data"]) == ({"text": "one\ntwo"}, 1, 2)
    assert first.json["info"]["user"] == "application:ward"
    assert first.json["tags"]["happening"] == "say"


def test_json_is_json(platform: Estate) -> None:
    """What is in `data:` is on one line, whatever it says."""
    said = {"text": "a\nb\r\nc\u2028d\x00é", "id: 7": "event: no"}
    with reading(platform, "brief:36") as events:
        platform.publish("brief:36", said)
        event = events.next()
    assert json.loads(event.data)["data"] == said


def test_a_token_in_the_address_does_as_well(platform: Estate) -> None:
    token = platform.served.token("second")
    path = f"/channels/news/events?access_token={token}"
    with httpx.Client(timeout=5, trust_env=False) as client, client.stream("GET", platform.events + path) as response:
        assert response.status_code == 200
        assert next(response.iter_lines()) == "retry: 2000"


def test_whoever_comes_back_goes_on_with_where_they_were(platform: Estate) -> None:
    with reading(platform, "brief:32") as events:
        platform.publish("brief:32", 1)
        assert events.said(1) == [1]
        last = events.last_id
    platform.publish("brief:32", 2)
    platform.publish("brief:32", 3)
    with reading(platform, "brief:32", last=last) as events:
        assert events.said(2) == [2, 3]
        platform.publish("brief:32", 4)
        assert events.said(1) == [4]
    with reading(platform, "brief:32", since=last) as events:
        assert events.said(3) == [2, 3, 4]


def test_whoever_missed_nothing_is_told_nothing_again(platform: Estate) -> None:
    platform.publish("brief:33", 1)
    with reading(platform, "brief:33") as events:
        last = events.last_id
    with reading(platform, "brief:33", last=last) as events:
        assert events.last_id == last
        platform.publish("brief:33", 2)
        assert events.said(1) == [2]


@pytest.mark.parametrize("last", ["0123456789ab:1", "nonsense", "0123456789ab:999999999999999999", ":", "1"])
def test_what_cannot_be_gone_on_with_is_told_to_be_lost_first(platform: Estate, last: str) -> None:
    platform.publish("brief:34", 1)
    with reading(platform, "brief:34", last=last) as events:
        assert events.next().name == "reset"
        platform.publish("brief:34", 2)
        (event,) = [events.next()]
        assert (event.name, event.json["data"]) == ("message", 2)


@pytest.mark.long
def test_what_is_not_kept_any_more_is_told_to_be_lost_first(serve: Serve) -> None:
    context, live = estate_of(serve, channels="  short: {name: short, kind: feed, join: [{anyone: true}], "
                              "publish: [{anyone: true}], history: {keep: 1s}}")  # fmt: skip
    with context as served:
        estate = Estate(served, live)
        with reading(estate, "short") as events:
            estate.publish("short", 1)
            assert events.said(1) == [1]
            last = events.last_id
        estate.publish("short", 2)
        address = "/realtime/channels/short/messages"

        def gone() -> bool:
            found = served.call("GET", address, headers=served.bearer()).json()["messages"]
            return not found

        wait(gone, 90)
        with reading(estate, "short", last=last) as events:
            assert events.next().name == "reset"
            estate.publish("short", 3)
            assert events.said(1) == [3]


def test_a_board_gives_the_whole_first_and_then_changes(platform: Estate) -> None:
    platform.publish("ward:31:board", {"bed-1": "free", "bed-2": "taken"})
    platform.publish("ward:31:board", {"bed-2": None})
    with reading(platform, "ward:31:board") as events:
        whole = events.next()
        assert (whole.name, whole.json["data"]) == ("snapshot", {"bed-1": "free"})
        assert whole.json["tags"]["snapshot"] == "true"
        assert whole.id.endswith(":2")
        platform.publish("ward:31:board", {"bed-3": 1})
        assert events.said(1) == [{"bed-3": 1}]
        last = events.last_id
    platform.publish("ward:31:board", {"bed-1": None})
    with reading(platform, "ward:31:board", last=last) as events:
        assert events.said(1) == [{"bed-1": None}], "only what changed meanwhile"
    with reading(platform, "ward:31:board", last="0123456789ab:3") as events:
        assert events.next().json["data"] == {"bed-3": 1}


def test_who_comes_and_goes_is_told(platform: Estate, node_client: Callable[..., Any]) -> None:
    with reading(platform, "brief:35") as events:
        client = node_client()
        client.subscribe("brief:35")
        came = events.next()
        client.call("disconnect")
        went = events.next()
    assert [(each.name, each.json["user"]) for each in (came, went)] == [
        ("join", "application:ward"),
        ("leave", "application:ward"),
    ]


def test_a_channel_whose_name_has_a_slash(serve: Serve) -> None:
    channel = '  paths: {name: "site/{site}/board", kind: feed, join: [{anyone: true}], publish: [{anyone: true}]}'
    context, live = estate_of(serve, channels=channel)
    with context as served:
        estate = Estate(served, live)
        with reading(estate, "site%2F7%2Fboard") as events:
            estate.publish("site%2F7%2Fboard", "here")
            assert events.said(1) == ["here"]


# --- refusals --------------------------------------------------------------------------------------------------------------------


def test_refusals_say_what_is_wrong(platform: Estate) -> None:
    ward, second = platform.served.bearer(), platform.served.bearer("second")
    none = asked(platform, "/channels/news/events")
    assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
    assert asked(platform, "/channels/news/events", Authorization="Bearer nobody's").status_code == 401
    assert asked(platform, "/channels/news/events?access_token=nobody's").status_code == 401
    assert asked(platform, "/channels/ward:1:board/events", **second).status_code == 403
    assert asked(platform, "/channels/own:ward/events", **second).status_code == 403
    assert asked(platform, "/channels/talk:never-begun/events", **ward).status_code == 403
    assert asked(platform, "/channels/nowhere/events", **ward).status_code == 404
    assert asked(platform, "/channels/news", **ward).status_code == 404
    assert asked(platform, "/", **ward).status_code == 404
    posted = asked(platform, "/channels/news/events", "POST", **ward)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")
    assert asked(platform, "/connection/websocket", **ward).status_code == 404, "that is for WebSockets"


def test_pages_of_other_origins_read_where_the_deployment_says_so(serve: Serve) -> None:
    context, live = estate_of(serve, realtime="origins: ['https://board.northshire.test']")
    with context as served:
        estate = Estate(served, live)
        ward, path = served.bearer(), "/channels/news/events"
        strange = asked(estate, path, Origin="https://elsewhere.test", **ward)
        assert strange.status_code == 403
        assert "access-control-allow-origin" not in strange.headers
        for origin in ("https://board.northshire.test", estate.events):
            with reading(estate, "news", headers={"Origin": origin}) as events:
                assert events.response.headers["access-control-allow-origin"] == origin
            refused = asked(estate, path, Origin=origin)
            assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)
        preflight = {"Origin": "https://board.northshire.test", "Access-Control-Request-Method": "GET"}
        said = asked(estate, path, "OPTIONS", **preflight)
        assert said.status_code == 200
        assert said.headers["access-control-allow-headers"] == "authorization, last-event-id"
        for origin in ("null", "http://[", "https://board.northshire.test.evil.test"):
            assert asked(estate, path, Origin=origin, **ward).status_code == 403


def test_a_channel_has_as_many_readers_as_it_may(serve: Serve) -> None:
    channel = "  few: {name: few, kind: feed, join: [{anyone: true}], limits: {subscribers: 1}}"
    context, live = estate_of(serve, channels=channel)
    with context as served:
        estate = Estate(served, live)
        with reading(estate, "few"):
            assert asked(estate, "/channels/few/events", **served.bearer()).status_code == 429
        wait(lambda: _opens(estate, "few"))


def _opens(estate: Estate, channel: str) -> bool:
    with httpx.Client(timeout=10, trust_env=False) as client:
        address = f"{estate.events}/channels/{channel}/events"
        with client.stream("GET", address, headers=estate.served.bearer()) as response:
            return response.status_code == 200


# --- time ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def brisk(serve: Serve) -> Any:
    """A platform on which silence lasts for a second."""
    channel = (
        "  fast: {name: fast, kind: broadcast, delivery: ephemeral, join: [{anyone: true}], publish: [{anyone: true}], "
        "limits: {rate: 10000/s}}"
    )
    context, live = estate_of(serve, realtime="ping: 1s, pong: 500ms, unsent: 64KiB", channels=channel)
    with context as served:
        yield Estate(served, live)


def test_silence_is_broken_by_a_comment(brisk: Estate) -> None:
    with reading(brisk, "news") as events:
        time.sleep(2.5)
        brisk.publish("news", 1)
        assert events.said(1) == [1]
        assert 1 <= events.comments <= 3


def test_a_stream_ends_when_its_token_does(platform: Estate) -> None:
    token = short_lived(platform.served, 2)
    _, lasted = lines_until(platform, "news", token)
    assert 1 < lasted < 4, "and not when next something is said"
    assert asked(platform, f"/channels/news/events?access_token={token}").status_code == 401


def test_a_stream_ends_when_its_token_is_revoked(brisk: Estate) -> None:
    token = short_lived(brisk.served, 300, "second")
    with reading(brisk, "news", headers={"Authorization": f"Bearer {token}"}) as events:
        revoke(brisk.served, token)
        assert events.all() == []
        assert events.over


def test_a_server_that_stops_ends_streams_and_whoever_comes_back_goes_on(serve: Serve) -> None:
    context, live = estate_of(serve)
    with context as served:
        estate = Estate(served, live)
        with reading(estate, "brief:1") as events:
            estate.publish("brief:1", 1)
            assert events.said(1) == [1]
            begun = time.monotonic()
            assert served.stop() == 0
            assert time.monotonic() - begun < 15
            assert events.all() == []
            assert events.over
            last = events.last_id
        served.start()
        estate.publish("brief:1", 2)
        with reading(estate, "brief:1", last=last) as events:
            assert events.said(1) == [2]


# --- readers that do not read ----------------------------------------------------------------------------------------------------


def unread(estate: Estate, channel: str) -> socket.socket:
    """A connection that asks for events and takes none but the first."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(40)
    connection.connect(("127.0.0.1", estate.live))
    token = estate.served.token("ward")
    connection.sendall(f"GET /channels/{channel}/events?access_token={token} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b"200 OK" in connection.recv(200)
    return connection


def flood(estate: Estate, channel: str, megabytes: int, of: Callable[[int], Any]) -> None:
    """Publish a good deal."""
    with estate.served.client(headers=estate.served.bearer()) as client:
        for number in range(megabytes * 20):
            batch = {"messages": [{"channel": channel, "data": of(number)}]}
            answer = client.post("/realtime/messages", json=batch)
            assert "error" not in answer.json()["results"][0], answer.text


def test_a_reader_of_what_is_not_kept_that_is_too_slow_is_cut_and_costs_nothing(brisk: Estate) -> None:
    slow = [unread(brisk, "fast") for _ in range(5)]
    before = brisk.served.memory()
    flood(brisk, "fast", 8, lambda number: str(number) + "x" * 50_000)
    assert brisk.served.memory() - before < 30 * 2**20
    time.sleep(11)
    ended = 0
    for each in slow:
        try:
            while each.recv(65536):
                pass
            ended += 1
        except ConnectionResetError:
            ended += 1
        finally:
            each.close()
    assert ended == 5


def test_a_reader_of_a_board_that_is_too_slow_is_given_the_whole_again(brisk: Estate) -> None:
    with reading(brisk, "ward:9:board", seconds=30) as events:
        brisk.publish("ward:9:board", {"first": 1})
        assert events.next().name == "snapshot"
        flood(brisk, "ward:9:board", 6, lambda number: {f"bed-{number % 3}": "x" * 50_000, "number": number})
        state: dict[str, Any] = {}
        whole = 0
        while state.get("number") != 119:
            event = events.next()
            if event.name == "snapshot":
                state, whole = event.json["data"], whole + 1
            else:
                state |= event.json["data"]
        assert whole >= 1, "what it was too slow for was not kept for it"
        assert sorted(state) == ["bed-0", "bed-1", "bed-2", "first", "number"]
