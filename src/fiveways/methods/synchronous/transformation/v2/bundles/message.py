"""A transaction turned into a FHIR message: for whoever is told of something, and does not have it done (FHIR R4 §2.4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import EVENTS
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_DEVICE = "urn:hl7v2:"
"""Before the name of an application and its facility, where FHIR wants an endpoint's URL and HL7 v2 has none."""


def as_message(bundle: Resource, message: Message) -> None:
    """Make a message of a transaction: a MessageHeader first, which names the rest; nothing is asked for any more."""
    entries: list[Resource] = bundle["entry"]
    focus = [{"reference": entry["fullUrl"]} for entry in entries]
    header: dict[str, Any] = {"resourceType": "MessageHeader", "eventCoding": {"system": EVENTS, "code": message.event}}
    if receiver := _party(message, 5):
        header["destination"] = [receiver]
    header["source"] = _party(message, 3) or {"endpoint": f"{_DEVICE}unknown"}
    header["focus"] = focus
    named = "\0".join(message.get(path) for path in ("MSH-3", "MSH-4", "MSH-10"))
    id_ = str(uuid5(NAMESPACE_OID, named))
    header["id"] = id_
    bundle["type"] = "message"
    bundle["identifier"] = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"}
    for entry in entries:
        del entry["request"]
    entries.insert(0, {"fullUrl": f"urn:uuid:{id_}", "resource": header})


def _party(message: Message, number: int) -> Resource | None:
    """An application at a facility; None where neither is said."""
    application, facility = message.get(f"MSH-{number}"), message.get(f"MSH-{number + 1}")
    if not application and not facility:
        return None
    endpoint = _DEVICE + ":".join(quote(each, safe="") for each in (facility, application) if each)
    return {"name": application or facility, "endpoint": endpoint}
