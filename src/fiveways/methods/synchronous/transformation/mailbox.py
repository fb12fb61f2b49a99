"""A mailbox behind a transformation: what it has transformed is put there, as a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from fiveways.methods.synchronous.transformation.back_ends import MailboxTarget
from fiveways.types import Interaction, Outcome


class Posted(NamedTuple):
    """A message to be put into a mailbox. `local_id` is the same for a repeat; `kind` says what it is of: `ADT^A01`."""

    local_id: str
    correlation: str
    kind: str
    content_type: str
    content: bytes


Post = Callable[[MailboxTarget, Posted], Awaitable[str]]
"""Puts a message into a mailbox, durably; its id. Raises KeyReused for another one under the same local id, and StoreError."""


class MailboxBackEnd:
    """The handler that puts what it gets into a mailbox, and answers 202."""

    def __init__(self, target: MailboxTarget, post: Post) -> None:
        self._target = target
        self._post = post

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Put it there; returns once it is durable."""
        body = interaction.body
        content = b"".join([piece async for piece in body]) if body is not None else b""
        known, ids = interaction.known, interaction.correlation
        posted = Posted(
            known.name if known is not None else ids.request_id.decode("latin-1"),
            ids.correlation_id.decode("latin-1"),
            str(interaction.facts.get("message", "")),
            interaction.fields.get(b"content-type", b"").decode("latin-1"),
            content,
        )
        interaction.calls += 1
        id_ = await self._post(self._target, posted)
        interaction.facts["posted"] = id_
        said = msgspec.json.encode({"message": id_, "status": "received"})
        return Outcome(202, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))], said)
