"""ADT messages of others: all of the types that are read become valid FHIR, lose nothing silently, and come back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.unit.methods.synchronous.transformation.validators import problems

from fiveways.clock import ManualClock
from fiveways.errors import Fault
from fiveways.hl7v2 import batch, charsets
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v2.families.adt import ADT
from fiveways.methods.synchronous.transformation.v2.incoming import Incoming
from fiveways.methods.synchronous.transformation.v2.messages import READ, Header, kind_of, to_fhir, to_v2
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

GIVEN = Path(__file__).parents[6] / "shared" / "data" / "hl7v2"
LONDON = Context(ZoneInfo("Europe/London"))
HEADER = Header("BACK1", datetime(2026, 11, 23, 10, 15, tzinfo=UTC))
FILES = [file for event in sorted(ADT.events) for file in sorted(GIVEN.glob(f"*/ADT-{event}-*.hl7"))]


def said(file: Path | None) -> Message:
    if file is None:
        pytest.skip("the messages of others are not on this machine")
    return Message.parse(charsets.decode(file.read_bytes())[0])


@pytest.mark.parametrize("file", FILES or [None], ids=lambda file: file.name if file else "none here")
def test_it_is_valid_and_nothing_is_lost(file: Path | None) -> None:
    message = said(file)
    done = to_fhir(message, LONDON)
    assert problems(done.bundle) == []
    told = [*done.coverage.unmapped, *(path for path, _ in done.coverage.wrong), *done.coverage.ignored]
    assert len(set(told)) == len(told), "each is told of once"
    assert done.coverage.mapped > 20
    assert to_fhir(message, LONDON) == done


@pytest.mark.parametrize("file", FILES or [None], ids=lambda file: file.name if file else "none here")
def test_it_comes_back_as_a_message_that_says_the_same(file: Path | None) -> None:
    message = said(file)
    first = to_v2(to_fhir(message, LONDON).bundle, kind_of(message), HEADER, LONDON)
    done = to_fhir(first, LONDON)
    assert (done.coverage.unmapped, done.coverage.wrong) == ([], []), "what we write, we read"
    second = to_v2(done.bundle, kind_of(message), HEADER, LONDON)
    third = to_v2(to_fhir(second, LONDON).bundle, kind_of(message), HEADER, LONDON)
    assert third.text == second.text


ALL = sorted(GIVEN.glob("*/*.hl7"))


@pytest.mark.parametrize("file", ALL or [None], ids=lambda file: file.name if file else "none here")
def test_a_sender_is_answered(file: Path | None) -> None:
    """Types that are read become a transaction, which is acknowledged; others are rejected by name, and nothing goes on."""
    if file is None:
        pytest.skip("the messages of others are not on this machine")
    incoming = Incoming(Place("adt", {}, ManualClock()))
    for message in batch.parse(charsets.decode(file.read_bytes())[0]).messages:
        kind = kind_of(message)
        asked = Asked("POST", "", {}, "application/hl7-v2", message.text.encode(), id="1")
        try:
            said = incoming.ask(asked)
            answered = incoming.answer(asked, Answered(200, "application/fhir+json", b"{}"))
            assert (kind in READ, said.kind) == (True, kind)
        except Fault as fault:
            answered = incoming.refuse(asked, fault)
        if not answered.content:
            assert message.get("MSH-15") == "NE", "its sender wants no answer"
            continue
        ack = Message.parse(answered.content.decode())
        assert ack.get("MSA-2") == message.control_id
        assert ack.get("MSA-1") in (("AA", "CA") if kind in READ else ("AR", "CR"))
        if kind not in READ:
            assert kind in ack.get("ERR-8")
            assert ack.get("ERR-3.1") in ("200", "201")
