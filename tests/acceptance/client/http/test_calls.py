"""Calls over real sockets: bounded, sent again where that is safe and only there, always under one X-Request-ID."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.client.http.backend import DROP, Backend, Reply, json_reply
from tests.acceptance.client.http.conftest import Open

from fiveways.client import ClientError, Fiveways, Token, TooLarge, Unavailable

pytestmark = pytest.mark.anyio
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHORT = timedelta(seconds=0.3)


async def test_a_call_has_both_ids_the_key_and_its_answer(five: Fiveways, backend: Backend) -> None:
    backend.script["POST", "/api/Thing"].append(Reply(201, [("X-A", "1"), ("X-A", "2"), ("ETag", 'W/"1"')], b'{"ok":true}'))
    answer = await five.call(
        "post", "/api/Thing", body={"resourceType": "Thing"}, query={"q": "a b", "n": 1}, headers={"Accept": "x"}
    )
    (asked,) = backend.asked
    assert (answer.status, answer.json(), answer.headers["x-a"], answer.headers.all("X-A")) == (
        201,
        {"ok": True},
        "1, 2",
        ["1", "2"],
    )
    assert (asked.method, asked.path, asked.body) == ("POST", "/api/Thing?q=a+b&n=1", b'{"resourceType":"Thing"}')
    assert (asked.headers["apikey"], asked.headers["accept"]) == ("secret-key", "x")
    assert asked.headers["content-type"] == "application/fhir+json"
    assert GUID.fullmatch(asked.id)
    assert GUID.fullmatch(asked.headers["x-correlation-id"])
    assert (answer.request_id, answer.correlation_id) == (asked.id, asked.headers["x-correlation-id"])


@pytest.mark.parametrize("status", [400, 401, 404, 500, 302])
async def test_every_status_is_an_answer_and_nothing_is_followed(five: Fiveways, backend: Backend, status: int) -> None:
    backend.script["POST", "/x"].append(Reply(status, {"Location": "/elsewhere"}, b"no"))
    answer = await five.call("POST", "/x")
    assert (answer.status, answer.content, answer.ok) == (status, b"no", False)
    assert len(backend.asked) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("failure", [DROP, Reply(502), Reply(503), Reply(504)], ids=["drop", "502", "503", "504"])
async def test_what_is_idempotent_is_sent_again_as_the_same_request(
    five: Fiveways, backend: Backend, method: str, failure: Reply
) -> None:
    backend.script[method, "/x"].extend([failure, Reply(200)])
    assert (await five.call(method, "/x")).status == 200
    first, second = backend.asked
    assert first.id == second.id


async def test_what_is_not_idempotent_is_sent_once(five: Fiveways, backend: Backend) -> None:
    for method in ("POST", "PATCH"):
        backend.script[method, "/x"].extend([DROP, Reply(200)])
        with pytest.raises(Unavailable, match="broke off"):
            await five.call(method, "/x", body=b"once")
        assert len(backend.of(method)) == 1
        backend.script[method, "/y"].extend([Reply(503), Reply(200)])
        assert (await five.call(method, "/y")).status == 503


@pytest.mark.parametrize("status", [429, 503])
async def test_what_was_not_taken_is_sent_again_when_the_other_side_says(five: Fiveways, backend: Backend, status: int) -> None:
    backend.script["POST", "/x"].extend([Reply(status, {"Retry-After": "0"})] * 6 + [Reply(200)])
    assert (await five.call("POST", "/x", body={"a": 1})).status == 200
    assert len({asked.id for asked in backend.asked}) == 1
    assert {asked.body for asked in backend.asked} == {b'{"a":1}'}
    backend.script["POST", "/y"].extend([Reply(status, {"Retry-After": "3600"}), Reply(200)])
    assert (await five.call("POST", "/y")).headers["retry-after"] == "3600"


async def test_no_more_than_so_many_attempts_are_made(five: Fiveways, backend: Backend) -> None:
    backend.script["GET", "/x"].extend([Reply(502)] * 10)
    assert (await five.call("GET", "/x")).status == 502
    assert len(backend.asked) == 4


async def test_no_connection_means_that_nothing_was_sent(open_: Open, backend: Backend) -> None:
    five = open_("http://127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1 cannot be reached: .*refused"):
        await five.call("POST", "/Patient/9990000018")
    with pytest.raises(Unavailable) as raised:
        await five.call("GET", "/Patient/9990000018")
    assert "999" not in str(raised.value)  # what is asked for may be of a patient


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_call_is_bounded(five: Fiveways, backend: Backend, method: str) -> None:
    backend.script[method, "/slow"].append(Reply(200, after=5))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer in time"):
        await five.call(method, "/slow", timeout=SHORT)
    assert time.monotonic() - began < 1.5


async def test_what_was_not_taken_once_may_have_been_taken_then(five: Fiveways, backend: Backend) -> None:
    backend.script["POST", "/x"].extend([Reply(503, {"Retry-After": "0"}), Reply(200, after=5)])
    with pytest.raises(Unavailable, match="no answer in time"):
        await five.call("POST", "/x", timeout=SHORT)
    assert len(backend.asked) == 2


async def test_an_answer_that_breaks_off_is_none(five: Fiveways, backend: Backend) -> None:
    backend.script["POST", "/x"].append(Reply(200, body=b"0123456789", cut=5))
    with pytest.raises(Unavailable, match="broke off"):
        await five.call("POST", "/x")
    backend.script["GET", "/x"].extend([Reply(200, body=b"0123456789", cut=5), Reply(200, body=b"whole")])
    assert (await five.call("GET", "/x")).content == b"whole"


async def test_a_sync_wrap_is_told_how_long_and_asked_again_under_the_same_id(five: Fiveways, backend: Backend) -> None:
    backend.script["POST", "/x"].extend([Reply(503, {"Retry-After": "0"}), Reply(200)])
    answer = await five.call("POST", "/x", wait=timedelta(seconds=10), timeout=timedelta(seconds=5))
    assert answer.status == 200
    waits = [float(asked.headers["x-sync-wait"]) for asked in backend.asked]
    assert len({asked.id for asked in backend.asked}) == 1
    assert all(4 < wait <= 4.5 for wait in waits)  # so that its answer is here before we give up
    backend.script["GET", "/x"].append(Reply(200))
    await five.call("GET", "/x", wait=timedelta(seconds=10))
    assert backend.asked[-1].headers["x-sync-wait"] == "10"
    await five.call("GET", "/y")
    assert "x-sync-wait" not in backend.asked[-1].headers


async def test_ids_may_be_ours(five: Fiveways, backend: Backend) -> None:
    given = "6b1d4a55-5f0f-4bd0-9f2c-8c8f6a3f9f01"
    await five.call("GET", "/x", request_id=given, correlation_id="conversation")
    assert (backend.asked[0].id, backend.asked[0].headers["x-correlation-id"]) == (given, "conversation")
    with pytest.raises(ClientError, match="GUID"):
        await five.call("GET", "/x", request_id="one")
    with pytest.raises(ClientError, match="request_id="):
        await five.call("GET", "/x", headers={"x-request-id": given})
    with pytest.raises(ClientError, match="begins with /"):
        await five.call("GET", "x")
    with pytest.raises(ClientError, match="no request"):
        await five.call("GET", "/x", headers={"X": "a\r\nb"})


async def test_files_and_pieces_are_streamed_and_pieces_are_sent_once(five: Fiveways, backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"x" * 600_000)
    backend.script["PUT", "/x"].extend([DROP, Reply(200)])
    assert (await five.call("PUT", "/x", body=tmp_path / "body")).ok
    assert [len(asked.body) for asked in backend.asked] == [600_000, 600_000]
    assert backend.asked[0].headers["content-length"] == "600000"

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"piece"

    backend.script["PUT", "/y"].extend([Reply(200), Reply(503, {"Retry-After": "0"}), DROP])
    assert (await five.call("PUT", "/y", body=pieces())).ok
    assert backend.asked[-1].body == b"piece" * 3
    assert (await five.call("PUT", "/y", body=pieces())).status == 503
    with pytest.raises(Unavailable):
        await five.call("PUT", "/y", body=pieces())
    assert len(backend.of("PUT", "/y")) == 3


async def test_large_answers_are_refused_or_go_into_a_file(open_: Open, backend: Backend, tmp_path: Path) -> None:
    five = open_(largest=1000)
    backend.script["GET", "/x"].extend([Reply(200, body=b"x" * 1001), Reply(200, body=b"x" * 1000)])
    with pytest.raises(TooLarge, match="1000 bytes"):
        await five.call("GET", "/x")
    assert len((await five.call("GET", "/x")).content) == 1000
    target = tmp_path / "answer"
    backend.script["GET", "/y"].extend(
        [Reply(200, body=b"y" * 900_000, cut=500_000), Reply(200, body=b"y" * 900_000), Reply(404, body=b"no")]
    )
    answer = await five.stream("GET", "/y", target)
    assert (answer.file, target.read_bytes()) == (target, b"y" * 900_000)
    other = tmp_path / "other"
    assert (await five.stream("GET", "/y", other)).content == b"no"
    backend.script["GET", "/z"].append(Reply(200, body=b"z" * 101))
    with pytest.raises(TooLarge):
        await five.stream("GET", "/z", other, largest=100)
    assert [path.name for path in tmp_path.iterdir() if "ledger" not in path.name] == ["answer"]


async def test_what_is_packed_is_unpacked_and_no_larger_for_that(open_: Open, backend: Backend) -> None:
    five = open_(largest=1000)
    for size in (1000, 10_000_000):
        backend.script["GET", "/x"].append(Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * size)))
    answer = await five.call("GET", "/x")
    assert (answer.content, "content-encoding" in answer.headers) == (b"x" * 1000, False)
    with pytest.raises(TooLarge):
        await five.call("GET", "/x")


async def test_a_token_that_was_refused_is_replaced_once(open_: Open, backend: Backend) -> None:
    tokens = iter("abcdef")

    async def token() -> str:
        return next(tokens)

    five = open_(access=Token(token))
    backend.script["POST", "/x"].extend([Reply(401), json_reply({}), Reply(401), Reply(401)])
    assert (await five.call("POST", "/x")).status == 200
    assert [asked.headers["authorization"] for asked in backend.asked] == ["Bearer a", "Bearer b"]
    assert (await five.call("POST", "/x")).status == 401
    fixed = open_(access=Token("fixed"))
    backend.script["POST", "/y"].append(Reply(401))
    assert (await fixed.call("POST", "/y")).status == 401
