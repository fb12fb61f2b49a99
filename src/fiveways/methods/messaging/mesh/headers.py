"""The fields of a message on the wire: what a sender says in them, and what a recipient is told."""

from __future__ import annotations

import re
from email.utils import formatdate

from fiveways.methods.messaging.mesh.bodies import stamp
from fiveways.methods.messaging.mesh.faults import InvalidRequest, MeshFault, bad_chunks
from fiveways.methods.messaging.mesh.parameters import mistake, too_long
from fiveways.methods.messaging.records import Details, Draft, Message
from fiveways.methods.messaging.states import State
from fiveways.types import Headers, Interaction

_LONGEST = {
    b"mex-to": 100, b"mex-workflowid": 300, b"mex-chunk-range": 20, b"mex-subject": 500, b"mex-localid": 300, b"mex-partnerid": 500,
    b"mex-filename": 300, b"mex-content-encrypted": 20, b"mex-content-compressed": 20, b"mex-content-checksum": 100,
    b"mex-content-type": 100,
}  # fmt: skip
_REQUIRED = (b"mex-to", b"mex-workflowid")
_NO_ADDRESS = (b"mex-to", b"mex-workflowid", b"mex-content-checksum")
_CONTROL = re.compile(r"[\0-\x1f]")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_CHECKSUM = re.compile(r"[A-Za-z0-9\s:\-/]*")
_YES = frozenset(("y", "yes", "t", "true", "on", "1"))


def field(interaction: Interaction, name: bytes) -> str:
    """One of the request's fields, or ''."""
    return next((_text(value) for known, value in reversed(interaction.headers) if known == name), "")


def fields_of(interaction: Interaction) -> dict[bytes, str]:
    """The request's fields by name, the last of each; each byte a character, so that a recipient gets the bytes that were sent."""
    return {name: _text(value) for name, value in interaction.headers}


def draft(sender: str, interaction: Interaction) -> Draft:
    """What a sender hands in. Raises InvalidRequest for what is missing or too long, MeshFault for what must not be said so."""
    fields = fields_of(interaction)
    said = {name: value for name, value in fields.items() if name in _LONGEST}
    mistakes = [missing(name) for name in _REQUIRED if name not in said]
    mistakes += [found for name in said if (found := _too_long(name, said)) is not None]
    if mistakes:
        raise InvalidRequest(mistakes)
    recipient, checksum = said[b"mex-to"], said.get(b"mex-content-checksum", "")
    if _CONTROL.search("".join(said.values())) or any(_ADDRESS.match(said.get(name, "")) for name in _NO_ADDRESS):
        raise MeshFault(400, "TRANSFER", "06", "MalformedControlFile")
    if _CHECKSUM.fullmatch(checksum.strip()) is None:
        raise MeshFault(400, "SEND", "Invalid checksum", "Invalid checksum")
    if not recipient:
        raise MeshFault(400, "SEND", "08", "TO_DTS missing")
    claimed = fields.get(b"mex-from", "").strip().upper()
    if claimed and claimed != sender:
        raise MeshFault(417, "SEND", "07", "Invalid From Address in the control file")
    _, total = chunk_range(said.get(b"mex-chunk-range", ""), 1)
    content_type = said.get(b"mex-content-type") or _text(interaction.fields.get(b"content-type", b"")).strip().lower()
    details = Details(
        subject=said.get(b"mex-subject", ""),
        file_name=said.get(b"mex-filename", ""),
        partner_id=said.get(b"mex-partnerid", ""),
        checksum=checksum,
        content_type=content_type,
        content_encoding=_supported(content_encoding(fields)),
        encrypted=said.get(b"mex-content-encrypted", "").strip().lower() in _YES,
        compressed=said.get(b"mex-content-compressed", "").strip().lower() in _YES,
    )
    correlation = interaction.correlation.correlation_id.decode("latin-1")
    local_id, workflow = said.get(b"mex-localid", ""), said[b"mex-workflowid"]
    return Draft(sender, recipient.strip().upper(), workflow, local_id, total, details, correlation)


def content_encoding(fields: dict[bytes, str]) -> str:
    """How content is encoded, as it will be kept; '' where it is not."""
    return fields.get(b"content-encoding", "").strip().lower()


def _supported(encoding: str) -> str:
    if encoding not in ("", "gzip"):
        raise MeshFault(422, "SEND", "UnsupportedContentEncoding", "Unsupported content encoding")
    return encoding


def chunk_of(fields: dict[bytes, str], number: int, message_id: str) -> int:
    """How many chunks there are, as the Mex-Chunk-Range of a chunk but the first says."""
    found = _too_long(b"mex-chunk-range", fields)
    if found is not None:
        raise InvalidRequest([found])
    return chunk_range(fields.get(b"mex-chunk-range", "") or "0:0", number, message_id)[1]


def chunk_range(value: str, number: int, message_id: str = "") -> tuple[int, int]:
    """Chunk number and how many there are, of a Mex-Chunk-Range for chunk `number`. Without one, it is the only chunk."""
    if not value.strip() and number == 1:
        return 1, 1
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*:\s*([0-9]{1,9})\s*", value)
    if found is None or not 0 < int(found[1]) <= int(found[2]) or int(found[1]) != number:
        raise bad_chunks(message_id)
    return int(found[1]), int(found[2])


def collected(message: Message, number: int) -> Headers:
    """The fields that go with a message, or a chunk of it; what nobody said is left out."""
    details = message.details
    code, event, description, success = _status(message)
    fields = (
        (b"mex-from", message.sender),
        (b"mex-to", message.recipient),
        (b"mex-workflowid", message.workflow),
        (b"mex-chunk-range", f"{number}:{message.chunks}"),
        (b"mex-total-chunks", str(message.chunks)),
        (b"mex-addresstype", "ALL"),
        (b"mex-localid", message.local_id),
        (b"mex-partnerid", details.partner_id),
        (b"mex-filename", details.file_name or f"{message.id}.dat"),
        (b"mex-subject", details.subject),
        (b"mex-version", "1.0"),
        (b"mex-messagetype", message.kind),
        (b"mex-messageid", message.id),
        (b"mex-statuscode", code),
        (b"mex-statusevent", event),
        (b"mex-statusdescription", description),
        (b"mex-statussuccess", success),
        (b"mex-statustimestamp", stamp(message.reached(State.ACCEPTED) or message.at)),
        (b"mex-linkedmsgid", details.linked),
        (b"mex-correlationid", message.correlation),
        (b"mex-content-compressed", "Y" if details.compressed else ""),
        (b"mex-content-encrypted", "Y" if details.encrypted else ""),
        (b"mex-content-checksum", details.checksum),
        (b"mex-content-type", details.content_type),
        (b"last-modified", formatdate(message.events[-1].at // 1_000_000, usegmt=True)),
    )
    return [(name, _bytes(value)) for name, value in fields if value]


def _status(message: Message) -> tuple[str, str, str, str]:
    """What became of a message, or is told in a report: code, event, description, success."""
    told = message.failure if message.kind == "DATA" else message.events[0]
    if told is None:
        return "00", "TRANSFER", "Transferred to recipient mailbox", "SUCCESS"
    return told.code, "SEND", told.reason, "ERROR"


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # not from a field: a tester's report came in JSON
        return value.encode()


def missing(name: bytes) -> dict[str, object]:
    """What is said of a field that is not there."""
    return mistake("missing", name.decode(), "Field required", where="header")


def _too_long(name: bytes, fields: dict[bytes, str]) -> dict[str, object] | None:
    said, most = fields.get(name, ""), _LONGEST[name]
    return too_long(name.decode(), said, most, where="header") if len(said) > most else None
