"""What MESH refuses, in the words its clients read: an event, a code and a text, in the shape of version 1 or 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fiveways.errors import Fault
from fiveways.methods.messaging import refusals
from fiveways.types import Outcome

V2 = b"application/vnd.mesh.v2+json"
JSON = b"application/json"


class MeshFault(Fault):
    """A refusal of the wire protocol. `event` says in which phase, `mesh_code` is the code of the protocol's table."""

    status, code, party = 400, "MESH_REFUSED", "consumer"

    def __init__(self, status: int, event: str, code: str, text: str, *, message_id: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = "MESH_" + (code or str(status)).upper().replace("-", "_")
        self.event = event
        self.mesh_code = code
        self.message_id = message_id


class InvalidRequest(MeshFault):
    """Values that are missing or out of bounds, each told of (`loc`: where it stands)."""

    def __init__(self, mistakes: Sequence[dict[str, Any]]) -> None:
        super().__init__(400, "", "", "; ".join(f"{mistake['loc'][-1]}: {mistake['msg']}" for mistake in mistakes))
        self.mistakes = mistakes


def forbidden(text: str) -> MeshFault:
    """403 for a token that is no good."""
    return MeshFault(403, "", "", text)


def bad_header() -> MeshFault:
    """The Authorization field is not there, or not in its form."""
    return forbidden("Error reading from Authorization header")


def no_such_mailbox() -> MeshFault:
    """The caller's mailbox is not known."""
    return MeshFault(403, "SEND", "EPL-151", "No mailbox matched")


def unregistered() -> MeshFault:
    """The recipient is not known."""
    return MeshFault(417, "SEND", "12", "Unregistered to address")


def not_registered_for_workflow() -> MeshFault:
    """The workflow is not for this sender and recipient."""
    return MeshFault(417, "SEND", "17", "Workflow ID not registered for mailbox")


def bad_chunks(message_id: str = "") -> MeshFault:
    """Mex-Chunk-Range is not what it must be here."""
    text = "Invalid chunk values sent in mex-Chunk-Range header"
    return MeshFault(417, "SEND", "InvalidHeaderChunks", text, message_id=message_id)


def does_not_exist() -> MeshFault:
    """There is no such message, or chunk of it."""
    return MeshFault(404, "RECEIVE", "20", "Message does not exist")


_REFUSALS: dict[type[refusals.Refusal], tuple[int, str, str, str]] = {
    refusals.Unknown: (404, "RECEIVE", "20", "Message does not exist"),
    refusals.NotYours: (403, "", "", "Forbidden"),
    refusals.Gone: (410, "SEND", "Message already accepted", "Message no longer available for download"),
    refusals.Whole: (423, "SEND", "", "Message is already complete"),
    refusals.TooManyChunks: (406, "SEND", "InvalidHeaderChunks", "Chunk is not one of those announced"),
    refusals.Empty: (417, "COLLECT", "02", "Data file is missing or inaccessible."),
    refusals.LocalIdUsed: (409, "SEND", "LocalIdUsed", "Local id has been used for another message"),
    refusals.EncodingChanged: (417, "", "", "cannot change content encoding"),
}


def worded(refusal: refusals.Refusal, message_id: str = "") -> MeshFault:
    """A refusal of the service, in the words of the wire."""
    status, event, code, text = _REFUSALS[type(refusal)]
    return MeshFault(status, event, code, text, message_id=message_id)


def answer(fault: Fault, version: int, internal_id: str) -> Outcome:
    """The answer to a request that ended in a fault. mesh-client needs `detail` to be a list whatever the status is."""
    event, code = (fault.event, fault.mesh_code) if isinstance(fault, MeshFault) else ("", fault.code)
    message_id = fault.message_id if isinstance(fault, MeshFault) else ""
    content: dict[str, Any]
    kind = JSON
    if isinstance(fault, InvalidRequest):
        content = {"detail": fault.mistakes}
    elif version < 2:
        content = {"messageID": message_id} if message_id else {}
        content |= {"errorEvent": event, "errorCode": code, "errorDescription": fault.diagnostics}
    else:
        kind = V2
        content = {"message_id": message_id} if message_id else {}
        content |= {"internal_id": internal_id, "detail": [{"event": event, "code": code, "msg": fault.diagnostics}]}
    body = msgspec.json.encode(content)
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    return Outcome(fault.status, headers, body, fault)
