"""Answers name what they answer, in the words and the delimiters of whoever asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fiveways.hl7v2 import acknowledgement
from fiveways.hl7v2.acknowledgement import Code, Fault, answer, is_enhanced, wants
from fiveways.hl7v2.message import Message

AT = datetime(2026, 11, 23, 9, 15, 7, 250_000, tzinfo=UTC)
ASKED = "MSH|^~\\&|PAS|RXN|FIVEWAYS|HUB|20261123091500||ADT^A01^ADT_A01|42|P|2.4||||||8859/1\rPID|1\r"


def test_an_answer_goes_back_to_where_the_message_came_from() -> None:
    made = answer(Message.parse(ASKED), Code.ACCEPT, AT, "9")
    assert made.text == ("MSH|^~\\&|FIVEWAYS|HUB|PAS|RXN|20261123091507.250+0000||ACK^A01^ACK|9|P|2.4||||||8859/1\rMSA|AA|42\r")


def test_what_is_wrong_is_named() -> None:
    fault = Fault(acknowledgement.REQUIRED_FIELD, "Required field missing", "PID(2)-3[4].1", "no identifier")
    made = answer(Message.parse(ASKED), Code.ERROR, AT, "9", fault, text="see ERR")
    assert made.get("MSA-3") == "see ERR"
    assert made.segment("ERR") is not None
    assert [made.get(f"ERR-2.{n}") for n in range(1, 6)] == ["PID", "2", "3", "4", "1"]
    assert [made.get(path) for path in ("ERR-3.1", "ERR-3.2", "ERR-3.3", "ERR-4", "ERR-7")] == [
        "101", "Required field missing", "HL70357", "E", "no identifier",
    ]  # fmt: skip


def test_delimiters_are_those_of_the_message() -> None:
    made = answer(Message.parse(ASKED.replace("^", "*").replace("|", "#")), Code.REJECT, AT, "9")
    assert made.text.startswith("MSH#*~\\&#FIVEWAYS#HUB#PAS#RXN#")
    assert Message.parse(made.text).get("MSA-1") == "AR"


def test_a_message_that_says_little_is_answered_too() -> None:
    made = answer(Message.parse("MSH|^~\\&|\r"), Code.REJECT, AT, "9")
    assert (made.get("MSA-1"), made.get("MSA-2"), made.get("MSH-12"), made.get("MSH-9.1")) == ("AR", "", "2.5.1", "ACK")


@pytest.mark.parametrize(
    ("condition", "failed", "wanted"),
    [
        ("AL", False, True), ("AL", True, True), ("NE", True, False), ("NE", False, False), ("ER", True, True),
        ("ER", False, False),
        ("SU", True, False), ("SU", False, True), ("", True, False),
    ],
)  # fmt: skip
def test_when_an_answer_is_wanted(condition: str, failed: bool, wanted: bool) -> None:
    assert wants(condition, failed=failed) is wanted


def test_the_enhanced_mode_is_said() -> None:
    assert not is_enhanced(Message.parse(ASKED))
    assert is_enhanced(Message.parse(ASKED.replace("|2.4|||", "|2.4|||AL")))
