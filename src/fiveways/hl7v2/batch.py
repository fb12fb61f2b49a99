"""Batches and files (HL7 v2.9 §2.10.3): FHS and BHS before messages, BTS and FTS after them, each with its count."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fiveways.hl7v2.delimiters import Delimiters
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.message import Message, Segment

MOST_MESSAGES = 100_000
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(slots=True)
class Batch:
    """Messages between a header and a trailer; either may be missing."""

    messages: list[Message] = field(default_factory=list)
    header: Segment | None = None
    trailer: Segment | None = None


@dataclass(slots=True)
class File:
    """Batches between a header and a trailer; either may be missing, and so may the batches' own."""

    text: str
    batches: list[Batch] = field(default_factory=list)
    header: Segment | None = None
    trailer: Segment | None = None

    @property
    def messages(self) -> list[Message]:
        """All messages, in order."""
        return [message for batch in self.batches for message in batch.messages]


def parse(text: str) -> File:
    """What is in `text`: one message, several, a batch, or a file of batches. MalformedMessage where it is none of these, or a
    trailer counts otherwise."""
    read = File(text)
    delimiters: Delimiters | None = None
    pending: list[str] = []
    batch: Batch | None = None

    def finish() -> None:
        nonlocal batch
        if pending:
            if batch is None:
                batch = Batch()
                read.batches.append(batch)
            batch.messages.append(Message.parse("".join(pending)))
            pending.clear()
            if len(batch.messages) > MOST_MESSAGES:
                raise MalformedMessage(f"a batch has more than {MOST_MESSAGES} messages")

    for line in _LINE.findall(text.lstrip("\ufeff")):
        name = line[:3]
        if name in ("FHS", "BHS"):
            finish()
            delimiters = Delimiters.of(line)
            segment = Segment(line.rstrip("\r\n"), delimiters)
            if name == "FHS":
                read.header = segment
            else:
                batch = Batch(header=segment)
                read.batches.append(batch)
        elif name in ("BTS", "FTS") and delimiters is not None:
            finish()
            segment = Segment(line.rstrip("\r\n"), delimiters)
            if name == "FTS":
                _counted(segment, len(read.batches))
                read.trailer = segment
            else:
                if batch is None:
                    raise MalformedMessage("a batch ends that has not begun")
                _counted(segment, len(batch.messages))
                batch.trailer, batch = segment, None
        elif name == "MSH":
            finish()
            pending.append(line)
        elif pending:
            pending.append(line)
        elif line.strip():
            raise MalformedMessage("a message begins with MSH, a batch with BHS, a file with FHS")
    finish()
    if not read.batches:
        raise MalformedMessage("there is no message in it")
    return read


def _counted(trailer: Segment, found: int) -> None:
    said = trailer.value(1)
    if said and (not said.isdigit() or int(said) != found):
        raise MalformedMessage(f"{trailer.name}-1 counts otherwise: {found} were found")
