"""What a sender of HL7 v2 is answered: AA only for what has been taken, AE and AR naming what is wrong (HL7 v2.9 §2.9).

In the enhanced mode (MSH-15 or MSH-16 says something) it is a commit acknowledgement (CA, CE, CR) where MSH-15 asks for one, and
the application's (AA, AE, AR) where MSH-16 does. What is processed at once is kept and done at once, or neither: where both are
asked for, CA is followed by AA, and CE or CR by nothing, since there is no application that would have seen the message.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime

from fiveways.errors import Fault
from fiveways.hl7v2 import acknowledgement, charsets
from fiveways.hl7v2.acknowledgement import Code, Wanted, is_enhanced, wants
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.message import Message

CONTENT_TYPE = "application/hl7-v2"
_COMMIT = {Code.ACCEPT: Code.COMMIT_ACCEPT, Code.ERROR: Code.COMMIT_ERROR, Code.REJECT: Code.COMMIT_REJECT}
_AGAIN = frozenset((408, 409, 425, 429))
"""Statuses from 400 on, below 500, that will pass."""
_HEAD = 4096
"""Bytes in which the header of a message that cannot be read is looked for."""
_NEXT = re.compile(rb"(?<=\r)(?=MSH)")
_LONG = 200
"""Characters of what a back end says that a sender is told."""


class Rejected(Fault):
    """A message that is not taken; `faults` say what is wrong with it and where, `ack` is AE, or AR for what is not taken at
    all."""

    status, code, party, issue, display = 422, "INVALID_VALUE", "consumer", "invalid", "The message is not taken"

    def __init__(self, diagnostics: str, *faults: acknowledgement.Fault, ack: Code = Code.ERROR) -> None:
        super().__init__(diagnostics)
        self.faults = faults
        self.ack = ack


def key_of(message: Message) -> str:
    """What names a message among its sender's: MSH-3, MSH-4 and MSH-10."""
    return "\0".join(message.get(path) for path in ("MSH-3", "MSH-4", "MSH-10"))


def answer(message: Message, code: Code, at: datetime, *faults: acknowledgement.Fault, text: str = "") -> bytes:
    """The answer to a message, in its own character set: one acknowledgement, or two, one after the other; b'' where its sender
    asks for none."""
    made = [_made(message, each, at, faults, text) for each in _codes(message, code)]
    return b"".join(made)


def apart(content: bytes) -> list[bytes]:
    """The acknowledgements that an answer consists of."""
    return _NEXT.split(content) if content else []


def _codes(message: Message, code: Code) -> list[Code]:
    if not is_enhanced(message):
        return [code]
    failed = code is not Code.ACCEPT
    codes = [_COMMIT[code]] if _wants(message.get("MSH-15"), failed=failed) else []
    if _wants(message.get("MSH-16"), failed=failed) and not (codes and failed):
        codes.append(code)
    return codes


def _made(message: Message, code: Code, at: datetime, faults: tuple[acknowledgement.Fault, ...], text: str) -> bytes:
    named = hashlib.sha256(key_of(message).encode("utf-8", "surrogatepass") + code.value.encode()).digest()
    control_id = base64.b32encode(named)[:20].decode()
    made = acknowledgement.answer(message, code, at, control_id, *faults, text=text)
    return made.text.encode(charsets.codec(message.get("MSH-18")), "replace")


def _wants(condition: str, *, failed: bool) -> bool:
    """Whether an acknowledgement is wanted; a condition that nobody knows is taken for a wish."""
    return wants(condition, failed=failed) if condition in ("", *Wanted) else True


def header_of(content: bytes) -> Message:
    """As much of a message as it takes to answer it, where it is none that can be read."""
    start = content.find(b"MSH")
    header = content[start : start + _HEAD].replace(b"\n", b"\r").partition(b"\r")[0]
    try:
        message = Message.parse(header.decode("latin-1"))
        message.segments[0].set_field(18, "")
        acknowledgement.answer(message, Code.REJECT, datetime.now(UTC), "1")
    except (MalformedMessage, ValueError):
        return Message.new()
    return message


def refusal(fault: Fault) -> tuple[Code, tuple[acknowledgement.Fault, ...]]:
    """The code that a fault is answered with, and what it names."""
    if isinstance(fault, Rejected):
        return fault.ack, fault.faults or (acknowledgement.Fault(acknowledgement.INTERNAL, fault.diagnostics),)
    if fault.code == "DUPLICATE_REQUEST_ID":
        said = acknowledgement.Fault(acknowledgement.DUPLICATE_KEY, fault.diagnostics, "MSH-10")
        return Code.ERROR, (said,)
    return code_of(fault.status), (acknowledgement.Fault(acknowledgement.INTERNAL, f"{fault.display}: {fault.diagnostics}"),)


def code_of(status: int) -> Code:
    """The code for an HTTP status: AR for what its sender may not do, AE for what failed."""
    if status < 300:
        return Code.ACCEPT
    return Code.REJECT if status in (401, 403, 404, 405) else Code.ERROR


def will_pass(status: int) -> bool:
    """Whether sending it again may help."""
    return status >= 500 or status in _AGAIN


def said(content: bytes) -> str:
    """What an OperationOutcome, or problem details, says; '' where it is neither."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    found = [str(document.get("detail") or "")]
    for issue in document.get("issue") or ():
        if isinstance(issue, dict):
            details = issue.get("details")
            text = details.get("text") if isinstance(details, dict) else ""
            found.append(str(issue.get("diagnostics") or text or issue.get("code") or ""))
    return "; ".join(each for each in found if each)[:_LONG]
