"""What holds whatever is sent and in whatever order: fields byte for byte, pages without gaps, chunks in any order and again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.conftest import received
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import V2, Answer, Wire, token

OUTBOX, INBOX = "/messageexchange/ALICE/outbox", "/messageexchange/BOB/inbox"
MESSAGE = {"mex-to": "BOB", "mex-workflowid": "NOTE"}
slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    """A connection."""
    opened = Wire(sandbox.url)
    yield opened
    opened.close()


# --- fields -----------------------------------------------------------------------------------------------------------------

KEPT = (b"workflowid", b"subject", b"localid", b"partnerid", b"filename", b"content-checksum", b"content-type")
"""What comes back as it was sent."""
READ = (b"to", b"from", b"chunk-range", b"content-encrypted", b"content-compressed", b"clientversion", b"")
"""What is looked at, or not at all."""
anything = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=120).map(str.encode),
    st.sampled_from(
        [b"BOB", b"1:1", b"Y", b"md5:0", b"\xff" * 300, b"x" * 301, b"\t", b"a\r\n b", b"a\r\nmex-subject: b", b"a\0b", b"http://a"]
    ),
)


def exchange(
    sandbox: Sandbox, method: bytes, path: str, mailbox: str, fields: dict[bytes, bytes], body: bytes = b""
) -> tuple[int, bytes]:
    """Send a request to the byte; status and head of the answer."""
    common = {b"host": b"a", b"authorization": token(mailbox).encode(), b"accept": V2.encode(), b"connection": b"close"}
    said = {**common, b"content-length": b"%d" % len(body), **fields}
    head = b"".join(b"%b: %b\r\n" % field for field in said.items())
    host, _, port = sandbox.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, path.encode(), head, body))
        answer = received(connection)
    return int(answer[9:12]), answer


def field(head: bytes, name: bytes) -> bytes:
    """A field of an answer, to the byte."""
    values = [line[len(name) + 1 :].strip(b" ") for line in head.split(b"\r\n") if line[: len(name) + 1].lower() == name + b":"]
    return values[-1] if values else b""


@settings(max_examples=300, deadline=None, suppress_health_check=slow)
@given(st.dictionaries(st.sampled_from(KEPT + READ), anything, max_size=4))
def test_any_bytes_in_any_field_are_refused_or_come_back_byte_for_byte(sandbox: Sandbox, said: dict[bytes, bytes]) -> None:
    fields = {b"mex-to": b"BOB", b"mex-workflowid": b"NOTE"} | {b"mex-" + name: value for name, value in said.items()}
    status, answer = exchange(sandbox, b"POST", OUTBOX, "ALICE", fields, b"x")
    assert 200 <= status < 500, answer
    if status != 202:
        return
    message = answer.split(b'"message_id":"')[1][:27].decode()
    status, head = exchange(sandbox, b"GET", f"{INBOX}/{message}", "BOB", {})
    if status == 410:
        assert said[b"chunk-range"].split(b":")[1].strip() != b"1", "it waits for more chunks"
        return
    assert status == 200, head
    for name in KEPT:
        sent = said.get(name, b"").strip(b" \t")
        if b"\r" not in sent and sent:  # folded fields (RFC 9112 §5.2) come back unfolded
            assert field(head, b"mex-" + name) == sent
    status, tracked = exchange(sandbox, b"GET", f"{OUTBOX}/tracking?messageID={message}", "ALICE", {})
    assert status == 200, tracked


# --- pages ------------------------------------------------------------------------------------------------------------------


def send(wire: Wire, workflow: str = "NOTE") -> str:
    answer = wire("POST", OUTBOX, "ALICE", accept=V2, headers={**MESSAGE, "mex-workflowid": workflow}, body=b"x")
    assert answer.status == 202
    return str(answer.json()["message_id"])


def pages(wire: Wire, query: str) -> list[str]:
    """Everything that an inbox lists, following the links to the end."""
    path, found = f"{INBOX}?{query}", []
    while path:
        page = wire("GET", path, "BOB", accept=V2).json()
        found += page["messages"]
        path = page["links"].get("next", "")
    return found


WANTED: dict[str, Callable[[str], bool]] = {
    "": lambda workflow: True,
    "&workflow_filter=A*": lambda workflow: workflow.startswith("A"),
    "&workflow_filter=!AB": lambda workflow: workflow != "AB",
}


@settings(max_examples=15, deadline=None, suppress_health_check=slow)
@given(
    st.lists(st.tuples(st.sampled_from(["A", "AB", "B"]), st.booleans()), min_size=15, max_size=60),
    st.sampled_from(list(WANTED)),
    st.randoms(use_true_random=False),
)
def test_pages_are_whole_while_others_acknowledge_and_send(
    sandbox: Sandbox, wire: Wire, there: list[tuple[str, bool]], wanted: str, chance: Any
) -> None:
    """No message that was there all along is left out, none is shown twice, and all are in order of arrival."""
    wire("DELETE", "/admin/reset")
    sent = [(send(wire, workflow), workflow, leaves) for workflow, leaves in there]
    leaving = [id_ for id_, _, leaves in sent if leaves]
    chance.shuffle(leaving)
    going_on = threading.Event()

    def acknowledge() -> None:
        other = Wire(sandbox.url)
        going_on.wait(5)
        for id_ in leaving:
            assert other("PUT", f"{INBOX}/{id_}/status/acknowledged", "BOB").status == 200
        other.close()

    def send_more() -> list[str]:
        other = Wire(sandbox.url)
        going_on.wait(5)
        more = [send(other, "A") for _ in range(10)]
        other.close()
        return more

    with ThreadPoolExecutor() as at_once:
        acknowledging, sending = at_once.submit(acknowledge), at_once.submit(send_more)
        going_on.set()
        walks = [pages(wire, f"max_results=10{wanted}") for _ in range(3)]
        acknowledging.result()
        later = sending.result()
    matching = [(id_, leaves) for id_, workflow, leaves in sent if WANTED[wanted](workflow)]
    stays = [id_ for id_, leaves in matching if not leaves]
    for walk in walks:
        assert len(set(walk)) == len(walk)
        assert [id_ for id_ in walk if id_ in stays] == stays
        order = [id_ for id_, _ in matching] + later
        assert walk == sorted(walk, key=order.index)
    assert pages(wire, f"max_results=10{wanted}") == stays + later


# --- chunks -----------------------------------------------------------------------------------------------------------------


def begin(wire: Wire, total: int) -> str:
    """Send the first of several chunks."""
    answer = wire("POST", OUTBOX, "ALICE", accept=V2, headers={**MESSAGE, "mex-chunk-range": f"1:{total}"}, body=b"1")
    assert answer.status == 202
    return str(answer.json()["message_id"])


def add(wire: Wire, message: str, number: int, total: int, body: bytes, authorization: str = "") -> Answer:
    """Send one of the later chunks."""
    said = {"mex-chunk-range": f"{number}:{total}", "authorization": authorization or token("ALICE")}
    return wire("POST", f"{OUTBOX}/{message}/{number}", accept=V2, headers=said, body=body)


def waiting(wire: Wire) -> list[str]:
    return list(wire("GET", INBOX, "BOB", accept=V2).json()["messages"])


@st.composite
def orders(draw: st.DrawFn) -> tuple[int, list[int]]:
    """How many chunks, and an order of all but the first, some of them several times."""
    total = draw(st.integers(2, 6))
    again = draw(st.lists(st.integers(2, total), max_size=6))
    return total, draw(st.permutations([*range(2, total + 1), *again]))


@settings(max_examples=60, deadline=None, suppress_health_check=slow)
@given(orders(), st.sampled_from([1, 70_000]))
def test_chunks_in_any_order_and_again_make_one_message_once_all_are_there(
    wire: Wire, order: tuple[int, list[int]], size: int
) -> None:
    total, numbers = order
    wire("DELETE", "/admin/reset")
    message, here = begin(wire, total), {1: b"1"}
    for turn, number in enumerate(numbers):
        body = b"%d/%d" % (number, turn) * size
        answer = add(wire, message, number, total, body)
        if len(here) < total:
            assert answer.status == 202
            here[number] = body
        else:
            assert answer.status == 423, "it is whole, and stays as it is"
        assert waiting(wire) == ([message] if len(here) == total else [])
    for number, body in here.items():
        answer = wire("GET", f"{INBOX}/{message}/{number}", "BOB", accept=V2)
        assert (answer.status, answer.content) == (206 if number < total else 200, body)


@settings(max_examples=15, deadline=None, suppress_health_check=slow)
@given(orders())
def test_chunks_sent_at_once_and_again_make_one_message(sandbox: Sandbox, wire: Wire, order: tuple[int, list[int]]) -> None:
    total, numbers = order
    wire("DELETE", "/admin/reset")
    message = begin(wire, total)

    def adding(number: int) -> int:
        other = Wire(sandbox.url)
        status = add(other, message, number, total, b"%d" % number * 70_000).status
        other.close()
        return status

    with ThreadPoolExecutor(len(numbers)) as at_once:
        statuses = list(at_once.map(adding, numbers))
    assert set(statuses) <= {202, 423}
    assert statuses.count(202) >= total - 1
    assert waiting(wire) == [message]
    for number in range(2, total + 1):
        assert wire("GET", f"{INBOX}/{message}/{number}", "BOB", accept=V2).content == b"%d" % number * 70_000


def test_the_last_chunk_sent_again_by_the_client_itself_is_taken_again(wire: Wire) -> None:
    """Its answer was lost: mesh-client sends the very same request, token and all, and must not read that it failed."""
    message, authorization = begin(wire, 2), token("ALICE")
    statuses = [add(wire, message, 2, 2, b"2", authorization).status for _ in range(2)]
    assert statuses == [202, 202]
    assert waiting(wire) == [message]
