"""Clients that mean harm, or are broken: each is sent away with the code that says why, and nobody else notices."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate, estate_of, revoke, short_lived
from tests.acceptance.realtime.wire import BINARY, CLOSE, TEXT, Closed, Raw, frame

BAD_REQUEST, TOO_MANY, NO_PONG, EXPIRED, INVALID_TOKEN, SLOW, SILENT = 3501, 3013, 3012, 3005, 3500, 3008, 3502
LARGE = """
  fast:
    {name: fast, kind: broadcast, delivery: ephemeral, join: [{anyone: true}], publish: [{anyone: true}], limits: {rate: 10000/s}}
  long: {name: "long:{n}", kind: feed, join: [{anyone: true}], publish: [{anyone: true}], limits: {rate: 10000/s}}
"""


@pytest.fixture(scope="module")
def estate(serve: Serve) -> Iterator[Estate]:
    """A platform that pings every other second; at the end it has had no error of its own."""
    context, live = estate_of(serve, realtime="ping: 2s, pong: 1500ms, unsent: 256KiB, channels: 5", channels=LARGE)
    with context as served:
        yield Estate(served, live)
        assert served.process.poll() is None
        assert "Traceback" not in served.log, served.log


def connected(estate: Estate, application: str = "ward", **options: Any) -> Raw:
    """A connection that has said who it is."""
    return Raw(estate, **options).connect(estate.served.token(application))


def lives(estate: Estate) -> None:
    """Somebody else is served as ever."""
    with connected(estate, "second") as other:
        assert "publish" in other.asked(7, publish={"channel": "fast", "data": "still here"})


# --- frames ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(b"x" * (2**20 + 1)), 1009),
        (frame(b"")[:1] + b"\xff" + (2**40).to_bytes(8, "big"), 1009),
        (frame(b"x" * 600_000, final=False) + frame(b"x" * 600_000, 0), 1009),
        (frame(b'{"id":2,"ping":{}}', masked=False), 1002),
        (b"\xc1\x80aaaa", 1002),
        (frame(b'"\xff\xfe"'), 1007),
        (frame(b'{"id":2,"ping":{}}', BINARY), BAD_REQUEST),
        (frame(b"\x00\x00", CLOSE), 1002),
    ],
    ids=["large", "very large", "large in pieces", "unmasked", "reserved", "not UTF-8", "binary", "close"],
)
def test_frames_that_are_none(estate: Estate, octets: bytes, code: int) -> None:
    with connected(estate) as raw:
        raw.send(octets)
        assert raw.code() == code
    lives(estate)


def test_a_message_that_is_too_large_for_its_channel_is_refused_and_the_connection_stays(estate: Estate) -> None:
    with connected(estate) as raw:
        assert raw.asked(2, publish={"channel": "fast", "data": "x" * 65_536})["error"]["code"] == 106
        assert "publish" in raw.asked(3, publish={"channel": "fast", "data": "x" * 65_534})


# --- commands --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"{", b"[]", b"null", b"nothing", b'"connect"', b'{"id":"x","ping":{}}', b'{"id":2}', b'{"id":2,"subscribe":[]}',
        b'{"id":2,"subscribe":{"channel":7}}', b'{"id":-1,"ping":{}}', b'{"id":4294967296,"ping":{}}', b'{"id":1.5,"ping":{}}',
        b'{"id":2,"history":{"channel":"long:1","limit":1e3}}', b'{"id":2,"rpc":{"method":null}}', b"[" * 500_000,
        b'{"id":2,"rpc":{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}}", b'{"id":2,"publish":{"data":"\\ud800"}}',
        b'{"id":2,"subscribe":{"channel":"long:1","recover":true,"offset":9223372036854775808}}',
        b'{"id":2,"history":{"channel":"long:1","limit":1,"since":{"offset":-1,"epoch":""}}}', b'{"id":2,"ping":{}}\n{"id":3',
    ],
)  # fmt: skip
def test_what_is_no_command(estate: Estate, said: bytes) -> None:
    with connected(estate) as raw:
        raw.say(said)
        assert raw.code() == BAD_REQUEST
    lives(estate)


def test_commands_before_who_says_them(estate: Estate) -> None:
    commands: list[dict[str, Any]] = [
        {"subscribe": {"channel": "fast"}}, {"ping": {}}, {"refresh": {"token": estate.served.token("ward")}}, {"rpc": {}},
    ]  # fmt: skip
    for command in commands:
        with Raw(estate) as raw:
            raw.say({"id": 1, **command})
            assert raw.code() == BAD_REQUEST


def test_saying_twice_who_one_is(estate: Estate) -> None:
    with connected(estate) as raw:
        raw.say({"id": 2, "connect": {"token": estate.served.token("second")}})
        assert raw.code() == BAD_REQUEST


def test_becoming_somebody_else(estate: Estate) -> None:
    with connected(estate) as raw:
        assert "refresh" in raw.asked(2, refresh={"token": estate.served.token("ward")})
        raw.say({"id": 3, "refresh": {"token": estate.served.token("second")}})
        assert raw.code() == INVALID_TOKEN


def test_thousands_of_commands_at_once(estate: Estate) -> None:
    with connected(estate) as raw:
        raw.say(*({"id": number, "ping": {}} for number in range(2, 902)))
        assert [raw.next()["id"] for _ in range(900)] == list(range(2, 902))
        raw.say(*({"id": number, "ping": {}} for number in range(1000, 9000)))
        assert raw.code() == TOO_MANY
    lives(estate)


def test_nothing_but_line_breaks_and_pongs(estate: Estate) -> None:
    with connected(estate) as raw:
        raw.send(frame(b"\n" * 1_000_000) + frame(b"{}\n" * 300_000))
        assert "ping" in raw.asked(2, ping={})


def test_more_channels_than_one_connection_may_have(estate: Estate) -> None:
    with connected(estate) as raw:
        for number in range(5):
            assert "subscribe" in raw.asked(10 + number, subscribe={"channel": f"long:{number}"})
        assert raw.asked(20, subscribe={"channel": "long:6"})["error"]["code"] == 106
        assert raw.asked(21, subscribe={"channel": "long:1"})["error"]["code"] == 105
        assert "unsubscribe" in raw.asked(22, unsubscribe={"channel": "long:1"})
        assert "subscribe" in raw.asked(23, subscribe={"channel": "long:6"})


FORGED = [
    "", "talk:", "talk:a b", "talk:é", "talk:\u0000", "talk:1\u0000", "talk:a\n", "talk:\u202e1", "talk:" + "x" * 300, "x" * 20_000,
    "talk:../../etc/passwd", "talk:..%2f..%2fetc", "ward:1:board:extra", "ward::board", "ward:1:2:board", "talk:{id}", "talk:*",
    "talk:>", "talk:a:b", "TALK:1", " news", "news ", "news\n", "%6eews", "own:second/../ward", "own:{who}", "𝓃ews", "nеws",
    "talk:1' OR 1=1 --", "$share/x", "#", "__proto__",
]  # fmt: skip


@pytest.mark.parametrize("name", FORGED, ids=range(len(FORGED)))
def test_names_that_no_channel_has(estate: Estate, name: str) -> None:
    with connected(estate) as raw:
        commands: list[dict[str, Any]] = [
            {"subscribe": {"channel": name}}, {"publish": {"channel": name, "data": {}}}, {"presence": {"channel": name}},
            {"presence_stats": {"channel": name}}, {"history": {"channel": name, "limit": 1}},
            *({"rpc": {"method": method, "data": {"channel": name, "offset": 1, "members": ["application:ward"]}}} for method in (
                "message.send", "message.acknowledge", "message.correct", "message.retract", "message.state", "message.type",
                "conversation.begin", "conversation.leave", "conversation.close", "conversation.participants",
            )),
        ]  # fmt: skip
        raw.say(*({"id": 10 + number, **command} for number, command in enumerate(commands)))
        codes = {found["id"]: found.get("error", {}).get("code") for found in (raw.next() for _ in commands)}
        assert set(codes.values()) == {102}, codes
        assert "unsubscribe" in raw.asked(99, unsubscribe={"channel": name})
    if len(name) < 1000:
        quoted = quote(name, safe="")
        for where in ("messages", "presence", "transcript"):
            answer = estate.served.call("GET", f"/realtime/channels/{quoted}/{where}", headers=estate.served.bearer())
            assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize("name", ["own:ward", "own:w.rd", "own:application", "own:second.", "ward:second:board", "talk:ward"])
def test_names_that_are_somebody_elses(estate: Estate, name: str) -> None:
    with connected(estate, "second") as raw:
        assert raw.asked(2, subscribe={"channel": name})["error"]["code"] == 103
        assert raw.asked(3, history={"channel": name, "limit": 1})["error"]["code"] == 103
        assert raw.asked(4, publish={"channel": name, "data": {}})["error"]["code"] == 103


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"publish": {"channel": "ward:1:board", "data": ["no object"]}}, 107),
        ({"publish": {"channel": "ward:1:board"}}, 107),
        ({"publish": {"channel": "ward:1:board", "data": {str(number): 1 for number in range(1001)}}}, 107),
        ({"publish": {"channel": "talk:never", "data": {"id": "x" * 200}}}, 103),
        ({"subscribe": {"channel": "fast", "tf": {"key": "x"}}}, 107),
        ({"rpc": {"method": "conversation.mine", "data": {"limit": -1}}}, 107),
        ({"rpc": {"method": "conversation.mine", "data": {"limit": 10**30}}}, 107),
        ({"rpc": {"method": "message.state", "data": {"channel": "talk:1", "offset": 2**63}}}, 107),
        ({"rpc": {"method": "__class__", "data": {}}}, 104),
        ({"rpc": {"method": "message.send", "data": [1]}}, 107),
    ],
)
def test_commands_that_mean_nothing(estate: Estate, command: dict[str, Any], code: int) -> None:
    with connected(estate) as raw:
        assert raw.asked(2, **command)["error"]["code"] == code


def test_what_is_nested_deeply_is_refused_or_reaches_everybody(estate: Estate) -> None:
    headers = estate.served.bearer()
    refused: dict[int, int] = {}
    for depth in (1, 60, 100, 101, 400, 900, 940, 950, 960, 970, 980, 985, 990, 995, 1000, 1100, 10_000):
        said = b"[" * depth + b"]" * depth
        with connected(estate, "second") as reader, connected(estate) as raw:
            assert "subscribe" in reader.asked(2, subscribe={"channel": "long:deep"})
            raw.say(b'{"id":2,"publish":{"channel":"long:deep","data":%b}}' % said)
            try:
                refused[depth] = raw.answer(2).get("error", {}).get("code", 0)
            except Closed as closed:
                refused[depth] = closed.code
            answer = estate.served.call("POST", "/realtime/channels/long:deep/messages", content=said, headers=headers)
            assert answer.status_code == (201 if depth <= 100 else 400)
            if depth <= 100:
                assert [reader.next()["push"]["pub"]["data"] for _ in range(2)] == [json.loads(said)] * 2
    assert [depth for depth, code in refused.items() if code == 0] == [1, 60, 100]
    assert set(refused.values()) == {0, 107, BAD_REQUEST}
    within = json.dumps({"text": "[" * 500 + '{"' * 500, "list": [[]] * 500})
    assert estate.publish("long:deep", json.loads(within)).status_code == 201, "brackets in text are text"


# --- time ------------------------------------------------------------------------------------------------------------------------


def test_a_client_that_is_half_gone(estate: Estate) -> None:
    """It takes everything and says nothing, not even that it is there."""
    begun = time.monotonic()
    with connected(estate) as raw:
        assert raw.code() == NO_PONG
    assert time.monotonic() - begun < 10


@pytest.mark.long
def test_a_client_that_never_says_who_it_is(estate: Estate) -> None:
    begun = time.monotonic()
    with Raw(estate) as raw:
        assert raw.code(30) == SILENT
    assert 9 < time.monotonic() - begun < 15
    with Raw(estate) as raw:
        for _ in range(6):  # it is there, but nobody
            raw.send(frame(b"{}"))
            time.sleep(1)
        assert raw.code(30) == SILENT


def answering(raw: Raw) -> int:
    """Answer pings until the server closes; the code."""
    raw.socket.settimeout(20)
    try:
        while True:
            if raw.frame() == (TEXT, b"{}"):
                raw.send(frame(b"{}"))
    except Closed as closed:
        return closed.code


def test_a_token_that_expires_while_its_client_listens(estate: Estate) -> None:
    begun = time.monotonic()
    with Raw(estate).connect(short_lived(estate.served, 1.5)) as raw:
        assert answering(raw) == EXPIRED
    assert 10 < time.monotonic() - begun < 25, "it had ten seconds to bring another"


def test_a_token_that_is_revoked_while_its_client_listens(estate: Estate) -> None:
    token = short_lived(estate.served, 300)
    with Raw(estate).connect(token) as raw:
        codes: list[int] = []
        listening = threading.Thread(target=lambda: codes.append(answering(raw)))
        listening.start()
        revoke(estate.served, token)
        listening.join(8)
        assert codes == [INVALID_TOKEN]
    with Raw(estate) as raw:
        raw.say({"id": 1, "connect": {"token": token}})
        assert raw.code() == INVALID_TOKEN


# --- doors -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://elsewhere.test", "null", "http://127.0.0.1:1", "http://127.0.0.1.elsewhere.test"])
def test_pages_of_other_origins(estate: Estate, origin: str) -> None:
    with Raw(estate, origin=origin) as raw:
        assert raw.status == 403
    with Raw(estate, origin=f"http://127.0.0.1:{estate.live}") as raw:
        assert raw.status == 101


def test_an_origin_that_is_none(serve: Serve) -> None:
    context, live = estate_of(serve)
    with context as served:
        with Raw(Estate(served, live), origin="http://[") as raw:
            assert raw.status == 403
        assert "Traceback" not in served.log


def test_more_connections_than_may_be(serve: Serve) -> None:
    context, live = estate_of(serve, realtime="connections: 2")
    with context as served:
        estate = Estate(served, live)
        with connected(estate), connected(estate) as second:
            with Raw(estate) as raw:
                assert raw.status == 503
            bearer = estate.served.bearer()
            assert httpx.get(f"{estate.events}/channels/news/events", headers=bearer, timeout=5).status_code == 503
            second.socket.close()
            time.sleep(0.3)
            with httpx.stream("GET", f"{estate.events}/channels/news/events", headers=bearer, timeout=5) as reading:
                assert reading.status_code == 200
                with Raw(estate) as raw:
                    assert raw.status == 503
            time.sleep(0.3)
            with Raw(estate) as raw:
                assert raw.status == 101


# --- readers that do not read ----------------------------------------------------------------------------------------------------


def flood(estate: Estate, channel: str, messages: int, size: int = 50_000) -> None:
    """Publish a good deal."""
    with estate.served.client(headers=estate.served.bearer()) as client:
        for _ in range(messages // 10):
            batch = {"messages": [{"channel": channel, "data": "x" * size}] * 10}
            answer = client.post("/realtime/messages", json=batch)
            assert all("error" not in each for each in answer.json()["results"]), answer.text[:500]


def test_a_reader_of_what_is_not_kept_that_is_too_slow_is_sent_away(estate: Estate) -> None:
    """It does read, but less than there is."""
    with connected(estate, window=8192) as raw:
        assert "subscribe" in raw.asked(2, subscribe={"channel": "fast"})
        over = threading.Event()

        def publish() -> None:
            while not over.is_set():
                flood(estate, "fast", 50)

        publishing = threading.Thread(target=publish)
        publishing.start()
        code, read, until = 0, 0, time.monotonic() + 30
        while not code and time.monotonic() < until:
            try:
                raw.frame()
            except Closed as closed:
                code = closed.code
            read += 1
            if read % 20 == 0:
                raw.send(frame(b"{}"))
                time.sleep(0.4)
        over.set()
        publishing.join()
        assert code == SLOW


def test_readers_that_read_nothing_cost_nothing(estate: Estate) -> None:
    readers = [connected(estate, window=4096) for _ in range(10)]
    for reader in readers:
        assert "subscribe" in reader.asked(2, subscribe={"channel": "fast"})
    flood(estate, "fast", 50)
    before = estate.served.memory()
    flood(estate, "fast", 1000)
    assert estate.served.memory() - before < 40 * 2**20, "ten times fifty megabytes were published for them"
    for reader in readers:
        assert reader.code() in (SLOW, NO_PONG, 1006)
        reader.socket.close()
    lives(estate)


def test_answers_that_nobody_reads_are_not_made(estate: Estate) -> None:
    """Each of a thousand questions has an answer of a megabyte."""
    flood(estate, "long:answers", 20)
    with connected(estate, window=4096) as raw:
        assert len(raw.asked(2, history={"channel": "long:answers", "limit": 20})["history"]["publications"]) == 20
        before = estate.served.memory()
        raw.say(*({"id": number, "history": {"channel": "long:answers", "limit": 20}} for number in range(10, 510)))
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert estate.served.memory() - before < 60 * 2**20
            time.sleep(0.1)
    lives(estate)


def test_commands_that_wait_for_one_who_reads_nothing_are_bounded(estate: Estate) -> None:
    flood(estate, "long:waiting", 20)
    with connected(estate, window=4096) as raw:
        raw.say(*({"id": number, "history": {"channel": "long:waiting", "limit": 20}} for number in range(10, 30)))
        time.sleep(0.5)
        before = estate.served.memory()
        for number in range(100, 140):
            raw.say({"id": number, "publish": {"channel": "long:waiting", "data": "x" * 900_000}})
        assert raw.code() in (TOO_MANY, NO_PONG, 1006)
        assert estate.served.memory() - before < 40 * 2**20
    lives(estate)


def test_what_is_recovered_at_once_is_bounded(estate: Estate) -> None:
    """A hundred megabytes were missed: to be read page by page, rather than told in one frame."""
    flood(estate, "long:missed", 2000)
    with connected(estate) as raw:
        epoch = raw.asked(2, history={"channel": "long:missed", "limit": 0})["history"]["epoch"]
        before = estate.served.memory()
        raw.say({"id": 3, "subscribe": {"channel": "long:missed", "recover": True, "epoch": epoch, "offset": 0}})
        largest = 0
        until = time.monotonic() + 5
        while time.monotonic() < until:
            largest = max(largest, estate.served.memory() - before)
            time.sleep(0.02)
        assert largest < 64 * 2**20


# --- anything at all -------------------------------------------------------------------------------------------------------------

NUMBER = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
ODD = st.none() | st.booleans() | NUMBER | st.text(max_size=20)
ANY = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3))
NAMES = ["fast", "long:1", "ward:1:board", "talk:1", "brief:1", "own:ward", "nowhere", "news", ""]
NAME = st.sampled_from(NAMES) | st.text(max_size=12)
METHODS = [
    "message.send", "message.acknowledge", "message.correct", "message.retract", "message.state", "message.type",
    "conversation.begin", "conversation.leave", "conversation.close", "conversation.participants", "conversation.mine",
]  # fmt: skip
OFFSET = st.integers(-2, 5) | st.sampled_from([2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64])
SINCE = st.fixed_dictionaries({}, optional={"offset": OFFSET, "epoch": st.text(max_size=12)})
ASKED = st.fixed_dictionaries({}, optional={
    "channel": NAME, "id": st.text(max_size=150), "data": ANY, "offset": OFFSET, "reason": st.text(max_size=20),
    "state": st.sampled_from(["delivered", "read", "sent", ""]),
    "members": st.lists(st.text(max_size=20) | st.just("application:ward")),
    "last": st.text(max_size=20), "limit": st.integers(-2, 2000), "correlation": st.text(max_size=20),
})  # fmt: skip
COMMAND = st.one_of(
    st.fixed_dictionaries({"connect": st.fixed_dictionaries({}, optional={"token": st.text(max_size=30), "data": ANY})}),
    st.fixed_dictionaries({"subscribe": st.fixed_dictionaries({"channel": NAME}, optional={
        "recover": st.booleans(), "epoch": st.text(max_size=12), "offset": OFFSET, "tf": ANY, "positioned": ODD, "flag": ODD})}),
    st.fixed_dictionaries({"unsubscribe": st.fixed_dictionaries({"channel": NAME})}),
    st.fixed_dictionaries({"publish": st.fixed_dictionaries({"channel": NAME, "data": ANY})}),
    st.fixed_dictionaries({"presence": st.fixed_dictionaries({"channel": NAME})}),
    st.fixed_dictionaries({"presence_stats": st.fixed_dictionaries({"channel": NAME})}),
    st.fixed_dictionaries({"history": st.fixed_dictionaries({"channel": NAME}, optional={
        "limit": st.integers(-3, 2**33), "since": SINCE, "reverse": st.booleans()})}),
    st.fixed_dictionaries({"rpc": st.fixed_dictionaries({
        "method": st.sampled_from(METHODS) | st.text(max_size=10), "data": ASKED | ANY})}),
    st.fixed_dictionaries({"refresh": st.fixed_dictionaries({"token": st.text(max_size=30)})}),
    st.fixed_dictionaries({"sub_refresh": ANY}),
    st.fixed_dictionaries({"send": ANY}),
    st.dictionaries(st.sampled_from(["id", "ping", "connect", "publish", "history", "x", ""]), ANY, max_size=3),
)  # fmt: skip
SAID = st.lists(COMMAND.map(lambda command: json.dumps(command).encode()) | st.binary(max_size=40), min_size=1, max_size=4)
DETAILS = {102, 103, 104, 105, 106, 107, 109, 111}
"""Codes of errors that are somebody's who has sent something."""


@pytest.fixture(scope="module")
def fuzzed(estate: Estate) -> Iterator[list[Raw]]:
    """The connection that is talked on: another one once it was closed."""
    estate.begin("talk:1", "application:ward", "application:second")
    used = [connected(estate)]
    yield used
    used[0].socket.close()


@settings(max_examples=400)
@given(said=SAID)
def test_whatever_is_said_is_answered_or_refused(estate: Estate, fuzzed: list[Raw], said: list[bytes]) -> None:
    numbered = [each.replace(b"{", b'{"id":%d,' % (100 + at), 1) if each[:2] == b'{"' else each for at, each in enumerate(said)]
    codes, end = _told(fuzzed, numbered, estate)
    if end == NO_PONG:  # it was silent for too long, between two of these
        codes, end = _told(fuzzed, numbered, estate)
    assert codes <= DETAILS, numbered
    assert end in (0, BAD_REQUEST, INVALID_TOKEN, 1007), numbered


def _told(fuzzed: list[Raw], said: list[bytes], estate: Estate) -> tuple[set[int], int]:
    """The codes of the errors that commands came to, and with which the connection was closed; 0 where it was not."""
    raw, codes = fuzzed[0], set[int]()
    raw.say(*said)
    raw.say({"id": 7, "ping": {}})
    try:
        while (found := raw.next()).get("id") != 7:
            codes |= {found["error"]["code"]} if "error" in found else set()
        raw.send(frame(b"{}"))
    except Closed as closed:
        raw.socket.close()
        fuzzed[0] = connected(estate)
        return codes, closed.code
    return codes, 0
