"""Which request of ours a message answers. A guess that is wrong would close another patient's request, so nothing is guessed.

In this order, and among the requests that went out from the mailbox that the message came to:

1. a report: by the message that it is linked to, then by its local id: the request has failed;
2. FHIR's MessageHeader.response.identifier: the id of the message that is answered. One that we do not know ends the search;
3. the local id, where the answer's workflow is the request's with `_ACK`, and it comes from whom we asked; one of the two is enough
   for a local id that is a GUID, since nobody else has that by chance;
4. the correlation id, where the answer comes from whom we asked and one request only has it;
5. the workflow `X_ACK` alone, where one request only of workflow X to that sender is unanswered.

Whoever answers may answer again: the same message is always told the same (`answers`).
"""

from __future__ import annotations

import sqlite3

from fiveways.client.answer import Fields
from fiveways.client.jobs import is_kept, keep_outcome
from fiveways.client.ledger import MESSAGING, Ledger, Request, append, found
from fiveways.client.message import Message
from fiveways.client.reference import Reference, reference_of
from fiveways.client.states import UNANSWERED
from fiveways.clock import micros
from fiveways.correlation import is_guid

ACKNOWLEDGES = "_ACK"
"""What the workflow of a business acknowledgement ends with."""
_BY_NAME = "r.method = ? AND r.own = ? AND r.id IN (SELECT request FROM names WHERE kind = ? AND value = ?)"


def match(ledger: Ledger, message: Message) -> Request | None:
    """The request that `message` answers, or reports on, now marked so; None for what came unasked."""
    reference = None if message.is_report else reference_of(message.content)
    at = micros(ledger.clock)
    with ledger.file.transaction() as connection:
        known = found(
            connection, "r.id IN (SELECT request FROM answers WHERE own = ? AND message = ?)", message.recipient, message.id
        )
        if known:
            return known[0]
        how, request = _reported(connection, message) if message.is_report else _answered(connection, message, reference)
        if request is None:
            return None
        connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (message.recipient, message.id, request.id, how, at))
        if message.is_report:
            code, reason = message.fields.get("statuscode", ""), message.fields.get("statusdescription", "")
            return append(connection, request, "fail", at, code, reason)
        if is_kept(connection, request.id):
            fields = Fields(
                [("Content-Type", message.content_type), *((f"Mex-{name}", said) for name, said in message.fields.items())]
            )
            keep_outcome(connection, ledger.path, request.id, 200, fields, message.content, how, at)
            message.content.seek(0)
        return append(connection, request, "answer", at, reference.code if reference is not None else "", how)


def _reported(connection: sqlite3.Connection, message: Message) -> tuple[str, Request | None]:
    if message.linked:
        linked = found(connection, _BY_NAME, MESSAGING, message.recipient, "message", message.linked.upper())
        if linked:
            return "linked message", linked[0]
    named = found(connection, _BY_NAME, MESSAGING, message.recipient, "local", message.local_id) if message.local_id else []
    # A report that names another message than ours is about what was sent under this local id by somebody else.
    fitting = [request for request in named if not (message.linked and request.message_id)]
    return "local id", fitting[0] if fitting else None


def _answered(connection: sqlite3.Connection, message: Message, reference: Reference | None) -> tuple[str, Request | None]:
    own = message.recipient
    if reference is not None and reference.answers:
        quoted = found(connection, _BY_NAME, MESSAGING, own, "fhir", reference.answers)
        return "FHIR response identifier", quoted[0] if len(quoted) == 1 else None
    if message.local_id:
        named = found(connection, _BY_NAME, MESSAGING, own, "local", message.local_id)
        enough = 1 if is_guid(message.local_id.encode()) else 2
        fitting = [each for each in named if _signs(message, each) >= enough]
        if fitting:
            return "local id", fitting[0]
    if message.correlation:
        together = found(
            connection, f"{_BY_NAME} AND r.party = ?", MESSAGING, own, "correlation", message.correlation, message.sender
        )
        if len(together) == 1:
            return "correlation id", together[0]
    if message.workflow.endswith(ACKNOWLEDGES):
        asked = "r.method = ? AND r.own = ? AND r.party = ? AND r.workflow = ?"
        values = (MESSAGING, own, message.sender, message.workflow.removesuffix(ACKNOWLEDGES))
        unanswered = [each for each in found(connection, asked, *values) if each.state in UNANSWERED]
        if len(unanswered) == 1:
            return "workflow", unanswered[0]
    return "", None


def _signs(message: Message, request: Request) -> int:
    """How many of these hold: it comes from whom we asked; its workflow acknowledges the request's."""
    return (message.sender == request.party) + (message.workflow == request.workflow + ACKNOWLEDGES)
