"""What came of a promise of work, told as a message in the mailbox of who made it: one method begins where another ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import structlog

from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.refusals import LocalIdUsed
from fiveways.methods.synchronous.promise.outcome import Answered
from fiveways.platform.mailboxes import Messages

log = structlog.get_logger("fiveways.promises")

_KEPT = timedelta(days=7)
"""For how long the message of a promise is known, should it be told again."""


class Outcomes:
    """Tells of answers. `messages`: messaging, as it is running just now."""

    def __init__(self, messages: Callable[[], Messages | None]) -> None:
        self._messages = messages

    async def __call__(self, answered: Answered) -> None:
        """Put the message into the mailbox. Its local id is the promise's id, and its content what the provider answered."""
        messages = self._messages()
        if messages is None:
            log.error("an outcome cannot be told: there is no messaging", promise=answered.promise)
            return
        summary = {"promise": answered.promise, "status": answered.status}
        content_type = answered.content_type if answered.body else "application/json"
        draft = Draft(
            sender=answered.how.sender,
            recipient=answered.how.to[answered.application],
            workflow=answered.how.workflow,
            local_id=answered.promise,
            chunks=1,
            details=Details(subject=f"answered {answered.status}", content_type=content_type),
            correlation=answered.correlation,
        )
        try:
            await messages.service.send(draft, answered.body or msgspec.json.encode(summary), None, once_within=_KEPT)
        except LocalIdUsed:
            log.info("an outcome was told before, in other words", promise=answered.promise)
