"""The words of Centrifugo's client protocol, version 2, as JSON: commands, replies, pushes, and codes.

https://centrifugal.dev/docs/transports/client_protocol
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from fiveways.errors import Fault

Number = Annotated[int, Meta(ge=0, le=2**53)]
"""The number of a message: as large as JavaScript's are exact, and every store's hold."""
_Id = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]


class Since(msgspec.Struct, frozen=True):
    """A position in a channel."""

    offset: Number = 0
    epoch: str = ""


class Connect(msgspec.Struct, frozen=True):
    """The first command of a connection."""

    token: str = ""


class Subscribe(msgspec.Struct, frozen=True):
    """Join a channel; `recover`: go on from `epoch` and `offset`."""

    channel: str = ""
    recover: bool = False
    epoch: str = ""
    offset: Number = 0
    tf: Any = None
    """A filter of tags, which is not spoken here."""


class OfChannel(msgspec.Struct, frozen=True):
    """A command that needs no more than a channel: unsubscribe, presence, presence_stats."""

    channel: str = ""


class Publish(msgspec.Struct, frozen=True):
    """Publish in a channel."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class History(msgspec.Struct, frozen=True):
    """Ask what was published."""

    channel: str = ""
    limit: _Limit = 0
    since: Since | None = None
    reverse: bool = False


class Rpc(msgspec.Struct, frozen=True):
    """Call a method."""

    method: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Send(msgspec.Struct, frozen=True):
    """A message without a reply."""

    data: msgspec.Raw = msgspec.Raw(b"null")


class Refresh(msgspec.Struct, frozen=True):
    """Another token, before the last one expires."""

    token: str = ""
    channel: str = ""


class Nothing(msgspec.Struct, frozen=True):
    """A command without parameters."""


class Command(msgspec.Struct, frozen=True):
    """What a client says. One without anything in it is its pong."""

    id: _Id = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: OfChannel | None = None
    publish: Publish | None = None
    presence: OfChannel | None = None
    presence_stats: OfChannel | None = None
    history: History | None = None
    ping: Nothing | None = None
    send: Send | None = None
    rpc: Rpc | None = None
    refresh: Refresh | None = None
    sub_refresh: Refresh | None = None


command: Final = msgspec.json.Decoder(Command).decode
PONG: Final = Command()


class Refusal(Exception):
    """A command is refused with an error of the protocol."""

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.temporary = temporary


class Leave(Exception):
    """The connection is closed, with one of the codes below."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


INTERNAL, UNAUTHORIZED, UNKNOWN_CHANNEL, DENIED, NO_METHOD, SUBSCRIBED, LIMIT, BAD, UNAVAILABLE, TOKEN_EXPIRED, _, TOO_MANY = range(
    100, 112
)
_OF_STATUS: Final = {401: UNAUTHORIZED, 403: DENIED, 404: UNKNOWN_CHANNEL, 413: LIMIT, 429: TOO_MANY}

SHUTDOWN: Final = 3001
"""The server stops: connect again, a little later."""
FAILED: Final = 3004
EXPIRED: Final = 3005
"""The token has expired and was not refreshed in time."""
SLOW: Final = 3008
"""What is sent is not read fast enough."""
NO_PONG: Final = 3012
RATE: Final = 3013
INVALID_TOKEN: Final = 3500
"""From here on clients do not come back by themselves."""
BAD_REQUEST: Final = 3501
STALE: Final = 3502
"""It did not connect in time."""
ENDED: Final = 2000
"""Of a subscription: it is over, and not to be tried again."""
LOST: Final = 2500
"""Of a subscription: what follows does not follow on what was sent. Join again."""


def refused(fault: Fault) -> Refusal:
    """A fault, as this protocol says it."""
    code = _OF_STATUS.get(fault.status, BAD if fault.status < 500 else INTERNAL)
    return Refusal(code, fault.diagnostics, temporary=fault.status == 429 or fault.status >= 500)


def reply(number: int, kind: bytes, result: bytes) -> bytes:
    """The reply to a command: JSON."""
    return b'{"id":%d,"%b":%b}' % (number, kind, result)


def error(number: int, refusal: Refusal) -> bytes:
    """The reply to a command that is refused: JSON."""
    temporary = b',"temporary":true' if refusal.temporary else b""
    said = b'{"code":%d,"message":%b%b}' % (refusal.code, msgspec.json.encode(str(refusal)), temporary)
    return b'{"id":%d,"error":%b}' % (number, said)


def push(channel: str, kind: bytes, content: bytes) -> bytes:
    """What comes unasked, of a channel: JSON."""
    return b'{"push":{"channel":%b,"%b":%b}}' % (msgspec.json.encode(channel), kind, content)
