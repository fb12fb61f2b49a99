"""What messaging refuses to do, and why; the wire has words of its own for each (`mesh/faults.py`)."""

from __future__ import annotations

from fiveways.errors import Fault


class Reused(Exception):
    """The claim had been made before: nothing was done."""


class Refusal(Fault):
    """What messaging refuses."""

    status, code, party = 400, "MESSAGE_REFUSED", "consumer"


class Unknown(Refusal):
    """There is no such message, or none that the caller may know of."""

    status, code = 404, "MESSAGE_UNKNOWN"


class NotYours(Refusal):
    """The message is somebody else's."""

    status, code = 403, "MESSAGE_NOT_YOURS"


class Gone(Refusal):
    """The message cannot be collected: it is not whole yet, or its life has ended."""

    status, code = 410, "MESSAGE_GONE"


class Whole(Refusal):
    """The message is whole: no chunk is taken any more."""

    status, code = 423, "MESSAGE_WHOLE"


class TooManyChunks(Refusal):
    """The message was announced with fewer chunks."""

    status, code = 406, "MESSAGE_CHUNKS"


class EncodingChanged(Refusal):
    """Chunks of one message have one content encoding."""

    status, code = 417, "MESSAGE_ENCODING"


class Empty(Refusal):
    """A message without content is none."""

    status, code = 417, "MESSAGE_EMPTY"


class LocalIdUsed(Refusal):
    """The sender has used this local id for another message."""

    status, code = 409, "MESSAGE_LOCAL_ID"
