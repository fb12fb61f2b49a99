"""Batches and files (HL7 v2.9 §2.10.3): FHS and BHS before messages, BTS and FTS after them, each with its count; and the batch of
acknowledgements that answers one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from fiveways.hl7v2.delimiters import Delimiters
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.message import Message, Segment

MOST_MESSAGES = 100_000
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


Held = TypeVar("Held", Message, str)


@dataclass(slots=True)
class Batch(Generic[Held]):
    """Messages between a header and a trailer; either may be missing."""

    messages: list[Held] = field(default_factory=list)
    header: Segment | None = None
    trailer: Segment | None = None


@dataclass(slots=True)
class File(Generic[Held]):
    """Batches between a header and a trailer; either may be missing, and so may the batches' own."""

    text: str
    batches: list[Batch[Held]] = field(default_factory=list)
    header: Segment | None = None
    trailer: Segment | None = None

    @property
    def messages(self) -> list[Held]:
        """All messages, in order."""
        return [message for batch in self.batches for message in batch.messages]


def parse(text: str) -> File[Message]:
    """What is in `text`: one message, several, a batch, or a file of batches. MalformedMessage where it is none of these, a
    trailer counts otherwise, or one of the messages is none."""
    read = cut(text)
    batches = [Batch([Message.parse(each) for each in one.messages], one.header, one.trailer) for one in read.batches]
    return File(text, batches, read.header, read.trailer)


def is_several(content: bytes) -> bool:
    """Whether it is a batch or a file, by how it begins."""
    return content.lstrip(b"\r\n")[:3] in (b"FHS", b"BHS")


def cut(text: str) -> File[str]:
    """The same, with the messages as they are written: one that cannot be read is nothing to the others."""
    read: File[str] = File(text)
    delimiters: Delimiters | None = None
    pending: list[str] = []
    batch: Batch[str] | None = None

    def finish() -> None:
        nonlocal batch
        if pending:
            if batch is None:
                batch = Batch()
                read.batches.append(batch)
            batch.messages.append("".join(pending))
            pending.clear()
            if len(batch.messages) > MOST_MESSAGES:
                raise MalformedMessage(f"a batch has more than {MOST_MESSAGES} messages")

    for line in _LINE.findall(text.lstrip("\ufeff")):
        name = line[:3]
        if name in ("FHS", "BHS"):
            finish()
            delimiters = Delimiters.of(line)
            segment = _envelope(line, delimiters)
            if name == "FHS":
                read.header = segment
            else:
                batch = Batch(header=segment)
                read.batches.append(batch)
        elif name in ("BTS", "FTS") and delimiters is not None:
            finish()
            segment = _envelope(line, delimiters)
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


def answer(asked: File[str], acknowledgements: Sequence[Sequence[str]], at: datetime) -> str:
    """What answers a batch, or a file of them: each with the acknowledgements of its messages (§2.10.3.3). `acknowledgements` are
    those of each batch, in order; one that nobody asked for is not there."""
    made = [_header("FHS", asked.header, at)] if asked.header is not None else []
    for batch, answers in zip(asked.batches, acknowledgements, strict=True):
        if batch.header is not None:
            made += [_header("BHS", batch.header, at), *answers, f"BTS{batch.header.delimiters.field}{len(answers)}\r"]
        else:
            made += answers
    if asked.header is not None:
        made.append(f"FTS{asked.header.delimiters.field}{sum(batch.header is not None for batch in asked.batches) or 1}\r")
    return "".join(made)


def _header(name: str, asked: Segment, at: datetime) -> str:
    """The header of an answer: sender and receiver change places, and field 12 names the batch that it answers."""
    marks = asked.delimiters
    made = Segment(f"{name}{marks.field}{marks.encoding_characters}", marks)
    for number, from_number in ((3, 5), (4, 6), (5, 3), (6, 4), (12, 11)):
        if same := asked.field(from_number):
            made.set_field(number, same)
    made.set(f"{at:%Y%m%d%H%M%S%z}", 7)
    return f"{made.text}\r"


def _envelope(line: str, delimiters: Delimiters) -> Segment:
    segment = Segment(line.rstrip("\r\n"), delimiters)
    segment.field(1)  # too many are told of here
    return segment


def _counted(trailer: Segment, found: int) -> None:
    said = trailer.value(1)
    if said and (not said.isdigit() or int(said) != found):
        raise MalformedMessage(f"{trailer.name}-1 counts otherwise: {found} were found")
