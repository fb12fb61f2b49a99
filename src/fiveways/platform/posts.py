"""What was transformed, put into a mailbox: one method begins where another ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from fiveways.errors import KeyReused, Overloaded
from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.refusals import LocalIdUsed
from fiveways.methods.synchronous.transformation.back_ends import MailboxTarget
from fiveways.methods.synchronous.transformation.mailbox import Posted
from fiveways.platform.mailboxes import Messages

_KNOWN = timedelta(days=7)
"""For how long a message is known, should it come again."""


class Posts:
    """Puts messages into mailboxes. `messages`: messaging, as it is running just now."""

    def __init__(self, messages: Callable[[], Messages | None]) -> None:
        self._messages = messages

    async def __call__(self, target: MailboxTarget, posted: Posted) -> str:
        """Put the message there; its id. One with the same local id and content is the one that was put there before."""
        messages = self._messages()
        if messages is None:
            raise Overloaded("There is no messaging")
        draft = Draft(
            sender=target.sender,
            recipient=target.to,
            workflow=target.workflow,
            local_id=posted.local_id,
            chunks=1,
            details=Details(subject=posted.kind, content_type=posted.content_type),
            correlation=posted.correlation,
        )
        try:
            return (await messages.service.send(draft, posted.content, None, once_within=_KNOWN)).id
        except LocalIdUsed:
            raise KeyReused("Its own id was used before for another message; a new message has a new one") from None
