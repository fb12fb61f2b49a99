"""Outcomes that are brought: believed when they are signed, kept once, and polled for all the same (A64 to A67)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.acceptance.client.http.backend import Backend, Reply
from tests.acceptance.client.http.conftest import QUICK, Open

from fiveways.client import ClientError, Fiveways, Ledger, Pace, Receiver, StillRunning, serve_callbacks
from fiveways.client.states import State
from fiveways.signing import HEADER, sign

pytestmark = pytest.mark.anyio
SECRET, NEXT = b"a secret of enough bytes", b"the secret that comes next"
SOON = timedelta(seconds=5)
LARGEST = 400_000


def signed(body: bytes, *, secret: bytes = SECRET, at: float | None = None, **headers: str) -> dict[str, str]:
    """The header fields of a callback."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {HEADER: sign([secret], at or time.time(), body), "Fiveways-Status": "201", **named}


@pytest.fixture
async def receiver(ledger: Ledger) -> AsyncIterator[httpx.AsyncClient]:
    """A receiver that is served, and a client for it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = Receiver(ledger, [SECRET, NEXT], largest=LARGEST, patience=timedelta(seconds=0.5))
    serving = asyncio.create_task(serve_callbacks(made, "127.0.0.1", port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(200):
            try:
                await client.get("/")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.02)
        yield client
    serving.cancel()
    await asyncio.wait([serving])


async def test_an_outcome_that_is_brought_ends_the_wait_and_comes_once(
    open_: Open, backend: Backend, receiver: httpx.AsyncClient, ledger: Ledger
) -> None:
    five = open_()
    job = await five.submit("POST", "/x", callback=True)
    waiting = asyncio.create_task(job.outcome(SOON))
    await asyncio.sleep(0.05)
    for body in (b"the first", b"another"):
        headers = signed(body, X_Request_ID=job.id, Content_Type="text/plain")
        assert (await receiver.post("/callbacks", content=body, headers=headers)).status_code == 204
    answer = await waiting
    assert (answer.status, answer.content, answer.headers["content-type"]) == (201, b"the first", "text/plain")
    assert (job.state, backend.of("GET")) == (State.ANSWERED, [])
    assert [happening for _, happening, *_ in ledger.history(job.id)] == ["open", "try", "send", "answer"]


async def test_a_job_is_found_by_where_it_is_asked_after_and_large_outcomes_are_kept(
    open_: Open, backend: Backend, receiver: httpx.AsyncClient
) -> None:
    job = await open_().submit("POST", "/x", callback=True)
    body = b"x" * (LARGEST - 1)
    headers = signed(body, secret=NEXT, Content_Location=f"{backend.origin}/status/1", Fiveways_Status="422")
    assert (await receiver.post("/", content=body, headers=headers)).status_code == 204
    answer = await job.outcome(SOON)
    assert (answer.status, answer.content) == (422, body)


async def test_what_is_packed_is_kept_as_if_it_had_been_asked_for(open_: Open, receiver: httpx.AsyncClient) -> None:
    five = open_()
    jobs = [await five.submit("POST", "/x", {"n": n}, callback=True) for n in range(4)]
    bomb, other = gzip.compress(b"0" * (LARGEST + 1)), b"of another kind"
    for job, body, encoding, expected in zip(
        jobs, (gzip.compress(b"good"), bomb, b"no gzip", other), ("gzip", "gzip", "gzip", "br"), (204, 413, 400, 204), strict=True
    ):
        headers = signed(body, X_Request_ID=job.id, Content_Encoding=encoding)
        assert (await receiver.post("/", content=body, headers=headers)).status_code == expected
    good, packed = await jobs[0].outcome(SOON), await jobs[3].outcome(SOON)
    assert (good.content, "content-encoding" in good.headers) == (b"good", False)
    assert (packed.content, packed.headers["content-encoding"]) == (other, "br")
    assert [job.state for job in jobs[1:3]] == [State.SENT] * 2


async def test_what_is_not_believed_or_not_ours_changes_nothing(open_: Open, receiver: httpx.AsyncClient, ledger: Ledger) -> None:
    job = await open_().submit("POST", "/x", callback=True)
    ours: dict[str, Any] = {"X_Request_ID": job.id}
    body = b"{}"
    old = time.time() - 3600
    for headers, expected in (
        ({"X-Request-ID": job.id, "Fiveways-Status": "200"}, 401),
        ({**signed(body, **ours), HEADER: "t=1,v1=" + "0" * 64}, 401),
        (signed(b"other", **ours), 401),
        (signed(body, secret=b"another secret of bytes", **ours), 401),
        (signed(body, at=old, **ours), 401),
        (signed(body, X_Request_ID="6b1d4a55-5f0f-4bd0-9f2c-8c8f6a3f9f01"), 404),
        (signed(body), 404),
        (signed(body, **ours, Fiveways_Status="running"), 400),
        (signed(body, **ours, Fiveways_Status="100"), 400),
        (signed(body, **ours, Fiveways_Event="ping"), 204),
    ):
        answer = await receiver.post("/", content=body, headers=headers)
        assert answer.status_code == expected, headers
    large = b"x" * (LARGEST + 1)
    assert (await receiver.post("/", content=large, headers=signed(large, **ours))).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * (LARGEST // 4)

    assert (await receiver.post("/", content=pieces(), headers=signed(b"", **ours))).status_code == 413
    assert (await receiver.get("/")).status_code == 405
    assert job.state is State.SENT
    with pytest.raises(StillRunning):
        await job.outcome(timedelta(seconds=0.05))


async def test_a_body_that_does_not_come_is_not_waited_for(open_: Open, receiver: httpx.AsyncClient) -> None:
    job = await open_().submit("POST", "/x", callback=True)

    reader, writer = await asyncio.open_connection(receiver.base_url.host, receiver.base_url.port)
    said = {"Host": "here", "Content-Length": "2", **signed(b"ab", X_Request_ID=job.id)}
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    writer.write(f"POST / HTTP/1.1\r\n{head}\r\na".encode())
    async with asyncio.timeout(3):
        assert b" 408 " in await reader.readline()
    writer.close()
    assert job.state is State.SENT


async def test_where_no_callback_comes_the_job_is_polled_seldom(open_: Open, backend: Backend) -> None:
    pace = Pace(QUICK.least, QUICK.most, timedelta(seconds=0.3), look=QUICK.look)
    job = await open_(pace=pace).submit("POST", "/x", callback=True)
    backend.finish(Reply(200))
    began = time.monotonic()
    assert (await job.outcome(SOON)).status == 200
    assert time.monotonic() - began > 0.25


async def test_what_is_refused_because_it_is_too_much(ledger: Ledger) -> None:
    full = Receiver(ledger, [SECRET], at_once=0)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    await full({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"1")
    with pytest.raises(ClientError, match="16 bytes"):
        Receiver(ledger, [b"short"])


async def test_one_deployment_cannot_end_anothers_job(open_: Open, backend: Backend, ledger: Ledger) -> None:
    job = await open_().submit("POST", "/x", callback=True)
    for url, expected in (("https://another.example", 404), (backend.origin, 204)):
        made = Receiver(ledger, [SECRET], url=url)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://here") as client:
            answer = await client.post("/", content=b"", headers=signed(b"", X_Request_ID=job.id.upper()))
            assert answer.status_code == expected


async def test_an_address_that_is_taken_is_told(ledger: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            await serve_callbacks(Receiver(ledger, [SECRET]), port=taken.getsockname()[1])


async def test_a_callback_that_is_faster_than_the_202_stands(five: Fiveways, backend: Backend, ledger: Ledger) -> None:
    made = Receiver(ledger, [SECRET])

    async def quick(asked: Any) -> Reply:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://here") as client:
            assert (await client.post("/", content=b"!", headers=signed(b"!", X_Request_ID=asked.id))).status_code == 204
        return Reply(202, {"Content-Location": "/status/1"})

    backend.script["POST", "/x"].append(quick)
    job = await five.submit("POST", "/x", callback=True)
    assert ((await job.outcome(SOON)).content, job.state) == (b"!", State.ANSWERED)
