"""Repeats of what is not idempotent (S25-S29, A32): carried out once, answered as often as asked, over crashes too."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import API_KEY, Backend, Seen, Serve, Served, after, dying, hashed, read_body, response

KEY = {"apikey": API_KEY}


def order(platform: Served, path: str, request_id: str, body: bytes = b"one", **headers: str) -> httpx.Response:
    """An order with an id, as an application that has an API key."""
    return platform.call("POST", f"/orders{path}", headers={**KEY, "X-Request-ID": request_id, **headers}, content=body)


def counting() -> tuple[list[Seen], object]:
    """An answer that is another each time, and the requests that got one."""
    made: list[Seen] = []

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        made.append(seen)
        writer.write(response(201, b"number %d" % len(made), ("Location", f"/orders/{len(made)}"), ("Set-Cookie", "a=1")))

    return made, answer


def test_a_repeat_gets_the_first_answer(platform: Served, behind: Backend) -> None:
    """S26, S27: status, fields and body; and until when it will be so."""
    made, answer = counting()
    path, request_id = behind.at(answer), str(uuid4())  # type: ignore[arg-type]
    first, second = order(platform, path, request_id), order(platform, path, request_id)
    assert (first.status_code, first.content, len(made)) == (201, b"number 1", 1)
    assert (second.status_code, second.content) == (201, b"number 1")
    for name in ("location", "set-cookie", "idempotency-expires"):
        assert first.headers[name] == second.headers[name]
    assert order(platform, path, str(uuid4())).content == b"number 2"
    details = [event.get("details") or {} for event in platform.events(request_id=request_id)]
    assert [each.get("duplicate") for each in details] == [None, True]


def test_repeats_at_the_same_time_are_carried_out_once(platform: Served, behind: Backend) -> None:
    path, request_id = behind.at(after(0.5, response(201, b"done"))), str(uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: order(platform, path, request_id), range(8)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, b"done")}
    assert len(behind.requests(path)) == 1


def test_a_repeat_that_would_wait_too_long_is_409(platform: Served, behind: Backend) -> None:
    path, headers = behind.at(after(1.5)), {**KEY, "Idempotency-Key": '"a"'}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(platform.call, "PUT", f"/orders{path}", headers=headers, content=b"x")
        behind.wait(lambda: behind.requests(path))
        second = platform.call("PUT", f"/orders{path}", headers=headers, content=b"x")
        assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (409, "CONFLICT", "1")
        assert first.result().status_code == 200
    assert platform.call("PUT", f"/orders{path}", headers=headers, content=b"x").status_code == 200
    assert len(behind.requests(path)) == 1


@pytest.mark.parametrize("status", [400, 409, 422, 500, 503])
def test_an_error_is_an_answer_too(platform: Served, behind: Backend, status: int) -> None:
    path, request_id = behind.at(response(status, b"own words")), str(uuid4())
    for _ in range(2):
        answer = order(platform, path, request_id)
        assert (answer.status_code, answer.content) == (status, b"own words")
    assert len(behind.requests(path)) == 1


def test_one_id_has_one_meaning(platform: Served, behind: Backend) -> None:
    """Another body, another path or another query under the same id is another request: 422."""
    path, request_id = behind.at(response(201)), str(uuid4())
    assert order(platform, path, request_id).status_code == 201
    for other in (
        order(platform, path, request_id, b"two"),
        order(platform, path, request_id, b""),
        order(platform, f"{path}/of/somebody/else", request_id),
        order(platform, f"{path}?patient=2", request_id),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "DUPLICATE_REQUEST_ID")
    assert len(behind.requests(path)) == 1


def test_an_id_belongs_to_its_consumer(platform: Served, behind: Backend) -> None:
    path, request_id = behind.at(response(201)), str(uuid4())
    assert order(platform, path, request_id).status_code == 201
    answer = platform.call(
        "POST", f"/orders{path}", headers={**platform.bearer("second"), "X-Request-ID": request_id}, content=b"other"
    )
    assert answer.status_code == 201
    assert len(behind.requests(path)) == 2


def test_without_an_id_it_is_400(platform: Served, behind: Backend) -> None:
    path = behind.at(response(201))
    answer = platform.call("POST", f"/orders{path}", headers=KEY, content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_VALUE")
    assert platform.call("PUT", f"/orders{path}", headers={**KEY, "X-Request-ID": str(uuid4())}).status_code == 400
    assert not behind.requests(path)


def test_a_large_answer_is_kept_as_well(platform: Served, behind: Backend) -> None:
    body = bytes(range(256)) * 4000
    path, request_id = behind.at(response(200, body)), str(uuid4())
    assert order(platform, path, request_id).content == body
    assert order(platform, path, request_id).content == body
    assert len(behind.requests(path)) == 1


def test_an_unreachable_provider_frees_the_id(serve: Serve, backend: Backend) -> None:
    """Nothing was carried out, so the repeat may be."""
    with serve(DEPLOYMENT.format(url=backend.url, key=hashed(API_KEY))) as served:
        path, request_id = backend.at(response(201, b"at last")), str(uuid4())
        backend.go()
        assert order(served, path, request_id).status_code == 502
        backend.come_back()
        answer = order(served, path, request_id)
        assert (answer.status_code, answer.content) == (201, b"at last")


def test_a_provider_that_dies_may_have_acted_so_its_fault_is_the_answer(platform: Served, behind: Backend) -> None:
    for sent in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"):
        path, request_id = behind.at(dying(sent)), str(uuid4())
        first, second = order(platform, path, request_id), order(platform, path, request_id)
        assert first.status_code == second.status_code == 502
        assert first.content == second.content
        assert len(behind.requests(path)) == 1


def test_a_consumer_that_hangs_up_finds_the_answer_when_it_repeats(platform: Served, behind: Backend) -> None:
    path, request_id = behind.at(after(0.6, response(201, b"made"))), str(uuid4())
    with pytest.raises(httpx.ReadTimeout), platform.client() as client:
        client.post(f"/orders{path}", headers={**KEY, "X-Request-ID": request_id}, content=b"one", timeout=0.2)
    answer = order(platform, path, request_id)
    assert (answer.status_code, answer.content) == (201, b"made")
    assert len(behind.requests(path)) == 1


def test_a_consumer_that_hangs_up_within_its_own_request_may_send_it_again(platform: Served, behind: Backend) -> None:
    """Half a request cannot have been carried out: its id is free again."""
    path, request_id = behind.at(response(201, b"made")), str(uuid4())
    with platform.connect() as connection:
        fields = f"Host: a\r\napikey: {API_KEY}\r\nX-Request-ID: {request_id}\r\nContent-Length: 1000\r\n"
        head = f"POST /orders{path} HTTP/1.1\r\n{fields}\r\n"
        connection.sendall(head.encode() + b"half")
        time.sleep(0.2)
    time.sleep(0.2)
    answer = order(platform, path, request_id, b"whole")
    assert (answer.status_code, answer.content) == (201, b"made")


DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire Hospitals}}}}
applications: {{ward: {{organisation: RXN, api_keys: ["{key}"], products: [all]}}}}
products: {{all: {{apis: [orders]}}}}
apis:
  orders:
    pattern: pass-through
    at: /orders
    target: {{url: "{url}", timeout: {{first_byte: 1s, total: 2s}}}}
    security: [api-key]
    operations: [{{match: "POST /**", idempotent: false, deduplicate: {{by: X-Request-ID, for: 1h, wait: 300ms}}}}]
"""


def test_answers_outlive_a_restart_and_a_crash(serve: Serve, backend: Backend) -> None:
    made, answer = counting()
    with serve(DEPLOYMENT.format(url=backend.url, key=hashed(API_KEY))) as served:
        path, request_id = backend.at(answer), str(uuid4())  # type: ignore[arg-type]
        assert order(served, path, request_id).content == b"number 1"
        for number in (signal.SIGTERM, signal.SIGKILL):
            served.stop(number)
            served.start()
            assert order(served, path, request_id).content == b"number 1"
        assert len(made) == 1


def test_what_a_crash_left_open_is_never_sent_again(serve: Serve, backend: Backend) -> None:
    """kill -9 between the provider's action and its answer: nobody knows, so a repeat is told so and the provider is left alone."""
    acted = threading.Event()

    async def act_and_wait(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        acted.set()
        await reader.read()

    with serve(DEPLOYMENT.format(url=backend.url, key=hashed(API_KEY))) as served:
        path, request_id = backend.at(act_and_wait), str(uuid4())
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(order, served, path, request_id)
            assert acted.wait(5)
            served.stop(signal.SIGKILL)
            assert isinstance(first.exception(10), httpx.TransportError)
        served.start()
        for _ in range(2):
            repeat = order(served, path, request_id)
            assert (repeat.status_code, repeat.json()["code"]) == (409, "CONFLICT")
        assert len(backend.requests(path)) == 1
        assert served.run("audit", "verify", str(served.file)).returncode == 0
