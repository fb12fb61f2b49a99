"""Centrifugo's Python client, unchanged: each feature of the protocol that Fiveways speaks, as it is used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from centrifuge import CentrifugeError, Client, ClientEventHandler, StreamPosition  # type: ignore[import-untyped]
from centrifuge.exceptions import ReplyError  # type: ignore[import-untyped]
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.clients import PYTHON, shows
from tests.acceptance.realtime.conftest import Estate, Heard, estate_of, short_lived, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The client is of asyncio."""
    return "asyncio"


async def joined(estate: Estate, channel: str, application: str = "ward", **options: Any) -> tuple[Any, Any, Heard]:
    """A client that has joined a channel."""
    client, heard = estate.client(application), Heard()
    await client.connect()
    subscription = client.new_subscription(channel, events=heard, **options)
    await subscription.subscribe()
    await subscription.ready(timeout=5)
    return client, subscription, heard


@shows(PYTHON, "token", "read", "publish")
async def test_connect_subscribe_and_publish(estate: Estate) -> None:
    _, _, heard = await joined(estate, "news")
    client, subscription, own = await joined(estate, "news", "second")
    await subscription.publish({"text": "hello"})
    await client.publish("news", "again")
    await until(lambda: len(heard.said) == len(own.said) == 2)
    assert heard.said == own.said == [{"text": "hello"}, "again"]
    assert heard.publications[0].info.user == "application:second"


@shows(PYTHON, "refused")
async def test_what_is_not_open_is_refused(estate: Estate) -> None:
    client, _, _ = await joined(estate, "news", "second")
    for channel, code in (("ward:1:board", 103), ("nowhere", 102), ("own:ward", 103)):
        heard = Heard()
        subscription = client.new_subscription(channel, events=heard)
        await subscription.subscribe()
        await until(lambda heard=heard: heard.all("unsubscribed"))  # type: ignore[misc]
        assert heard.all("unsubscribed")[0].code == code
    with pytest.raises(ReplyError) as error:
        await client.publish("ward:1:board", {})
    assert error.value.code == 103


async def test_a_token_that_is_none_ends_the_connection_for_good(estate: Estate) -> None:
    told: list[Any] = []

    class Events(ClientEventHandler):  # type: ignore[misc]
        async def on_disconnected(self, ctx: Any) -> None:
            told.append(ctx)

    client = estate.client(token="nobody's", events=Events())
    await client.connect()
    await until(lambda: told)
    assert told[0].code == 3500


@shows(PYTHON, "recovery")
async def test_recovery_of_all_that_was_missed(estate: Estate) -> None:
    client, subscription, heard = await joined(estate, "brief:1", recoverable=True)
    estate.publish("brief:1", 1)
    await until(lambda: heard.said == [1])
    await client.disconnect()
    estate.publish("brief:1", 2)
    estate.publish("brief:1", 3)
    await client.connect()
    await until(lambda: heard.said == [1, 2, 3])
    told = heard.all("subscribed")[-1]
    assert told.was_recovering
    assert told.recovered
    assert [each.offset for each in heard.publications] == [1, 2, 3]
    assert subscription.state.value == "subscribed"


@shows(PYTHON, "history")
async def test_history_and_its_pages(estate: Estate) -> None:
    client, subscription, _ = await joined(estate, "brief:2")
    for number in range(1, 4):
        estate.publish("brief:2", number)
    found = await subscription.history(limit=10)
    assert [each.data for each in found.publications] == [1, 2, 3]
    after = await client.history("brief:2", limit=10, since=StreamPosition(offset=1, epoch=found.epoch))
    assert [each.data for each in after.publications] == [2, 3]
    back = await client.history("brief:2", limit=2, reverse=True)
    assert [each.data for each in back.publications] == [3, 2]
    none = await client.history("brief:2")
    assert (none.publications, none.offset) == ([], 3)
    with pytest.raises(ReplyError):
        await client.history("brief:2", limit=1, since=StreamPosition(offset=1, epoch="another"))


@shows(PYTHON, "presence", "come")
async def test_presence_and_who_comes_and_goes(estate: Estate) -> None:
    client, subscription, heard = await joined(estate, "brief:3", join_leave=True)
    other, _, _ = await joined(estate, "brief:3", "second", join_leave=True)
    await until(lambda: "application:second" in {info.user for info in heard.all("join")})
    there = await subscription.presence()
    assert {info.user for info in there.clients.values()} == {"application:ward", "application:second"}
    stats = await client.presence_stats("brief:3")
    assert (stats.num_clients, stats.num_users) == (2, 2)
    await other.disconnect()
    await until(lambda: [info.user for info in heard.all("leave")] == ["application:second"])
    assert len((await subscription.presence()).clients) == 1


@shows(PYTHON, "rpc")
async def test_a_conversation_with_receipts_corrections_and_retractions(estate: Estate) -> None:
    estate.begin("talk:1", "application:ward", "application:second")
    _, sending, heard = await joined(estate, "talk:1", recoverable=True)
    client, _, other = await joined(estate, "talk:1", "second", recoverable=True)
    await sending.publish({"id": "m-1", "text": "stop the warfarin"})
    await sending.publish({"id": "m-1", "text": "stop the warfarin"})  # as after a lost answer
    await until(lambda: [each.data["text"] for each in other.publications if "text" in each.data] == ["stop the warfarin"])
    offset = other.publications[-1].offset
    await client.rpc("message.type", {"channel": "talk:1"})
    await client.rpc("message.acknowledge", {"channel": "talk:1", "offset": offset, "state": "delivered"})
    await client.rpc("message.acknowledge", {"channel": "talk:1", "offset": offset, "state": "read"})
    sender = sending._client
    state = await sender.rpc("message.state", {"channel": "talk:1", "offset": offset})
    assert state.data == {"state": "read"}
    with pytest.raises(ReplyError):
        await client.rpc("message.correct", {"channel": "talk:1", "offset": offset, "data": {"text": "mine"}})
    await sender.rpc("message.correct", {"channel": "talk:1", "offset": offset, "data": {"text": "halve the warfarin"}})
    await sender.rpc("message.retract", {"channel": "talk:1", "offset": offset, "reason": "wrong patient"})
    await until(lambda: len(heard.publications) >= 6)
    happened = [each.tags["happening"] for each in heard.publications]
    assert happened == ["say", "type", "deliver", "read", "correct", "retract"]
    offsets = [each.offset for each in heard.publications if each.offset]
    assert offsets == list(range(offsets[0], offsets[0] + 5))
    assert (await sender.rpc("message.state", {"channel": "talk:1", "offset": offset})).data == {"state": "retracted"}
    answer = estate.served.call("GET", "/realtime/channels/talk:1/transcript", headers=estate.served.bearer("second"))
    entry = next(each for each in answer.json()["entries"] if each["offset"] == offset)
    assert entry["state"] == "retracted"
    assert entry["former"] == [{"id": "m-1", "text": "stop the warfarin"}]
    assert set(entry["read"]) == {"application:second"}


@shows(PYTHON, "board")
async def test_a_board_gives_the_whole_first_and_then_changes(estate: Estate) -> None:
    estate.publish("ward:7:board", {"bed-1": "free", "bed-2": "taken"})
    estate.publish("ward:7:board", {"bed-1": "taken"})
    _, _, heard = await joined(estate, "ward:7:board")
    await until(lambda: heard.said)
    assert heard.said == [{"bed-1": "taken", "bed-2": "taken"}]
    assert heard.publications[0].tags["snapshot"] == "true"
    estate.publish("ward:7:board", {"bed-2": None})
    await until(lambda: len(heard.said) == 2)
    assert heard.said[1] == {"bed-2": None}


async def test_many_commands_at_once_are_answered(estate: Estate) -> None:
    client, _, heard = await joined(estate, "news")
    await asyncio.gather(*(client.publish("news", number) for number in range(15)))
    await until(lambda: len(heard.said) == 15)
    assert heard.said == list(range(15))


async def test_faster_than_allowed_is_refused_and_the_connection_stays(estate: Estate) -> None:
    client, _, _ = await joined(estate, "news", "second")
    with pytest.raises(ReplyError) as error:
        await asyncio.gather(*(client.publish("news", number) for number in range(100)))
    assert (error.value.code, error.value.temporary) == (111, True)
    await asyncio.sleep(0.3)
    await client.publish("news", "later")


async def test_unsubscribing_ends_what_is_told(estate: Estate) -> None:
    _, subscription, heard = await joined(estate, "news")
    await subscription.unsubscribe()
    await until(lambda: heard.all("unsubscribed"))
    estate.publish("news", 1)
    await asyncio.sleep(0.1)
    assert heard.said == []


async def test_a_method_that_is_none_and_one_that_answers(estate: Estate) -> None:
    client, _, _ = await joined(estate, "news")
    with pytest.raises(CentrifugeError):
        await client.rpc("nothing", {})
    estate.begin("talk:2", "application:ward")
    mine = (await client.rpc("conversation.mine", {})).data["conversations"]
    assert "talk:2" in [each["channel"] for each in mine]


async def test_who_leaves_a_conversation_is_told_nothing_more_of_it_on_any_device(estate: Estate) -> None:
    estate.begin("talk:3", "application:ward", "application:second")
    client, _, heard = await joined(estate, "talk:3", "second")
    _, _, other = await joined(estate, "talk:3", "second")
    _, _, stays = await joined(estate, "talk:3")
    await client.rpc("conversation.leave", {"channel": "talk:3"})
    await until(lambda: heard.all("unsubscribed") and other.all("unsubscribed"))
    estate.publish("talk:3", {"text": "are they gone?"})
    await until(lambda: stays.said[-1:] == [{"text": "are they gone?"}])
    assert {"text": "are they gone?"} not in [*heard.said, *other.said]


async def test_a_reload_ends_what_is_not_open_any_more(estate: Estate) -> None:
    _, _, heard = await joined(estate, "own:second", "second")
    _, _, stays = await joined(estate, "news", "second")
    was = estate.served.file.read_text()
    estate.served.file.write_text(was.replace('join: [{application: "{who}"}]', "join: [{application: ward}]"))
    done = estate.served.run("reload")
    assert done.returncode == 0, done.stderr
    await until(lambda: heard.all("unsubscribed"))
    assert not stays.all("unsubscribed")
    estate.served.file.write_text(was)
    assert estate.served.run("reload").returncode == 0


async def test_messages_of_one_connection_are_written_together_and_stay_in_their_order(estate: Estate) -> None:
    estate.begin("talk:4", "application:ward")
    client, _, heard = await joined(estate, "talk:4", recoverable=True)
    await asyncio.gather(*(client.publish("talk:4", {"id": f"n-{number}", "n": number}) for number in range(300)))
    await until(lambda: len(heard.said) == 300)
    assert [each["n"] for each in heard.said] == list(range(300))


# --- time ------------------------------------------------------------------------------------------------------------------------


class Told(ClientEventHandler):  # type: ignore[misc]
    """What a client is told of its connection."""

    def __init__(self) -> None:
        self.all: list[tuple[str, int]] = []

    async def on_connected(self, ctx: Any) -> None:
        """It is connected."""
        self.all.append(("connected", 0))

    async def on_connecting(self, ctx: Any) -> None:
        """It is not any more, or not yet."""
        self.all.append(("connecting", ctx.code))

    async def on_disconnected(self, ctx: Any) -> None:
        """It is not, and does not try to be."""
        self.all.append(("disconnected", ctx.code))


@shows(PYTHON, "asked", "refresh")
async def test_a_token_is_asked_for_and_refreshed_on_one_connection(platform: Estate) -> None:
    told, tokens = Told(), list[str]()

    async def ask() -> str:
        tokens.append(short_lived(platform.served, 4))
        return tokens[-1]

    client = Client(platform.websocket, get_token=ask, events=told)
    await client.connect()
    await until(lambda: len(tokens) >= 3, 30)
    await client.publish("news", "still here")
    assert told.all == [("connecting", 0), ("connected", 0)]
    await client.disconnect()


@shows(PYTHON, "pings")
async def test_pings_are_answered_and_the_connection_lasts(serve: Serve) -> None:
    context, live = estate_of(serve, realtime="ping: 1s, pong: 900ms")
    with context as served:
        own, told = Estate(served, live), Told()
        client = own.client(events=told)
        await client.connect()
        await asyncio.sleep(4)
        await client.publish("news", "still here")
        assert told.all == [("connecting", 0), ("connected", 0)]
        await client.disconnect()


@shows(PYTHON, "restart", "lost")
async def test_a_server_that_stops_is_come_back_to(serve: Serve) -> None:
    context, live = estate_of(serve)
    with context as served:
        own, told = Estate(served, live), Told()
        client, heard = own.client(events=told), Heard()
        await client.connect()
        subscription = client.new_subscription("brief:1", events=heard, recoverable=True)
        await subscription.subscribe()
        await subscription.ready(timeout=5)
        own.publish("brief:1", 1)
        await until(lambda: heard.said == [1])
        assert await asyncio.to_thread(served.stop) == 0
        await until(lambda: ("connecting", 3001) in told.all)
        await asyncio.to_thread(served.start)
        own.publish("brief:1", 2)
        await until(lambda: heard.said == [1, 2], 30)
        assert heard.all("subscribed")[-1].recovered
        assert await asyncio.to_thread(served.stop) == 0
        for file in served.data.glob("fiveways.db*"):  # somebody begins anew, with the same keys
            file.unlink()
        before = len(heard.all("subscribed"))
        await asyncio.to_thread(served.start)
        await until(lambda: len(heard.all("subscribed")) > before, 30)
        lost = heard.all("subscribed")[before]
        assert (lost.was_recovering, lost.recovered) == (True, False)
        await client.disconnect()
