"""Errors as clients are told of them: version 3 has codes for few (draft-ietf-secsh-filexfer-02 §7), and texts for the rest."""

from __future__ import annotations

import logging
from typing import Final

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.wire import Malformed
from fiveways.methods.bulk.tree import Broken, Full, Refused

logger: Final = logging.getLogger(__name__)


class Unsupported(Exception):
    """The server does not do this, ever."""


_TOLD: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (Malformed, wire.BAD_MESSAGE, ""),
    (Unsupported, wire.OP_UNSUPPORTED, ""),
    (Full, wire.FAILURE, "There is no room"),
    (Refused, wire.FAILURE, "It is refused"),
    (Broken, wire.FAILURE, "The store could not do it just now; try again"),
    (FileNotFoundError, wire.NO_SUCH_FILE, "There is no such file or folder"),
    (NotADirectoryError, wire.NO_SUCH_FILE, "A part of the path is not a folder"),
    (IsADirectoryError, wire.FAILURE, "It is a folder"),
    (FileExistsError, wire.FAILURE, "There is something of this name already"),
    (PermissionError, wire.PERMISSION_DENIED, "It is not allowed"),
)
"""Errors as clients are told of them: what version 3 has a code for, and otherwise FAILURE with a text."""
_SAYING: Final = (Malformed, Unsupported, Full, Refused, PermissionError)
"""Those whose own text is for the partner's people."""


def refusal(number: int, error: Exception) -> bytes:
    """STATUS for an error. One that nobody has thought of is in the log, and not in the answer."""
    for known, code, _ in _TOLD:
        if isinstance(error, known):
            return wire.status(number, code, text_of(error))
    logger.error("a request of SFTP failed: %s", type(error).__name__, exc_info=error)
    return wire.status(number, wire.FAILURE, text_of(error))


def text_of(error: Exception) -> str:
    """What a partner's people are told of an error."""
    for known, _, text in _TOLD:
        if isinstance(error, known):
            said = error.args[0] if isinstance(error, _SAYING) and len(error.args) == 1 else ""
            return str(said)[:1000] or text or "It is refused"
    return "Something went wrong in the server"
