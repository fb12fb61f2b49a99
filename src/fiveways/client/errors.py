"""What a consumer may have to deal with. Each says whether doing it again is safe."""

from __future__ import annotations

from fiveways.errors import FivewaysError


class ClientError(FivewaysError):
    """Something that the consumer's half was asked for was not done."""


class Unavailable(ClientError):
    """The other side cannot be reached, or not now. It is safe, and worth while, to do the same again later."""


class Refused(ClientError):
    """The other side will not have it, and would not have it again. `code` is its own."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(f"{message} (code {code})" if code else message)
        self.code = code


class Denied(Refused):
    """Mailbox, password, shared key or certificate are not those that the other side knows."""


class Gone(ClientError):
    """The message is not there any more, or never was."""


class Garbled(ClientError):
    """A message's content is not what its header fields say it is."""


class LocalIdReused(ClientError):
    """This local id names another request: other content, another recipient or another workflow."""


class AlreadyListening(ClientError):
    """Another process listens to this mailbox with this ledger."""


class DeadLetter(ClientError):
    """Raised by a handler: this message will never succeed, so do not try again."""


class StillRunning(Unavailable):
    """The outcome was not there in time. The work goes on, and its outcome may be waited for again."""


class Untrusted(ClientError):
    """The other side points to an address that is not its own, nor one that we were told to trust."""


class TooLarge(ClientError):
    """A body is larger than what was said to be the largest."""


class Unsent(ClientError):
    """It is not known whether this request was ever sent: submit it again under its local id, which has no second effect."""
