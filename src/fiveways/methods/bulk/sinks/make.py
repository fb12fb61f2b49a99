"""A feed's sinks, made of what the deployment file says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fiveways.delivery.queue import Delivery
from fiveways.deployment.callables import declared_callable
from fiveways.methods.bulk.settings import Sink, ToMailbox
from fiveways.methods.bulk.sinks.folder import FolderSink
from fiveways.methods.bulk.sinks.object_store import ObjectSink
from fiveways.methods.bulk.sinks.sink import Piece, Put

Post = Callable[[Delivery, Mapping[str, str], Sequence[bytes]], Awaitable[object]]
"""Posts a delivery to its target, with header fields, signed where there are secrets; raises Retry and GiveUp."""
Mail = Callable[[ToMailbox, Piece], Awaitable[str]]
"""Puts a piece into a mailbox, once; says the message's id."""


def make(where: str, sink: Sink, base: Path, post: Post, mail: Mail) -> Put:
    """What puts pieces into a sink; `where` it stands in the deployment file, `base`: that file's folder. DeploymentError."""
    if sink.folder is not None:
        return FolderSink(base / sink.folder)
    if sink.s3 is not None:
        return ObjectSink(sink.s3)
    if sink.http is not None:
        return _posting(sink.http, [secret.resolve(base) for secret in sink.secrets], post)
    if sink.mailbox is not None:
        return _mailing(sink.mailbox, mail)
    assert sink.call is not None
    call = declared_callable(where, sink.call, base)

    async def called(piece: Piece, delivery: Delivery) -> str:
        return str(await call(piece) or "taken")

    return called


def _posting(url: str, secrets: Sequence[bytes], post: Post) -> Put:
    async def posted(piece: Piece, delivery: Delivery) -> str:
        def content() -> AsyncIterator[bytes]:
            return piece.read()

        made = replace(delivery, target=url, content_type=piece.content_type, size=piece.size, content=content)
        fields = {
            "Fiveways-Feed": piece.feed, "Fiveways-Transfer": piece.transfer,
            "Fiveways-Batch": str(piece.number), "Fiveways-Records": str(piece.records),
        }  # fmt: skip
        await post(made, fields, secrets)
        return "posted"

    return posted


def _mailing(to: ToMailbox, mail: Mail) -> Put:
    async def mailed(piece: Piece, delivery: Delivery) -> str:
        return await mail(to, piece)

    return mailed
