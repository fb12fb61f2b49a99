"""The ledger of open requests: nothing sent is unknown to it, and what it says survives (A4)."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fiveways.client import ClientError, Ledger, LocalIdReused, Request, State
from fiveways.client.ledger import Upload
from fiveways.clock import ManualClock

HOUR = timedelta(hours=1)


def opened(ledger: Ledger, local_id: str = "one", **said: Any) -> Request:
    given = {"own": "ALICE", "workflow": "X", "digest": "d", "answer_within": HOUR, **said}
    return ledger.open("messaging", "BOB", local_id=local_id, **given)


def states(ledger: Ledger, request: Request) -> list[str]:
    return [str(state) for _, _, state, _, _ in ledger.history(request.id)]


def test_a_request_is_there_before_it_is_sent_and_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "below" / "ledger.sqlite"
    with Ledger(file, clock) as ledger:
        request = opened(ledger, correlation="conversation", label="a file")
    with Ledger(file, clock) as again:
        assert again.waiting() == [request]
        assert (request.state, request.local_id, request.correlation, request.label) == (
            State.OPEN,
            "one",
            "conversation",
            "a file",
        )
        assert again.sent(request.id, "M1").message_id == "M1"
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_opened_again_is_the_same_request_and_what_differs_is_refused(ledger: Ledger) -> None:
    request = opened(ledger)
    assert opened(ledger) == request
    assert opened(ledger, own="CAROL").id != request.id
    for other in ({"digest": "other"}, {"workflow": "Y"}):
        with pytest.raises(LocalIdReused, match="one names another request"):
            opened(ledger, **other)
    assert len(ledger.waiting()) == 2


def test_a_request_without_an_answer_to_come_is_done_when_it_is_sent_and_never_overdue(ledger: Ledger, clock: ManualClock) -> None:
    request = opened(ledger, answer_within=None)
    assert ledger.sent(request.id, "M1").state is State.DONE
    clock.advance(timedelta(days=1000))
    assert ledger.overdue() == ledger.waiting() == []


def test_overdue_requests_are_told_until_they_are_answered_and_the_lapse_is_noted_once(ledger: Ledger, clock: ManualClock) -> None:
    first, second = opened(ledger, "one"), opened(ledger, "two", answer_within=2 * HOUR)
    ledger.sent(first.id, "M1")
    assert ledger.overdue() == []
    clock.advance(HOUR)
    assert [each.local_id for each in ledger.overdue()] == ["one"]
    clock.advance(HOUR)
    assert [each.local_id for each in ledger.overdue()] == [each.local_id for each in ledger.overdue()] == ["one", "two"]
    assert states(ledger, first) == ["open", "sent", "overdue"]
    assert states(ledger, second) == ["open", "overdue"]
    ledger.failed(second.id, "14", "not collected")
    assert [each.local_id for each in ledger.overdue()] == ["one"]


def test_what_was_refused_may_be_sent_again_and_what_was_reported_lost_may_not(ledger: Ledger) -> None:
    refused, lost = opened(ledger, "refused"), opened(ledger, "lost")
    ledger.failed(refused.id, "12", "unregistered")
    assert opened(ledger, "refused").state is State.OPEN
    ledger.sent(lost.id, "M1")
    ledger.failed(lost.id, "14", "not collected")
    assert opened(ledger, "lost").state is State.FAILED


def test_that_it_was_tried_is_known_after_the_first_time(ledger: Ledger) -> None:
    request = opened(ledger)
    assert [ledger.trying(request.id) for _ in range(3)] == [False, True, True]


def test_an_upload_is_known_until_it_is_whole(ledger: Ledger) -> None:
    request = opened(ledger)
    assert ledger.upload(request.id) is None
    for upload in (Upload("", 5, True, 0), Upload("M1", 5, True, 3)):
        ledger.uploading(request.id, upload)
        assert ledger.upload(request.id) == upload
    assert ledger.sent(request.id, "M1").message_id == "M1"
    assert ledger.upload(request.id) is None


def test_what_is_closed_can_be_forgotten_and_what_is_open_is_not(ledger: Ledger, clock: ManualClock) -> None:
    closed, waits = opened(ledger, "closed", fhir_ids=["f"]), opened(ledger, "waits")
    ledger.failed(closed.id, "12", "unregistered")
    clock.advance(HOUR)
    assert ledger.forget(clock.now()) == 1
    assert ledger.find(own="ALICE", local_id="closed") is None
    assert ledger.find(own="ALICE", local_id="waits") is not None
    assert [each.id for each in ledger.waiting()] == [waits.id]


def test_several_processes_threads_here_open_one_request_once(ledger: Ledger, tmp_path: Path) -> None:
    ids: list[str] = []

    def work() -> None:
        with Ledger(tmp_path / "ledger.sqlite") as own:
            ids.extend(opened(own, f"{number}").id for number in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 80
    assert len(set(ids)) == len(ledger.waiting()) == 20


def test_a_file_that_is_no_ledger_and_one_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is not a database, although it is long enough to be looked at as if it were one.\n" * 20)
    with pytest.raises(ClientError, match="is no ledger"):
        Ledger(tmp_path / "text")
    connection = sqlite3.connect(tmp_path / "newer")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ClientError, match="another version"):
        Ledger(tmp_path / "newer")
