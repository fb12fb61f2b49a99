"""A token is good for one request, within two hours of its time, and for the client's own repeat of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import HANDSHAKE, V2, Answer, Wire, token

INBOX = "/messageexchange/BOB/inbox"
MESSAGE = {"mex-to": "BOB", "mex-workflowid": "NOTE"}


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    """A connection."""
    opened = Wire(sandbox.url)
    yield opened
    opened.close()


def refused_as(answer: Answer) -> str:
    assert answer.status == 403
    found = answer.json()["detail"][0]["msg"]
    assert isinstance(found, str)
    return found


def send(wire: Wire) -> str:
    answer = wire("POST", "/messageexchange/ALICE/outbox", "ALICE", accept=V2, headers=MESSAGE, body=b"x")
    assert answer.status == 202
    return str(answer.json()["message_id"])


def test_the_same_request_is_answered_again_and_another_is_not(wire: Wire) -> None:
    said = {"authorization": token("BOB")}
    assert [wire("GET", INBOX, accept=V2, headers=said).status for _ in range(3)] == [200, 200, 200]
    for method, path in (
        ("GET", f"{INBOX}?max_results=10"),
        ("GET", "/messageexchange/BOB/count"),
        ("GET", "/messageexchange/BOB"),
        ("POST", "/messageexchange/BOB"),
    ):
        answer = wire(method, path, accept=V2, headers={**said, **HANDSHAKE})
        assert refused_as(answer) == "Error Duplicated Authentication Token", path
    assert wire("GET", INBOX, accept=V2, headers=said).status == 200


def test_an_acknowledgement_is_taken_again(wire: Wire) -> None:
    first, second = send(wire), send(wire)
    said = {"authorization": token("BOB")}
    assert [wire("PUT", f"{INBOX}/{first}/status/acknowledged", accept=V2, headers=said).status for _ in range(2)] == [200, 200]
    assert refused_as(wire("PUT", f"{INBOX}/{second}/status/acknowledged", accept=V2, headers=said))
    assert wire("GET", INBOX, "BOB", accept=V2).json()["messages"] == [second]


def test_a_chunk_is_taken_again(wire: Wire) -> None:
    first = {**MESSAGE, "mex-chunk-range": "1:2"}
    message = wire("POST", "/messageexchange/ALICE/outbox", "ALICE", accept=V2, headers=first, body=b"a").json()["message_id"]
    said = {"authorization": token("ALICE"), "mex-chunk-range": "2:3"}
    assert wire("POST", f"/messageexchange/ALICE/outbox/{message}/2", accept=V2, headers=said, body=b"b").status == 406
    said["mex-chunk-range"] = "2:2"
    assert wire("POST", f"/messageexchange/ALICE/outbox/{message}/2", accept=V2, headers=said, body=b"b").status == 202
    assert wire("GET", f"{INBOX}/{message}/2", "BOB", accept=V2).content == b"b"


def test_a_message_is_never_sent_twice_with_one_token(wire: Wire) -> None:
    said = {**MESSAGE, "authorization": token("ALICE")}
    assert wire("POST", "/messageexchange/ALICE/outbox", accept=V2, headers=said, body=b"x").status == 202
    for _ in range(2):
        refused_as(wire("POST", "/messageexchange/ALICE/outbox", accept=V2, headers=said, body=b"x"))
    assert len(wire("GET", INBOX, "BOB", accept=V2).json()["messages"]) == 1


def test_another_count_is_another_token(wire: Wire) -> None:
    nonce = str(uuid.uuid4())
    asked = [(INBOX, "1"), (f"{INBOX}?max_results=10", "2"), (f"{INBOX}?max_results=11", "1"), (INBOX, "0")]
    answers = [
        wire("GET", path, accept=V2, headers={"authorization": token("BOB", nonce=nonce, count=count)}) for path, count in asked
    ]
    assert [answer.status for answer in answers] == [200, 200, 403, 200]


def test_a_token_spelt_otherwise_is_the_same(wire: Wire) -> None:
    said = token("BOB")
    assert wire("GET", INBOX, accept=V2, headers={"authorization": said}).status == 200
    head, _, digest = said.rpartition(":")
    for spelt in (f"{head}:{digest.upper()}", said.replace("NHSMESH ", "nhsmesh   ")):
        refused_as(wire("GET", f"{INBOX}?max_results=10", accept=V2, headers={"authorization": spelt}))


def test_tokens_are_remembered_across_a_crash(sandbox: Sandbox) -> None:
    said = {**MESSAGE, "authorization": token("ALICE")}
    before = Wire(sandbox.url)
    assert before("POST", "/messageexchange/ALICE/outbox", accept=V2, headers=said, body=b"x").status == 202
    before.close()
    sandbox.kill()
    sandbox.start()
    after = Wire(sandbox.url)
    assert refused_as(after("POST", "/messageexchange/ALICE/outbox", accept=V2, headers=said, body=b"x"))
    assert refused_as(after("GET", "/messageexchange/ALICE/inbox", accept=V2, headers=said))
    assert len(after("GET", INBOX, "BOB", accept=V2).json()["messages"]) == 1
    after.close()


@pytest.mark.parametrize(("off", "good"), [(-121, False), (-118, True), (0, True), (118, True), (122, False)])
def test_two_hours_either_way(wire: Wire, off: int, good: bool) -> None:
    said = {"authorization": token("BOB", at=datetime.now(UTC) + timedelta(minutes=off))}
    answer = wire("GET", INBOX, accept=V2, headers=said)
    assert answer.status == (200 if good else 403)
    if not good:
        assert refused_as(answer) == "Invalid Authentication Token"
