"""An MLLP feed arrives as FHIR: acknowledged when it is done or promised, never before; what is wrong is named; repeats are
known."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from uuid import uuid4

import pytest
from tests.acceptance.conftest import Seen, read_body, response
from tests.acceptance.transformation.conftest import API_KEY, DONE, FHIR, Sender, Trust, adt, bundle

from fiveways.hl7v2 import batch
from fiveways.hl7v2.frames import framed
from fiveways.hl7v2.message import Message


def new_id() -> str:
    """A message id that no other test has."""
    return uuid4().hex[:16]


def code(acknowledged: Message) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    return acknowledged.get("MSA-1"), acknowledged.get("MSA-2")


# --- acknowledged ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", ["promised", "at-once"])
def test_a_message_arrives_as_a_transaction(trust: Trust, feed: str) -> None:
    id_ = new_id()
    assert code(trust.send(feed, adt(id_))) == ("AA", id_)
    seen = trust.until(lambda: trust.requests(feed, id_))[0]
    made = bundle(seen)
    assert (made["type"], seen.all(b"content-type")) == ("transaction", [b"application/fhir+json"])
    kinds = [entry["resource"]["resourceType"] for entry in made["entry"]]
    assert {"Patient", "Encounter"} <= set(kinds)
    patient = made["entry"][kinds.index("Patient")]
    assert patient["resource"]["name"][0]["family"] == "Khan"
    assert patient["request"] == {"method": "PUT", "url": "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number%7C9990000018"}


def test_the_sender_waits_for_the_back_end(trust: Trust) -> None:
    id_, begun = new_id(), threading.Event()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        begun.set()
        await asyncio.sleep(0.5)
        writer.write(DONE)

    trust.answers[id_] = slow
    started = time.monotonic()
    assert code(trust.send("at-once", adt(id_))) == ("AA", id_)
    assert begun.is_set()
    assert time.monotonic() - started >= 0.5


def test_a_promise_is_acknowledged_while_the_back_end_is_away(trust: Trust) -> None:
    id_ = new_id()
    trust.backend.go()
    try:
        assert code(trust.send("promised", adt(id_))) == ("AA", id_)
        failed = trust.send("at-once", adt(id_))
        assert code(failed) == ("AE", id_)
        assert failed.get("ERR-3.1") == "207"
    finally:
        trust.backend.come_back()
    trust.until(lambda: trust.requests("promised", id_))


def test_many_messages_on_one_connection_in_order(trust: Trust) -> None:
    sender, ids = trust.sender("promised"), [new_id() for _ in range(30)]
    for id_ in ids:
        assert code(sender.send(adt(id_))) == ("AA", id_)
    sender.close()
    trust.until(lambda: all(trust.requests("promised", id_) for id_ in ids))


def test_messages_sent_ahead_are_answered_in_order(trust: Trust) -> None:
    sender, ids = trust.sender("promised"), [new_id() for _ in range(10)]
    sender.connection.sendall(b"".join(b"\x0b" + adt(id_) + b"\x1c\r" for id_ in ids))
    got = b""
    while got.count(b"\x1c\r") < len(ids):
        got += sender.connection.recv(65536)
    answers = [Message.parse(each.strip(b"\x0b").decode()) for each in got.split(b"\x1c\r")[:-1]]
    assert [code(each) for each in answers] == [("AA", id_) for id_ in ids]


@pytest.mark.parametrize(
    ("further", "good", "bad"),
    [
        ("", "AA", "AE"), ("|||AL", "CA", "CE"), ("|||AL|NE", "CA", "CE"), ("|||SU|NE", "CA", ""), ("|||ER|NE", "", "CE"),
        ("|||NE|NE", "", ""), ("|||NE|AL", "AA", "AE"), ("||||ER", "", "AE"),
    ],
)  # fmt: skip
def test_the_mode_that_the_sender_asks_for(trust: Trust, further: str, good: str, bad: str) -> None:
    for wanted, answer in ((good, DONE), (bad, response(500, b"{}"))):
        id_ = new_id()
        trust.answers[id_] = answer
        sender = Sender(trust.ports["at-once"], 20 if wanted else 1)
        if wanted:
            assert code(sender.send(adt(id_, further=further))) == (wanted, id_)
        else:
            with pytest.raises(TimeoutError):
                sender.send(adt(id_, further=further))
            assert trust.requests("at-once", id_)
        sender.close()


@pytest.mark.parametrize(
    ("further", "good", "bad"),
    [("|||AL|AL", ["CA", "AA"], ["CE"]), ("|||SU|AL", ["CA", "AA"], ["AE"]), ("|||ER|SU", ["AA"], ["CE"])],
)
def test_who_asks_for_both_acknowledgements_gets_both(trust: Trust, further: str, good: list[str], bad: list[str]) -> None:
    for wanted, answer in ((good, DONE), (bad, response(500, b"{}"))):
        id_ = new_id()
        trust.answers[id_] = answer
        sender = trust.sender("at-once")
        for _ in range(2):  # a repeat gets both again
            got = [sender.send(adt(id_, further=further)), *(sender.answer() for _ in wanted[1:])]
            assert [code(each) for each in got] == [(each, id_) for each in wanted]
        assert len({each.control_id for each in got}) == len(got), "each is a message of its own"
        sender.close()


# --- batches --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", ["batch", "file"])
def test_each_message_of_a_batch_goes_its_own_way(trust: Trust, envelope: str) -> None:
    good, also = new_id(), new_id()
    messages = [adt(good), adt(new_id(), kind="ZZZ^Z01"), b"MSH|^~\\&|broken\r", adt(also)]
    asked = b"BHS|^~\\&|PAS|RXN|FIVEWAYS|ICB|20261123||||B17\r" + b"".join(messages) + b"BTS|4\r"
    if envelope == "file":
        asked = b"FHS|^~\\&|PAS|RXN|FIVEWAYS|ICB|20261123||||F9\r" + asked + b"FTS|1\r"
    sender = trust.sender("promised")
    sender.connection.sendall(framed(asked))
    read = batch.parse(sender.bytes().decode())
    assert [each.get("MSA-1") for each in read.messages] == ["AA", "AR", "AR", "AA"]
    header = read.batches[0].header
    assert header is not None
    assert [header.field(number) for number in (3, 4, 5, 6, 12)] == ["FIVEWAYS", "ICB", "PAS", "RXN", "B17"]
    assert (read.header is not None and read.header.field(12)) == ("F9" if envelope == "file" else False)
    assert code(sender.send(adt(good))) == ("AA", good), "the connection is good for another, and that is a repeat"
    sender.close()
    trust.until(lambda: all(trust.requests("promised", id_) for id_ in (good, also)))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (b"BHS|^~\\&|PAS\r" + adt("1") + b"BTS|2\r", "BTS-1 counts otherwise"),
        (b"BHS|^~\\&|PAS\r" + b"MSH|^~\\&|\r" * 1001 + b"BTS\r", "more than 1000"),
        (b"BHS|^~\\&|PAS" + b"|" * 2000 + b"\r" + adt("1") + b"BTS|1\r", "fields"),
    ],
)
def test_a_batch_that_is_none_is_rejected_whole(trust: Trust, asked: bytes, said: str) -> None:
    answer = trust.send("promised", asked)
    assert answer.get("MSA-1") == "AR"
    assert said in answer.get("ERR-8")


def test_a_batch_that_asks_for_no_answers_gets_none(trust: Trust) -> None:
    sender, id_ = trust.sender("promised"), new_id()
    sender.connection.sendall(framed(b"BHS|^~\\&|PAS\r" + adt(new_id(), further="|||NE|NE") + b"BTS|1\r"))
    assert code(sender.send(adt(id_))) == ("AA", id_)
    sender.close()


# --- what is wrong is named -----------------------------------------------------------------------------------------------


def test_what_the_back_end_says_is_told(trust: Trust) -> None:
    id_ = new_id()
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid", "diagnostics": "No such ward"}],
    }
    trust.answers[id_] = response(422, json.dumps(outcome).encode(), FHIR)
    answer = trust.send("at-once", adt(id_))
    assert code(answer) == ("AE", id_)
    assert answer.get("ERR-8") == "No such ward"
    trust.answers[id_] = DONE
    assert code(trust.send("at-once", adt(id_))) == ("AA", id_), "what failed may be sent again"


@pytest.mark.parametrize(("kind", "error", "path"), [("ZZZ^Z01", "200", "1"), ("ADT^A99", "201", "2")])
def test_another_type_is_rejected_by_name(trust: Trust, kind: str, error: str, path: str) -> None:
    answer = trust.send("promised", adt(new_id(), kind=kind))
    assert answer.get("MSA-1") == "AR"
    assert answer.get("ERR-3.1") == error
    assert (answer.get("ERR-2.1"), answer.get("ERR-2.3"), answer.get("ERR-2.5")) == ("MSH", "9", path)
    assert kind in answer.get("ERR-8")


def test_a_type_that_this_api_does_not_take(trust: Trust) -> None:
    answer = trust.send("strict", adt(new_id(), kind="ADT^A03"))
    assert answer.get("MSA-1") == "AR"
    assert "taken are ADT^A01" in answer.get("ERR-8")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"hello", "a message begins with MSH"),
        (b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4||||||KLINGON\rPID|1\r", "MSH-18"),
        (b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4||||||ASCII\rPID|1||\xff\r", "character set"),
        (b"MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.4\r", "PID"),
        (b"MSH|^~\\&|A|B|||20260101||ADT^A01||P|2.4\rPID|1||1\r", "MSH-10"),
        (b"MSH|", "delimiters"),
    ],
)
def test_what_cannot_be_read_is_answered_with_why(trust: Trust, message: bytes, said: str) -> None:
    answer = trust.send("promised", message)
    assert answer.get("MSA-1") in ("AR", "AE")
    assert said in answer.get("ERR-8")


def test_what_may_not_be_lost_is_refused_where_the_deployment_says_so(trust: Trust) -> None:
    clean = new_id()
    assert code(trust.send("strict", adt(clean))) == ("AA", clean), "nothing of it is unmapped"
    wrong = adt(new_id()).replace(b"19800101", b"19801301") + b"ZPI|1|something\r"
    answer = trust.send("strict", wrong)
    assert answer.get("MSA-1") == "AE"
    named = {(answer.get(f"ERR({number})-2.1"), answer.get(f"ERR({number})-2.3")) for number in (1, 2, 3)}
    assert {("PID", "7"), ("ZPI", "2")} <= named


def test_the_original_is_kept_where_the_deployment_says_so(trust: Trust) -> None:
    id_ = new_id()
    message = adt(id_)
    assert code(trust.send("strict", message)) == ("AA", id_)
    made = bundle(trust.requests("strict", id_)[0])
    assert "DocumentReference" in {entry["resource"]["resourceType"] for entry in made["entry"]}


def test_the_quota_of_a_sender_is_an_error_to_it(trust: Trust) -> None:
    answers = [trust.send("limited", adt(new_id())).get("MSA-1") for _ in range(3)]
    assert answers == ["AA", "AA", "AE"]


def test_a_sender_that_is_not_entitled_is_rejected(trust: Trust) -> None:
    answer = trust.send("outside", adt(new_id()))
    assert answer.get("MSA-1") == "AR"


# --- repeats --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", ["promised", "at-once", "posted"])
def test_a_repeat_gets_the_first_answer_to_the_byte(trust: Trust, feed: str) -> None:
    id_, sender = new_id(), trust.sender(feed)
    first = sender.send(adt(id_)).text
    time.sleep(0.05)
    assert [sender.send(adt(id_)).text for _ in range(3)] == [first] * 3
    assert trust.send(feed, adt(id_)).text == first, "on another connection too"
    sender.close()
    if feed != "posted":
        trust.until(lambda: trust.requests(feed, id_))
        time.sleep(0.3)
        assert len(trust.requests(feed, id_)) == 1


@pytest.mark.parametrize("feed", ["promised", "at-once", "posted"])
def test_another_message_under_the_same_id_is_refused(trust: Trust, feed: str) -> None:
    id_ = new_id()
    assert code(trust.send(feed, adt(id_))) == ("AA", id_)
    answer = trust.send(feed, adt(id_, family="Kahn"))
    assert code(answer) == ("AE", id_)
    assert answer.get("ERR-3.1") == "205"


def test_a_repeat_while_the_first_is_under_way_waits_for_it(trust: Trust) -> None:
    id_ = new_id()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        await asyncio.sleep(0.7)
        writer.write(DONE)

    trust.answers[id_] = slow
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(trust.send("at-once", adt(id_)).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 3
    assert len(set(answers)) == 1
    assert len(trust.requests("at-once", id_)) == 1


# --- what is left behind --------------------------------------------------------------------------------------------------


def test_a_message_can_be_traced_by_its_id(trust: Trust) -> None:
    id_ = new_id()
    trust.send("promised", adt(id_))
    trust.until(lambda: trust.requests("promised", id_))
    timeline = trust.served.run("trace", id_, str(trust.served.file))
    assert timeline.returncode == 0, timeline.stderr
    assert "pas (RXN)" in timeline.stdout


def test_the_audit_says_what_sort_of_message_it_was_and_no_more(trust: Trust) -> None:
    trust.send("at-once", adt(new_id(), family="Uncommonname") + b"ZPI|1|something\r")
    events = trust.until(
        lambda: [e for e in trust.served.events(api="at-once") if (e.get("details") or {}).get("unmapped", 0) >= 1]
    )
    assert events[-1]["details"]["message"] == "ADT^A01"
    assert events[-1]["details"]["mapped"] > 5
    assert "Uncommonname" not in json.dumps(trust.served.events())
    assert "Uncommonname" not in trust.served.log
    assert "9990000018" not in trust.served.log


def test_what_is_not_mapped_is_counted_over_time(trust: Trust) -> None:
    trust.send("at-once", adt(new_id()) + b"ZPI|1|something\rZPI|2|else\r")
    shown = trust.until(lambda: _reported(trust, "ZPI-2"))
    assert "at-once" in shown
    counted = json.loads(trust.served.run("transform", "report", str(trust.served.file), "--json").stdout)
    zpi = [row for row in counted if row["path"] == "ZPI-2" and row["api"] == "at-once"]
    assert zpi[0]["times"] >= 2
    assert zpi[0]["fate"] == "unmapped"


def _reported(trust: Trust, path: str) -> str:
    report = trust.served.run("transform", "report", str(trust.served.file), "--api", "at-once")
    return report.stdout if path in report.stdout else ""


# --- over HTTP ------------------------------------------------------------------------------------------------------------


def test_hl7_v2_over_http_is_the_same(trust: Trust) -> None:
    headers = {"apikey": API_KEY, "content-type": "application/hl7-v2; charset=utf-8"}
    id_ = new_id()
    first = trust.served.call("POST", "/at-once", headers=headers, content=adt(id_))
    assert (first.status_code, first.headers["content-type"]) == (200, "application/hl7-v2")
    assert code(Message.parse(first.text)) == ("AA", id_)
    again = trust.served.call("POST", "/at-once", headers=headers, content=adt(id_))
    assert again.content == first.content
    refused = trust.served.call("POST", "/at-once", headers=headers, content=adt(new_id(), kind="ZZZ^Z01"))
    assert (refused.status_code, Message.parse(refused.text).get("MSA-1")) == (422, "AR")
    several = trust.served.call("POST", "/at-once", headers=headers, content=b"BHS|^~\\&|PAS\r" + adt(new_id()) + b"BTS|1\r")
    assert (several.status_code, Message.parse(several.text).get("MSA-1")) == (422, "AR")
    assert "over MLLP" in several.text
    promised = trust.served.call("POST", "/promised", headers=headers, content=adt(new_id()))
    assert (promised.status_code, Message.parse(promised.text).get("MSA-1")) == (202, "AA")
    assert promised.headers["fiveways-promise"]
    assert trust.served.call("GET", "/at-once", headers=headers).status_code == 405
    assert trust.served.call("POST", "/at-once", content=adt(new_id())).status_code == 401


# --- into a mailbox -------------------------------------------------------------------------------------------------------


def test_a_message_is_posted_as_a_fhir_message(trust: Trust) -> None:
    id_ = new_id()
    assert code(trust.send("posted", adt(id_))) == ("AA", id_)
    listed = trust.served.run("mailbox", "show", "RXNOT002", str(trust.served.file))
    assert listed.returncode == 0, listed.stderr
