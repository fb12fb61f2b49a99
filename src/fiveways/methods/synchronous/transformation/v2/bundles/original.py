"""The message as it came, kept beside what it says: a DocumentReference, with the message in it or in a Binary."""

from __future__ import annotations

from base64 import b64encode
from uuid import UUID, uuid5

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

CONTENT_TYPE = "application/hl7-v2"
_NAMESPACE = UUID("0a3c1a6e-7a0b-5b52-9d35-3f1d5f0c8c11")


def keep(reading: Reading) -> None:
    """Add the message to the entries, as the deployment has it: the same message is the same document."""
    wanted = reading.context.original
    if not wanted:
        return
    text = reading.message.text
    name = uuid5(_NAMESPACE, f"{reading.message.get('MSH-3')} {reading.message.get('MSH-4')} {text}")
    data = b64encode(text.encode("utf-8", "surrogateescape")).decode()
    attachment: Resource = {"contentType": CONTENT_TYPE, "data": data}
    if wanted == "binary":
        attachment = {"contentType": CONTENT_TYPE, "url": reading.add({"resourceType": "Binary", **attachment})}
    document: Resource = {
        "resourceType": "DocumentReference",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{name}"}],
        "status": "current",
        "content": [{"attachment": attachment}],
    }
    about = next((entry for entry in reading.entries if entry["resource"]["resourceType"] == "Patient"), None)
    if about is not None:
        document["subject"] = {"reference": about["fullUrl"]}
    reading.add(document, named=True)


def is_original(resource: Resource) -> bool:
    """Whether a resource is a message that is kept, or the document that leads to one."""
    if resource.get("resourceType") == "Binary":
        return resource.get("contentType") == CONTENT_TYPE
    return (
        resource.get("resourceType") == "DocumentReference"
        and element.get(resource, "content[0].attachment.contentType") == CONTENT_TYPE
    )
