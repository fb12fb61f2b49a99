"""What a tester has asked of a sandbox and not taken back: a later time, answers that fail, client certificates to be shown.

It is kept in memory, and forgotten by a reset and by a restart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Protocol

import msgspec

from fiveways.clock import AdjustableClock, Clock

Operation = Literal[
    "handshake", "list", "count", "head", "collect", "acknowledge", "send", "chunk", "track", "lookup", "update", "other"
]
"""What a request to a mailbox is, for a tester who means some of them only."""
FURTHEST = timedelta(days=3650)
"""As far as a clock is put ahead."""
SLOWEST = timedelta(minutes=10)
"""As long as an answer is held back."""


class Failures(msgspec.Struct, forbid_unknown_fields=True):
    """The next requests of a kind, and what becomes of them.

    `mailbox` and `operation` say which (None: any). `answer` is a status, `cut` for a connection that is cut without any, or `own`
    for the answer that it would have been. With `done` the work is done first, so that only its answer is lost.
    """

    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    mailbox: str | None = None
    operation: Operation | None = None
    answer: Annotated[int, msgspec.Meta(ge=400, le=599)] | Literal["cut", "own"] = 503
    done: bool = False
    delay: str = "0s"

    def meets(self, mailbox: str, operation: Operation) -> bool:
        """Whether a request is one of those."""
        return self.mailbox in (None, mailbox) and self.operation in (None, operation)


class Work(Protocol):
    """What time brings about (`worker.py`)."""

    async def round(self) -> None:
        """Do everything that is due."""
        ...

    def afresh(self) -> None:
        """Forget what was looked at: the clock was put back."""
        ...


class Trials:
    """A sandbox's trials. `clock` is the one that messages live by; tokens, TLS and HTTP's dates go by the real one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = AdjustableClock(clock)
        self.failures: list[Failures] = []
        self.certified: bool | frozenset[str] = False
        """Whether requests must bear a client certificate: those of all mailboxes, or of some."""
        self.work: Work | None = None
        """None in a process that does not do it."""

    async def advance(self, by: timedelta) -> None:
        """Come to a later time, with everything done that is due by then."""
        self.clock.advance(by)
        if self.work is not None:
            await self.work.round()
            await self.work.round()  # large payloads go in the round after that of their messages

    def fails(self, mailbox: str, operation: Operation) -> Failures | None:
        """What is to become of a request, if anything; it counts as one of those announced, the earliest announced first."""
        for index, each in enumerate(self.failures):
            if each.meets(mailbox, operation):
                each.times -= 1
                if not each.times:
                    del self.failures[index]
                return each
        return None

    def demands_certificate(self, mailbox: str) -> bool:
        """Whether a request for a mailbox must bear a client certificate."""
        return self.certified if isinstance(self.certified, bool) else mailbox in self.certified

    def reset(self) -> None:
        """Take everything back."""
        self.clock.reset()
        if self.work is not None:
            self.work.afresh()
        self.failures.clear()
        self.certified = False
