"""Messages as the public mesh-sandbox shows them beside the specification: rich lists of a box, and all that is known of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fiveways.clock import moment_of
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.mesh.bodies import expires, iso
from fiveways.methods.messaging.records import Message
from fiveways.methods.messaging.states import State

CENTRAL = {"name": "Central System Mailbox", "ods_code": "X26", "org_name": "NHS England"}
"""Who sends reports."""


def _listed(box: str, message: Message, directory: Directory, collect_within: timedelta) -> dict[str, Any]:
    failed = message.events[0] if message.kind == "REPORT" else message.failure
    code = {"status_code": failed.code if failed is not None else ""} if failed is not None or box == "outbox" else {}
    return {
        "message_id": message.id,
        "expiry_timestamp": iso(expires(message, directory, collect_within)),
        "local_id": message.local_id,
        "message_type": message.kind,
        "recipient": message.recipient,
        "recipient_name": directory.named(message.recipient).name,
        "sender": message.sender,
        "sender_name": directory.named(message.sender).name if message.sender else CENTRAL["name"],
        "sent_date": iso(moment_of(message.reached(State.ACCEPTED) or message.at)),
        "status": message.state.value,
        **code,
        "workflow_id": message.workflow,
        "total_chunks": message.chunks,
    }


def rich(box: str, found: list[Message], links: dict[str, str], directory: Directory, collect_within: timedelta) -> dict[str, Any]:
    """A rich list of a box, 'inbox' or 'outbox'."""
    shown = [_listed(box, message, directory, collect_within) for message in found]
    return {"valid_at": iso(datetime.now(UTC)), "messages": shown, "links": links}


def message_details(message: Message, size: int, directory: Directory, collect_within: timedelta) -> dict[str, Any]:
    """All that is known of a message; `size` of its content in bytes. What is not known is left out."""
    details, failed, recipient = message.details, message.failure, directory.named(message.recipient)
    sender = directory.named(message.sender)
    central = CENTRAL if not message.sender else {"name": sender.name, "ods_code": sender.ods_code, "org_name": sender.org_name}
    report = message.events[0] if message.kind == "REPORT" else None
    collected = message.reached(State.ACKNOWLEDGED)
    shown = {
        "checksum": details.checksum,
        "chunk_count": message.chunks,
        "content_encoding": details.content_encoding if report is None else None,
        "download_timestamp": iso(moment_of(collected)) if collected is not None else None,
        "expiry_time": iso(expires(message, directory, collect_within)),
        "failure_date": iso(moment_of(failed.at)) if failed is not None else None,
        "failure_diagnostic": failed.reason if failed is not None else None,
        "filename": details.file_name or f"{message.id}.dat",
        "file_size": size,
        "is_compressed": details.compressed if report is None else None,
        "is_encrypted": details.encrypted if report is None else None,
        "linked_msg_id": details.linked or None,
        "local_id": message.local_id,
        "recipient_ods_code": recipient.ods_code,
        "message_id": message.id,
        "message_type": message.kind.title(),
        "recipient": message.recipient,
        "recipient_name": recipient.name,
        "recipient_org_code": recipient.ods_code,
        "recipient_org_name": recipient.org_name,
        "sender": message.sender,
        "sender_name": central["name"],
        "sender_ods_code": central["ods_code"],
        "sender_org_code": central["ods_code"],
        "sender_org_name": central["org_name"],
        "status": message.state.value.title(),
        "status_code": report.code if report is not None else None,
        "status_description": report.reason if report is not None else None,
        "status_event": "SEND" if report is not None else None,
        "status_success": "ERROR" if report is not None or failed is not None else "SUCCESS",
        "status_timestamp": iso(moment_of(report.at)) if report is not None else None,
        "subject": details.subject,
        "upload_timestamp": iso(moment_of(message.at)),
        "workflow_id": message.workflow,
    }
    return {name: value for name, value in shown.items() if value is not None}
