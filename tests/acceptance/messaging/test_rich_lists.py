"""Rich lists: everything that a box has seen, newest first, page by page; and what testers do to messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import V2, Wire

MESSAGE = {"mex-to": "BOB", "mex-workflowid": "NOTE"}


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    """A connection."""
    opened = Wire(sandbox.url)
    yield opened
    opened.close()


def pages(wire: Wire, mailbox: str, box: str, most: int) -> list[list[dict[str, Any]]]:
    """All pages, following the links."""
    found, path = [], f"/messageexchange/{mailbox}/{box}/rich?max_results={most}"
    while path:
        answer = wire("GET", path, mailbox, accept=V2).json()
        found.append(answer["messages"])
        path = answer["links"].get("next", "")
    return found


def sent(wire: Wire) -> str:
    return str(wire("POST", "/messageexchange/ALICE/outbox", "ALICE", accept=V2, headers=MESSAGE, body=b"x").json()["message_id"])


def test_pages_are_followed_to_the_end_and_no_message_is_left_out_or_twice(wire: Wire) -> None:
    messages = [sent(wire) for _ in range(23)]
    wire("PUT", f"/messageexchange/BOB/inbox/{messages[4]}/status/acknowledged", "BOB")
    for mailbox, box, most in (("BOB", "inbox", 5), ("ALICE", "outbox", 10)):
        found = pages(wire, mailbox, box, most)
        assert [len(page) for page in found[:-1]] == [most] * (len(found) - 1)
        assert [each["message_id"] for page in found for each in page] == messages[::-1]
        assert [each["status"] for page in found for each in page].count("acknowledged") == 1


def test_a_message_moved_back_to_the_inbox_can_be_acknowledged_again(wire: Wire) -> None:
    message = sent(wire)
    place = f"/messageexchange/BOB/inbox/{message}/status/acknowledged"
    for _ in range(2):
        assert wire("GET", "/messageexchange/BOB/inbox", "BOB", accept=V2).json()["messages"] == [message]
        assert wire("PUT", place, "BOB", accept=V2).status == 200
        tracked = wire("GET", f"/messageexchange/ALICE/outbox/tracking?messageID={message}", "ALICE", accept=V2).json()
        assert tracked["status"] == "acknowledged"
        assert wire("GET", "/messageexchange/BOB/inbox", "BOB", accept=V2).json()["messages"] == []
        assert wire("POST", f"/admin/message/{message}/event", body=b'{"status": "accepted"}').status == 200


@pytest.mark.parametrize("status", ["uploading", "accepted", "acknowledged", "undeliverable", "error"])
def test_a_message_is_in_the_inbox_only_where_it_waits(wire: Wire, status: str) -> None:
    message = sent(wire)
    assert wire("POST", f"/admin/message/{message}/event", body=f'{{"status": "{status}"}}'.encode()).status == 200
    listed = wire("GET", "/messageexchange/BOB/inbox", "BOB", accept=V2).json()
    assert (listed["messages"], listed["approx_inbox_count"]) == (([message], 1) if status == "accepted" else ([], 0))
    assert wire("GET", f"/admin/message/{message}").json()["status"] == status.title()


def test_what_testers_say_wrongly_is_refused(wire: Wire) -> None:
    message = sent(wire)
    for body in (b"", b"[]", b"null", b"{", b'{"status": "lost"}', b'{"status": 1}', b"\xff", b"1" * 300_000):
        assert wire("POST", f"/admin/message/{message}/event", body=body).status == 400
        assert wire("POST", "/messageexchange/admin/report", body=body).status == 400
    assert wire("POST", "/admin/message/NONE/event", body=b'{"status": "error"}').status == 404
