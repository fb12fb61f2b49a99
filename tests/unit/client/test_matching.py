"""Which request a message answers: what it quotes decides, and nothing is guessed (A4)."""

from __future__ import annotations

import string
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.conftest import Arrive, arrival
from tests.unit.client.test_reference import bundle_json, bundle_xml

from fiveways.client import Ledger, Request, State, match
from fiveways.correlation import new_id


def sent(ledger: Ledger, local_id: str = "", to: str = "BOB", message_id: str = "", **said: Any) -> Request:
    given = {"own": "ALICE", "workflow": "X", "answer_within": timedelta(hours=1), **said}
    return ledger.sent(ledger.open("messaging", to, local_id=local_id, **given).id, message_id or new_id().upper())


def matched(ledger: Ledger, arrived: Any) -> str | None:
    found = match(ledger, arrived)
    return found.id if found is not None else None


@pytest.mark.parametrize("made", [bundle_json, bundle_xml])
def test_a_fhir_response_answers_the_message_that_it_names_whoever_sends_it(ledger: Ledger, arrive: Arrive, made: Any) -> None:
    first, second = (sent(ledger, fhir_ids=[name]) for name in ("f-1", "f-2"))
    answer = match(ledger, arrive(made("r-1", "urn:uuid:F-2", "fatal-error"), **{"from": "BOB-OUT", "workflowid": "OTHER"}))
    assert answer is not None
    assert (answer.id, answer.state, answer.code) == (second.id, State.ANSWERED, "fatal-error")
    assert [each.id for each in ledger.waiting()] == [first.id]


def test_a_fhir_response_to_a_message_that_is_not_ours_is_unsolicited_even_if_all_else_fits(ledger: Ledger, arrive: Arrive) -> None:
    request = sent(ledger, "one", fhir_ids=["f-1"])
    assert match(ledger, arrive(bundle_json("r-1", "f-9"), workflowid="X_ACK", localid="one")) is None
    assert [each.id for each in ledger.waiting()] == [request.id]


def test_a_local_id_that_anyone_may_have_needs_sender_and_workflow_and_a_guid_one_of_them(ledger: Ledger, arrive: Arrive) -> None:
    plain, guid = sent(ledger, "7"), sent(ledger, new_id())
    for fields in ({"from": "EVE", "workflowid": "X_ACK"}, {"workflowid": "Y"}):
        assert match(ledger, arrive(localid="7", **fields)) is None
    assert matched(ledger, arrive(localid="7", workflowid="X_ACK")) == plain.id
    assert match(ledger, arrive(localid=guid.local_id, **{"from": "EVE", "workflowid": "Y"})) is None
    assert matched(ledger, arrive(localid=guid.local_id, **{"from": "BOB-OUT", "workflowid": "X_ACK"})) == guid.id


def test_a_workflow_alone_matches_where_one_request_only_can_be_meant(ledger: Ledger, arrive: Arrive) -> None:
    first, other = sent(ledger), sent(ledger, to="CAROL")
    assert matched(ledger, arrive(workflowid="X_ACK")) == first.id
    second, third = sent(ledger), sent(ledger)
    assert match(ledger, arrive(workflowid="X_ACK")) is None
    match(ledger, arrive(workflowid="X_ACK", localid=third.local_id))
    assert matched(ledger, arrive(workflowid="X_ACK", localid="their own")) == second.id
    assert [each.id for each in ledger.waiting()] == [other.id]


def test_a_correlation_id_matches_where_one_request_only_has_it(ledger: Ledger, arrive: Arrive) -> None:
    one = sent(ledger, correlation="c-1")
    assert matched(ledger, arrive(workflowid="Y", correlationid="c-1")) == one.id
    assert match(ledger, arrive(workflowid="Y", correlationid="c-1", **{"from": "EVE"})) is None
    sent(ledger, correlation="c-1")
    assert match(ledger, arrive(workflowid="Y", correlationid="c-1")) is None


def test_the_same_message_is_told_the_same_and_notes_nothing_twice(ledger: Ledger, arrive: Arrive) -> None:
    request = sent(ledger)
    again = [matched(ledger, arrive(id_="M1", workflowid="X_ACK")) for _ in range(3)]
    assert again == [request.id] * 3
    assert Counter(what for _, what, _, _, _ in ledger.history(request.id))["answer"] == 1


def test_a_second_answer_and_one_that_is_late_count(ledger: Ledger, arrive: Arrive, clock: Any) -> None:
    request = sent(ledger)
    clock.advance(timedelta(days=1))
    assert [each.id for each in ledger.overdue()] == [request.id]
    for code in ("received", "processed"):
        answer = match(ledger, arrive(code.encode(), workflowid="X_ACK", localid=request.local_id))
        assert answer is not None
        assert answer.state is State.ANSWERED
    assert ledger.overdue() == []


@pytest.mark.parametrize("how", [{"linkedmsgid": "M1"}, {"linkedmsgid": "m1", "localid": "other"}, {"localid": "one"}])
def test_a_report_closes_its_request_as_failed(ledger: Ledger, arrive: Arrive, how: dict[str, str]) -> None:
    request = sent(ledger, "one", message_id="M1")
    report = {"from": "", "messagetype": "REPORT", "statuscode": "14", "statusdescription": "Message not collected"}
    failed = match(ledger, arrive(**report, **how))
    assert failed is not None
    assert (failed.id, failed.state, failed.code, failed.reason) == (request.id, State.FAILED, "14", "Message not collected")


def test_a_report_about_another_message_of_the_same_local_id_is_not_about_ours(ledger: Ledger, arrive: Arrive) -> None:
    sent(ledger, "one", message_id="M1")
    assert match(ledger, arrive(messagetype="REPORT", linkedmsgid="M2", localid="one")) is None


def test_a_report_is_told_by_local_id_where_the_answer_to_sending_was_lost(ledger: Ledger, arrive: Arrive) -> None:
    request = ledger.open("messaging", "BOB", own="ALICE", local_id="one", answer_within=timedelta(hours=1))
    assert matched(ledger, arrive(messagetype="REPORT", linkedmsgid="M2", localid="one")) == request.id


def test_a_report_does_not_undo_an_answer(ledger: Ledger, arrive: Arrive) -> None:
    request = sent(ledger, "one")
    match(ledger, arrive(workflowid="X_ACK"))
    reported = match(ledger, arrive(messagetype="REPORT", localid="one"))
    assert reported is not None
    assert (reported.id, reported.state) == (request.id, State.ANSWERED)


def test_answers_to_another_mailbox_of_ours_are_not_answers_here(ledger: Ledger, arrive: Arrive) -> None:
    sent(ledger, own="CAROL")
    assert match(ledger, arrive(workflowid="X_ACK")) is None


_words = st.text(string.ascii_letters, min_size=1, max_size=2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["BOB", "CAROL"]), st.sampled_from(["X", "Y"]), _words), max_size=6, unique_by=lambda r: r[2]
    ),
    st.lists(st.tuples(st.sampled_from(["BOB", "CAROL", "EVE"]), st.sampled_from(["X", "X_ACK", "Y_ACK"]), _words), max_size=8),
)
def test_no_message_answers_a_request_to_somebody_else_or_of_another_workflow(
    requests: list[tuple[str, str, str]], messages: list[tuple[str, str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        for party, workflow, local_id in requests:
            sent(ledger, local_id, party, workflow=workflow)
        for sender, workflow, local_id in messages:
            found = match(ledger, arrival(b"", "", **{"from": sender, "workflowid": workflow, "localid": local_id}))
            if found is None:
                quoted = [each for each in requests if (each[0], f"{each[1]}_ACK", each[2]) == (sender, workflow, local_id)]
                assert not quoted
            else:
                assert (found.party, f"{found.workflow}_ACK") == (sender, workflow)
