"""Answers to messages (HL7 v2.9 §2.9): an ACK that names what it answers, in the original and the enhanced mode.

original      AA  it was processed          AE  it could not be, and says why       AR  it is not taken here at all
enhanced      CA  it is kept, in custody    CE  it is not kept, and says why        CR  it is not taken here at all
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fiveways.hl7v2.message import Message
from fiveways.hl7v2.path import Path

VERSION = "2.5.1"
"""What an answer to a message without a version of its own is written in."""


class Code(StrEnum):
    """MSA-1 (HL7 table 0008)."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"
    COMMIT_ACCEPT = "CA"
    COMMIT_ERROR = "CE"
    COMMIT_REJECT = "CR"


class Wanted(StrEnum):
    """When an answer is wanted: MSH-15 and MSH-16 (HL7 table 0155)."""

    ALWAYS = "AL"
    NEVER = "NE"
    ERRORS = "ER"
    SUCCESSES = "SU"


@dataclass(frozen=True, slots=True)
class Fault:
    """One ERR segment: `code` of HL7 table 0357, in words, where it is, and whether it could be mended by sending again."""

    code: str
    text: str
    path: str = ""
    diagnostics: str = ""


SEGMENT_SEQUENCE = "100"
REQUIRED_FIELD = "101"
DATA_TYPE = "102"
TABLE_VALUE = "103"
UNSUPPORTED_TYPE = "200"
UNSUPPORTED_EVENT = "201"
UNSUPPORTED_PROCESSING = "202"
UNSUPPORTED_VERSION = "203"
UNKNOWN_KEY = "204"
DUPLICATE_KEY = "205"
RECORD_LOCKED = "206"
INTERNAL = "207"
"""Of HL7 table 0357."""


def is_enhanced(message: Message) -> bool:
    """Whether its sender speaks the enhanced mode: one of MSH-15 and MSH-16 says something (§2.9.3)."""
    return bool(message.get("MSH-15") or message.get("MSH-16"))


def wants(condition: str, *, failed: bool) -> bool:
    """Whether a condition of MSH-15 or MSH-16 asks for an answer; one that says nothing does not."""
    return condition in (Wanted.ALWAYS, Wanted.ERRORS if failed else Wanted.SUCCESSES)


def answer(message: Message, code: Code, at: datetime, control_id: str, *faults: Fault, text: str = "") -> Message:
    """The ACK that `code` answers `message` with, made `at` an aware moment, with a control id of its own. Sender and receiver
    change places; delimiters, character set, processing id and version are those of the message."""
    made = Message.new(message.delimiters)
    header, asked = made.segments[0], message.segments[0]
    for number, from_number in ((3, 5), (4, 6), (5, 3), (6, 4), (11, 11), (12, 12), (18, 18)):
        if same := asked.field(from_number):
            header.set_field(number, same)
    if not header.field(12):
        header.set(VERSION, 12)
    header.set(f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03}{at:%z}", 7)
    header.set("ACK", 9)
    if event := message.get("MSH-9.2"):
        header.set(event, 9, component=2)
    header.set("ACK", 9, component=3)
    header.set(control_id, 10)
    given = made.add("MSA")
    given.set(code.value, 1)
    given.set_field(2, asked.field(10))
    if text:
        given.set(text, 3)
    for fault in faults:
        _add(made, fault)
    return made


def status(acknowledgement: Message) -> int:
    """What an acknowledgement comes to, as an HTTP status: 200 where the message was taken, 503 for an error that will pass (the
    record is locked, an internal error), 422 for any other."""
    if acknowledgement.get("MSA-1") in (Code.ACCEPT, Code.COMMIT_ACCEPT):
        return 200
    return 503 if acknowledgement.get("ERR-3.1") in (RECORD_LOCKED, INTERNAL) else 422


def _add(made: Message, fault: Fault) -> None:
    error = made.add("ERR")
    if fault.path:
        where = Path.parse(fault.path)
        numbers = (where.segment, where.occurrence, where.field, where.repetition, where.component, where.subcomponent)
        for component, number in enumerate(numbers, start=1):
            if number:
                error.set(str(number), 2, component=component)
    error.set(fault.code, 3)
    error.set(fault.text, 3, component=2)
    error.set("HL70357", 3, component=3)
    error.set("E", 4)
    if fault.diagnostics:
        error.set(fault.diagnostics, 7)
    error.set(fault.text, 8)
