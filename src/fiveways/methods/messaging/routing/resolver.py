"""The seam: whatever knows which practice a patient is registered with. Fiveways' own and a stranger's come in the same way.

A deployment names one: a file (`practices.py`), a search for the Patient through the gateway (`patients.py`), or a Python callable
of its own, of the type `Resolver`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

import msgspec

from fiveways.correlation import Correlation
from fiveways.errors import Fault
from fiveways.methods.messaging.routing.demographics import Demographics


class Practice(msgspec.Struct, frozen=True):
    """Where a patient is registered. `ods_code` is '' where the patient is known and registered nowhere."""

    ods_code: str


class Failure(Enum):
    """Why a message finds no mailbox: MESH's code, and its words for it. The sender is told in a REPORT."""

    SEVERAL_MAILBOXES = ("EPL-150", "Multiple mailboxes matches")
    """Several mailboxes of the practice take the workflow, or the patient is registered with several practices."""
    NO_MAILBOX = ("EPL-151", "No mailbox matched")
    """No mailbox of the practice takes the workflow, or the patient is registered with none."""
    INVALID_NUMBER = ("EPL-152", "Invalid NHS Number")
    """What the address has for an NHS number cannot be one."""
    NOT_FOUND = ("EPL-153", "NHS Number not found")
    """Nobody is known under the NHS number."""
    MISMATCH = ("EPL-154", "NHS Number supplied does not match the demographics")
    """The NHS number is that of somebody else, by date of birth or surname."""

    def __init__(self, code: str, words: str) -> None:
        self.code = code
        self.words = words


Resolver = Callable[[Demographics, Correlation], Awaitable[Practice | Failure]]
"""Finds the practice of a patient. The NHS number has been checked; whether the demographics fit (`Demographics.fit`) has not.

The correlation is the message's: who asks elsewhere goes on with it. Raises what it likes where it cannot find out (a directory
is down, it takes too long): nothing is accepted then, and the sender is told to come again.
"""


class Unresolved(Fault):
    """It could not be found out where the patient is registered. Nothing was accepted; send it again later."""

    status, code, party, issue, display = 503, "ROUTING_UNAVAILABLE", "platform", "transient", "Routing is not available"

    def __init__(self, retry_after: int = 10) -> None:
        """`retry_after`: seconds after which to come again."""
        super().__init__(
            "The patient's practice cannot be found out now: send it again later", headers={"Retry-After": str(retry_after)}
        )
