"""A message as it is in its channel, and as clients are shown it (the publication of Centrifugo's protocol)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fiveways.clock import moment_of

_json: Final = msgspec.json.encode


class Message(msgspec.Struct, frozen=True, array_like=True):
    """An entry of a channel. `number` is 0 where nothing is kept; `at` is microseconds since the Unix epoch; `data` is JSON;
    `epoch` is that of its number."""

    channel: str
    number: int
    id: str
    at: int
    happening: str
    sender: str
    client_id: str
    fingerprint: bytes
    about: int
    correlation: str
    data: bytes
    epoch: str = ""

    @property
    def moment(self) -> str:
        """When it was published: 2026-11-22T10:15:00.123Z."""
        return moment_of(self.at).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def of(self, epoch: str) -> Message:
        """The same, with the epoch of its number."""
        return msgspec.structs.replace(self, epoch=epoch)

    def publication(self, *, snapshot: bool = False) -> bytes:
        """JSON of it, without its channel."""
        tags = {"id": self.id, "at": self.moment, "happening": self.happening}
        if self.client_id:
            tags["client_id"] = self.client_id
        if self.about:
            tags["about"] = str(self.about)
        if self.correlation:
            tags["correlation"] = self.correlation
        if snapshot:
            tags["snapshot"] = "true"
        offset = b',"offset":%d' % self.number if self.number else b""
        info = b',"info":{"user":%b,"client":""}' % _json(self.sender)
        return b'{"data":%b%b%b,"tags":%b}' % (self.data or b"null", offset, info, _json(tags))


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Message).decode


def of(row: Any) -> Message:
    """A row of `records.messages`."""
    return Message(*row)
