"""A message sent again is the one that was sent before: after a time-out a sender does not know whether it was taken in (A31).

A mailbox may ask for it. What it has sent under a local id is then remembered in the transaction that takes the message in, across
restarts and nodes: the same message under the same local id is answered as the first was, another one under it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from fiveways.clock import micros_in
from fiveways.ledger import replay
from fiveways.methods.messaging.records import Draft
from fiveways.methods.messaging.refusals import LocalIdUsed
from fiveways.store.group import GroupWriter, Writing

NAMESPACE = "message"
_DIGEST = 16


def once(draft: Draft, chunk: Mapping[str, Any], id_: str, at: int, within: timedelta) -> tuple[Writing, dict[str, Any]]:
    """The claim on a sender's local id, for the message `id_` taken in `at` (microseconds since the Unix epoch)."""
    until = at + micros_in(within)
    return replay.claim, replay.use(NAMESPACE, _key(draft), until, _fingerprint(draft, chunk) + id_.encode())


async def first(group: GroupWriter, draft: Draft, chunk: Mapping[str, Any]) -> str:
    """The id of the message that has the local id. Raises LocalIdUsed where that is another message than `draft`."""
    rows = (await group.submit(replay.purpose_of, {"b_namespace": NAMESPACE, "b_value": _key(draft)}, synced=False)).rows
    kept = rows[0][0] if rows else b""
    if kept[:_DIGEST] != _fingerprint(draft, chunk):
        raise LocalIdUsed("The sender has used this local id for another message")
    return str(kept[_DIGEST:].decode())


def _key(draft: Draft) -> bytes:
    return hashlib.sha256(f"{draft.sender}\0{draft.local_id}".encode()).digest()


def _fingerprint(draft: Draft, chunk: Mapping[str, Any]) -> bytes:
    said = (draft.recipient, draft.workflow, draft.chunks, draft.details, chunk["size"], chunk["sha256"])
    return hashlib.sha256(msgspec.json.encode(said)).digest()[:_DIGEST]
