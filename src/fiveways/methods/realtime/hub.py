"""Fan-out in this process: what is published in a channel goes to everybody who reads it here.

What comes in one turn of the event loop goes out together: a channel's messages are put into wire form once, joined once, and the
same bytes are written to each reader, so that ten messages to a thousand readers are ten encodings, and a thousand writes. So they
are where the ten are of ten channels, and each reader reads all of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from fiveways.methods.realtime.message import Message

Form = Callable[[Message], bytes]
"""Puts a message into the form of a wire."""


Taken = tuple[str, bytes, bool]
"""What a reader is sent: of which channel, its bytes, and whether whoever is slow may be given the whole later instead."""


class Reader(Protocol):
    """Somebody who reads channels here."""

    @property
    def form(self) -> Form:
        """The form that is read: the same function for all readers of a kind."""
        ...

    def take(self, channel: str, data: bytes, merged: bool) -> None:
        """Send this, of a channel; `merged`: whoever is slow may be given the whole later instead. Must not raise."""
        ...

    def take_all(self, several: Sequence[Taken]) -> None:
        """The same of several channels at once."""
        ...

    def lose(self, channel: str) -> None:
        """What is sent of this channel from now on would not follow on what was: have it joined again."""
        ...

    def review(self, channel: str) -> None:
        """See whether it may read this channel still."""
        ...


class Readers:
    """Those who read one channel here, by the form that they take."""

    __slots__ = ("by_form", "channel", "merged", "pending", "size")

    def __init__(self, channel: str, merged: bool) -> None:
        self.channel = channel
        self.merged = merged
        self.by_form: dict[Form, dict[Reader, None]] = {}
        self.pending: list[Message] = []
        self.size = 0

    def flush(self) -> None:
        """Send what is pending."""
        for data, readers in self.taken():
            for reader in readers:
                reader.take(self.channel, data, self.merged)

    def taken(self) -> Iterator[tuple[bytes, list[Reader]]]:
        """What is pending, in each form, and who is to have it; it is pending no longer."""
        messages = self.pending
        if not messages:
            return
        self.pending = []
        for form, readers in self.by_form.items():
            data = form(messages[0]) if len(messages) == 1 else b"".join([form(message) for message in messages])
            yield data, list(readers)


class Hub:
    """Who reads what in this process."""

    def __init__(self) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._channels: dict[str, Readers] = {}
        self._due: list[Readers] = []
        self.delivered = 0
        """Messages times readers."""

    def __len__(self) -> int:
        return len(self._channels)

    def size(self, channel: str) -> int:
        """How many read a channel here."""
        readers = self._channels.get(channel)
        return readers.size if readers is not None else 0

    def add(self, channel: str, reader: Reader, *, merged: bool = False) -> None:
        """From now on a reader is sent what is published in a channel; what was published before is not sent to it."""
        readers = self._channels.get(channel)
        if readers is None:
            readers = self._channels[channel] = Readers(channel, merged)
        readers.flush()
        those = readers.by_form.setdefault(reader.form, {})
        if reader not in those:
            those[reader] = None
            readers.size += 1

    def remove(self, channel: str, reader: Reader) -> bool:
        """A reader is sent nothing more of a channel; whether nobody reads it here any more."""
        readers = self._channels.get(channel)
        if readers is None:
            return False
        those = readers.by_form.get(reader.form)
        if those is not None and reader in those:
            del those[reader]
            readers.size -= 1
            if not those:
                del readers.by_form[reader.form]
        if not readers.size:
            del self._channels[channel]
            return True
        return False

    def publish(self, message: Message) -> None:
        """Send a message to whoever reads its channel here, at the end of this turn."""
        readers = self._channels.get(message.channel)
        if readers is None:
            return
        self.delivered += readers.size
        if not readers.pending:
            if not self._due:
                self._loop.call_soon(self._flush)
            self._due.append(readers)
        readers.pending.append(message)

    def flush(self, channel: str) -> None:
        """Send what is pending of a channel now."""
        readers = self._channels.get(channel)
        if readers is not None:
            readers.flush()

    def lose(self, channel: str) -> None:
        """What comes of a channel does not follow on what was sent: whoever reads it is told, and is sent nothing more."""
        readers = self._channels.get(channel)
        if readers is not None:
            readers.flush()
            del self._channels[channel]
            for those in readers.by_form.values():
                for reader in list(those):
                    reader.lose(channel)

    def review_all(self) -> None:
        """Have all who read anything here looked at: others may do so now."""
        for channel in list(self._channels):
            self.review(channel)

    def review(self, channel: str) -> None:
        """Have all who read a channel here looked at: somebody may not read it any more."""
        readers = self._channels.get(channel)
        if readers is not None:
            for those in list(readers.by_form.values()):
                for reader in list(those):
                    reader.review(channel)

    def _flush(self) -> None:
        due, self._due = self._due, []
        if len(due) == 1:
            due[0].flush()
            return
        several: dict[Reader, list[Taken]] = {}
        for each in due:
            for data, readers in each.taken():
                taken = (each.channel, data, each.merged)
                for reader in readers:
                    if (found := several.get(reader)) is None:
                        several[reader] = [taken]
                    else:
                        found.append(taken)
        for reader, those in several.items():
            reader.take_all(those)
