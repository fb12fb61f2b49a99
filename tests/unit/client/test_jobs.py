"""What the ledger keeps of jobs: the first outcome, whole, over restarts, in files of older versions too."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.client.conftest import Arrive

from fiveways.client import Answer, ClientError, Gone, Ledger, Refused, State, match
from fiveways.client.answer import Fields
from fiveways.client.file import _FIRST
from fiveways.client.jobs import IN_ROW, Followed, Jobs
from fiveways.client.ledger import EXCHANGE, MESSAGING
from fiveways.clock import ManualClock

PARTY = "https://a.example"


def opened(ledger: Ledger, local_id: str = "one") -> str:
    return ledger.open(EXCHANGE, PARTY, own="", local_id=local_id).id


def answer(content: bytes, status: int = 200) -> Answer:
    return Answer(status, Fields([("X-A", "1"), ("X-A", "2")]), content, "", "")


def followed(request: str, url: str = "https://a.example/status/1") -> Followed:
    return Followed(request, url, "", False, 5, '"e"', "half")


@pytest.mark.parametrize("size", [0, 1, IN_ROW, IN_ROW + 1, 3 * IN_ROW])
def test_the_first_outcome_is_the_outcome(ledger: Ledger, size: int) -> None:
    jobs, request = Jobs(ledger), opened(ledger)
    jobs.begin(request)
    jobs.accepted(followed(request))
    body = b"x" * size
    kept = jobs.ended(request, answer(body), "status")
    assert jobs.ended(request, answer(b"another", 500), "callback") == kept == jobs.outcome(request) == jobs.conclusion(request)
    assert (kept.status, kept.content, kept.headers.all("x-a"), kept.request_id) == (200, body, ["1", "2"], request)
    files = list(ledger.path.parent.glob("*.outcomes/*"))
    assert len(files) == (size > IN_ROW)
    assert [happening for _, happening, *_ in ledger.history(request)] == ["open", "try", "send", "answer"]


def test_an_outcome_whose_file_is_gone_is_no_empty_outcome(ledger: Ledger) -> None:
    jobs, request = Jobs(ledger), opened(ledger)
    jobs.ended(request, answer(b"x" * (IN_ROW + 1)), "status")
    next(ledger.path.parent.glob("*.outcomes/*")).unlink()
    with pytest.raises(ClientError, match="No such file"):
        jobs.outcome(request)


def test_how_a_job_ended_is_told_by_why(ledger: Ledger) -> None:
    jobs = Jobs(ledger)
    for code, expected in (("cancelled", Gone), ("gone", Gone), ("14", Refused)):
        request = opened(ledger, code)
        assert jobs.conclusion(request) is None
        jobs.failed(request, code, "because")
        found = jobs.conclusion(request)
        assert isinstance(found, expected)
        assert str(found).startswith("because")
        assert jobs.ended(request, answer(b"late"), "callback").content == b"late"  # proof counts, whatever was thought before
    assert isinstance(jobs.conclusion("unknown"), ClientError)


def test_jobs_are_found_by_id_or_by_where_they_are_asked_after(ledger: Ledger) -> None:
    jobs, one, two = Jobs(ledger), opened(ledger), opened(ledger, "two")
    for request in (one, two):
        jobs.accepted(followed(request, f"{PARTY}/{request}"))
    assert [getattr(jobs.called(*names), "id", None) for names in ((one, ""), ("", f"{PARTY}/{two}"), ("", ""), ("x", "y"))] == [
        one,
        two,
        None,
        None,
    ]
    jobs.accepted(followed(two, f"{PARTY}/{one}"))
    assert jobs.called("", f"{PARTY}/{one}") is None  # it could be either
    message = ledger.open(MESSAGING, "BOB", own="ALICE")
    assert jobs.called(message.id, "") is None
    assert [request.id for request in jobs.open(PARTY)] == [one, two]
    assert jobs.open("https://b.example") == []


def test_what_was_seen_of_jobs_is_kept(ledger: Ledger) -> None:
    jobs, request = Jobs(ledger), opened(ledger)
    jobs.accepted(followed(request))
    jobs.seen([(request, 99, '"f"', "done soon")])
    found = jobs.followed(request)
    assert found is not None
    assert (found.due, found.etag, found.progress, found.status_url) == (99, '"f"', "done soon", followed(request).status_url)


def test_endings_are_told_in_their_order_to_whoever_looks(ledger: Ledger) -> None:
    jobs = Jobs(ledger)
    requests = [opened(ledger, str(n)) for n in range(3)]
    before = jobs.last_ending()
    with Ledger(ledger.path) as other:
        Jobs(other).ended(requests[2], answer(b""), "status")
        other.failed(requests[0], "x", "y")
    assert [request for _, request in jobs.endings(before)] == [requests[2], requests[0]]
    assert jobs.endings(jobs.last_ending()) == []


def test_what_is_forgotten_is_forgotten_with_its_outcome(ledger: Ledger, clock: ManualClock) -> None:
    jobs, request, open_ = Jobs(ledger), opened(ledger), opened(ledger, "two")
    jobs.accepted(followed(request))
    jobs.ended(request, answer(b"x" * (IN_ROW + 1)), "status")
    clock.advance(timedelta(days=1))
    assert ledger.forget(clock.now()) == 1
    assert list(ledger.path.parent.glob("*.outcomes/*")) == []
    assert ledger.get(request) is None
    assert ledger.get(open_) is not None


def test_a_file_of_the_first_version_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with sqlite3.connect(file) as connection:
        connection.executescript(_FIRST)
        connection.execute("INSERT INTO requests VALUES ('r', 'messaging', 'BOB', 'ALICE', 'one', 'X', '', '', '', 1, NULL)")
        connection.execute("INSERT INTO events VALUES ('r', 0, 'open', 'open', 1, '', '')")
        connection.execute("PRAGMA user_version=1")
    connection.close()
    for _ in range(2):
        with Ledger(file) as ledger:
            assert [request.local_id for request in ledger.waiting()] == ["one"]
            assert Jobs(ledger).followed("r") is None


def test_the_answer_to_a_message_is_kept_where_it_is_wanted(ledger: Ledger, arrive: Arrive) -> None:
    jobs = Jobs(ledger)
    wanted, other = [
        ledger.open(MESSAGING, "BOB", own="ALICE", local_id=name, workflow="X", answer_within=timedelta(days=1)) for name in "ab"
    ]
    jobs.keep(wanted.id)
    large = b"x" * (IN_ROW + 1)
    for local_id, content in (("a", large), ("b", b"unwanted"), ("a", b"a second answer")):
        message = arrive(content, localid=local_id, workflowid="X_ACK")
        assert match(ledger, message) is not None
        assert message.content.read() == content  # the handler has it from its beginning
    kept = jobs.conclusion(wanted.id)
    assert isinstance(kept, Answer)
    assert (kept.status, kept.content, kept.headers["mex-from"]) == (200, large, "BOB")
    assert isinstance(jobs.conclusion(other.id), ClientError)
    assert [request.state for request in map(ledger.get, (wanted.id, other.id)) if request is not None] == [State.ANSWERED] * 2
