"""Outcomes are brought to consumers: signed, as often as it takes, to the registered URL and no other. They may poll besides."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.acceptance.conftest import Answer, Seen, read_body, response
from tests.acceptance.exchange.conftest import OTHER_KEY, SECRET, Exchanged, path_of

from fiveways.signing import verify

OUTCOME = response(201, b'{"score":7}', ("Content-Type", "application/json"))


def calls(exchanged: Exchanged, job: str) -> list[Seen]:
    """The calls about a job."""
    return [seen for seen in exchanged.receiver.seen if seen.all(b"idempotency-key") == [job.rpartition("/")[2].encode()]]


def by_job(answers: dict[bytes, list[Answer]], otherwise: Answer) -> Answer:
    """Answers in turn, by the score that an outcome has."""

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        left = answers.get(seen.body, [])
        now = left.pop(0) if left else otherwise
        if callable(now):
            await now(seen, reader, writer)
        else:
            writer.write(now)

    return answer


async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side has had enough."""
    await reader.read(1)


async def broken_off(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Half an answer."""
    writer.write(b"HTTP/1.1 200")
    await writer.drain()
    writer.transport.abort()


async def endless_headers(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Header fields without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.transport.is_closing():
        writer.write(b"X-More: " + b"x" * 8192 + b"\r\n")
        await writer.drain()


async def endless_body(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without end, under a status that is a success."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while not writer.transport.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


def test_the_outcome_is_brought_signed(exchanged: Exchanged) -> None:
    job = exchanged.submit("called", OUTCOME, x_correlation_id="conversation-1")
    exchanged.backend.wait(lambda: calls(exchanged, path_of(job)))
    seen = calls(exchanged, path_of(job))[0]
    exchanged.backend.wait(lambda: seen.whole)
    assert (seen.method, seen.target, seen.body) == (b"POST", b"/called", b'{"score":7}')
    verify([SECRET.encode()], seen.all(b"fiveways-signature")[0].decode(), seen.body, time.time())
    assert seen.all(b"fiveways-status") == [b"201"]
    assert seen.all(b"content-type") == [b"application/json"]
    assert seen.all(b"x-correlation-id") == [b"conversation-1"]
    assert seen.all(b"content-location") == [job.headers["content-location"].encode()]
    assert (len(seen.all(b"x-request-id")), job.headers["x-request-id"].encode()) == (1, seen.all(b"x-request-id")[0])
    assert exchanged.outcome(job).json() == {"score": 7}, "polling works all the same"
    time.sleep(0.3)
    assert len(calls(exchanged, path_of(job))) == 1


def test_who_is_not_registered_polls(exchanged: Exchanged) -> None:
    job = exchanged.submit("called", OUTCOME, key=OTHER_KEY, x_callback_url="https://evil.test/")
    assert exchanged.outcome(job, key=OTHER_KEY).json() == {"score": 7}
    time.sleep(0.3)
    assert not calls(exchanged, path_of(job))


def test_receivers_in_trouble_are_called_again_and_block_nobody(exchanged: Exchanged) -> None:
    """Each job has its own order; those of one receiver that is stuck hold up no other's."""
    trouble: list[list[Answer]] = [
        [response(503), response(500)], [broken_off], [response(429, b"", ("Retry-After", "1"))], [endless_headers],
    ]  # fmt: skip
    bodies = [b'{"score":%d}' % number for number in range(100, 100 + len(trouble))]
    exchanged.receiver.otherwise = by_job(dict(zip(bodies, trouble, strict=True)) | {b"stuck": [silent]}, response(204, b""))
    try:
        stuck = exchanged.submit("called", response(200, b"stuck"))
        jobs = [exchanged.submit("called", response(200, body, ("Content-Type", "application/json"))) for body in bodies]
        for job, faults in zip(jobs, [2, 1, 1, 1], strict=True):
            wanted = faults + 1
            exchanged.backend.wait(lambda job=job, wanted=wanted: len(calls(exchanged, path_of(job))) >= wanted, 20)  # type: ignore[misc]
        assert len(calls(exchanged, path_of(stuck))) == 1
        large = exchanged.submit("called", response(200, b"large"))
        exchanged.receiver.otherwise = by_job({b"large": [endless_body]}, response(204, b""))
        exchanged.backend.wait(lambda: calls(exchanged, path_of(large)), 10)
    finally:
        exchanged.receiver.otherwise = response(204, b"")


@pytest.mark.parametrize("answer", [response(302, b"", ("Location", "http://127.0.0.1:1/")), response(410, b"")])
def test_who_redirects_or_will_not_have_it_is_a_dead_letter(exchanged: Exchanged, answer: bytes) -> None:
    exchanged.receiver.otherwise = answer
    try:
        job = exchanged.submit("called", OUTCOME)
        exchanged.backend.wait(lambda: calls(exchanged, path_of(job)))

        def dead() -> bool:
            listed = exchanged.served.run("delivery", "list", "--queue", "exchange.callbacks.called", str(exchanged.served.file))
            return str(exchanged.receiver.port) in listed.stdout

        exchanged.backend.wait(dead, 10)
        assert exchanged.outcome(job).status_code == 201
        assert len(calls(exchanged, path_of(job))) == 1
    finally:
        exchanged.receiver.otherwise = response(204, b"")


def test_a_ping_is_signed_and_tells_of_nothing(exchanged: Exchanged) -> None:
    before = len(exchanged.receiver.seen)
    done = exchanged.served.run("exchange", "ping", "called", "ward")
    assert (done.returncode, done.stdout) == (0, f"taken: {exchanged.receiver.url}/called\n"), done.stderr
    (seen,) = exchanged.receiver.seen[before:]
    verify([SECRET.encode()], seen.all(b"fiveways-signature")[0].decode(), seen.body, time.time())
    assert seen.all(b"fiveways-event") == [b"ping"]
    assert not seen.all(b"fiveways-status")
    exchanged.receiver.otherwise = response(500)
    try:
        failed = exchanged.served.run("exchange", "ping", "called", "ward")
        assert failed.returncode == 1
        assert "answered 500" in failed.stderr
    finally:
        exchanged.receiver.otherwise = response(204, b"")
    assert exchanged.served.run("exchange", "ping", "called", "other").returncode == 1
