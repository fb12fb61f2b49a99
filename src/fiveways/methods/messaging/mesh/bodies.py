"""What MESH answers in JSON, in the shapes of version 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from fiveways.clock import moment_of
from fiveways.correlation import new_id
from fiveways.methods.messaging.collecting import Observed
from fiveways.methods.messaging.directory import Directory, Mailbox
from fiveways.methods.messaging.mesh.faults import JSON, V2
from fiveways.methods.messaging.records import Message
from fiveways.methods.messaging.states import State
from fiveways.types import Outcome

DEFAULT_RESULTS = 500


def json(content: Any, *, status: int = 200, kind: bytes = JSON) -> Outcome:
    """An answer in JSON."""
    body = msgspec.json.encode(content)
    return Outcome(status, [(b"content-type", kind), (b"content-length", b"%d" % len(body))], body)


def empty(status: int = 200) -> Outcome:
    """An answer without a body."""
    return Outcome(status, [(b"content-length", b"0")], b"")


def link(path: str, **parameters: object) -> str:
    """A link as clients take it: a path, with what was asked for (mesh-client puts its own base before it)."""
    said = {name: value for name, value in parameters.items() if value}
    return f"/messageexchange/{path}" + (f"?{urlencode(said)}" if said else "")


def inbox_count(count: int, version: int) -> Outcome:
    """How many messages wait."""
    if version < 2:
        return json({"count": count, "internalID": new_id().replace("-", ""), "allResultsIncluded": True})
    return json({"count": count})


def lookup(mailboxes: Sequence[Mailbox], version: int, observed: Mapping[str, Observed]) -> Outcome:
    """Mailboxes that were found. Version 2 says, of those of which something is `observed`, how soon they collect."""
    if version < 2:
        found = [{"address": each.id, "description": each.name, "endpoint_type": "MESH"} for each in mailboxes]
        return json({"query_id": new_id().replace("-", ""), "results": found})
    return json({"results": [
        {"mailbox_id": each.id, "mailbox_name": each.name, **_observed(observed.get(each.id))} for each in mailboxes
    ]})  # fmt: skip


def _observed(observed: Observed | None) -> dict[str, dict[str, object]]:
    if observed is None:
        return {}
    return {
        "observed_collect": {
            "messages": observed.messages,
            "median_seconds": observed.median_seconds,
            "p95_seconds": observed.p95_seconds,
            "since": iso(moment_of(observed.since)),
        }
    }


def tracking(message: Message, size: int, directory: Directory, collect_within: timedelta, version: int) -> Outcome:
    """What became of a message, for its sender."""
    expiry = expires(message, directory, collect_within)
    failed = message.failure
    details, recipient, sender = message.details, directory.named(message.recipient), directory.named(message.sender)
    if version >= 2:
        return json(
            {
                "message_id": message.id,
                "local_id": message.local_id,
                "workflow_id": message.workflow,
                "filename": details.file_name or f"{message.id}.dat",
                "expiry_time": iso(expiry),
                "upload_timestamp": iso(moment_of(message.at)),
                "recipient": message.recipient,
                "recipient_name": recipient.name,
                "recipient_ods_code": recipient.ods_code,
                "recipient_org_code": recipient.ods_code,
                "recipient_org_name": recipient.org_name,
                "status_success": message.kind == "DATA" and failed is None,
                "status": message.state.value,
                **(_failure(failed.code, failed.reason, failed.at) if failed is not None else {}),
            },
            kind=V2,
        )
    collected = message.reached(State.ACKNOWLEDGED)
    yes = {True: "Y", False: ""}
    return json({
        "addressType": "ALL",
        "checksum": details.checksum,
        "chunkCount": message.chunks,
        "compressFlag": yes[details.compressed],
        "contentEncoding": details.content_encoding,
        "downloadTimestamp": stamp(collected),
        "dtsId": message.id,
        "encryptedFlag": yes[details.encrypted],
        "expiryTime": f"{expiry:%Y%m%d%H%M%S}",
        **({"failureDate": stamp(failed.at), "failureDiagnostic": failed.reason} if failed is not None else {}),
        "fileName": details.file_name or f"{message.id}.dat",
        "fileSize": size,
        "isCompressed": yes[details.compressed],
        "localId": message.local_id,
        "meshRecipientOdsCode": recipient.ods_code,
        "messageId": message.id,
        "messageType": message.kind.title(),
        "partnerId": details.partner_id,
        "recipient": message.recipient,
        "recipientName": recipient.name,
        "recipientOrgCode": recipient.ods_code,
        "recipientOrgName": recipient.org_name,
        "recipientSmtp": "",
        "sender": message.sender,
        "senderName": sender.name,
        "senderOdsCode": sender.ods_code,
        "senderOrgCode": sender.ods_code,
        "senderOrgName": sender.org_name,
        "senderSmtp": "",
        "status": message.state.value.title(),
        "statusSuccess": "SUCCESS" if message.kind == "DATA" and failed is None else "ERROR",
        "subject": details.subject,
        "uploadTimestamp": stamp(message.at),
        "version": "1.0",
        "workflowId": message.workflow,
    })  # fmt: skip


def _failure(code: str, reason: str, at: int) -> dict[str, str]:
    return {"status_event": "SEND", "status_timestamp": iso(moment_of(at)), "status_description": reason, "status_code": code}


def expires(message: Message, directory: Directory, collect_within: timedelta) -> datetime:
    """Until when a message waits: for as long as its workflow says, or for `collect_within`, as reports do."""
    own = directory.undelivered_after(message.workflow) if message.kind == "DATA" else None
    return moment_of(message.at) + (collect_within if own is None else own)


def iso(at: datetime) -> str:
    """A moment (UTC) as JSON has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamp(at: int | None) -> str:
    """A moment in microseconds as MESH's fields and version 1 have it, `20260131235959`; '' for none."""
    return f"{moment_of(at):%Y%m%d%H%M%S}" if at is not None else ""
