"""Messages with results, orders, appointments and documents, as the tests read and write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fiveways.hl7v2 import charsets
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.v2.messages import Header, Transformed, kind_of, to_fhir, to_v2
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

OWN = Path(__file__).parent / "messages"
GIVEN = Path(__file__).parents[6] / "shared" / "data" / "hl7v2"
LONDON = Context(ZoneInfo("Europe/London"))
FAMILIES = ("ORU", "ORM", "OML", "SIU", "MDM")
FIXTURES = sorted(path for path in OWN.glob("*.hl7") if path.name[:3] in FAMILIES)
LISTED = ("ORU-", "ORM-O01", "OML-O21", "SIU-S12", "SIU-S13", "SIU-S14", "SIU-S15", "MDM-T02")
OTHERS = sorted(path for path in GIVEN.glob("*/*.hl7") if path.name.startswith(LISTED))


def message(path: Path) -> Message:
    return Message.parse(charsets.decode(path.read_bytes())[0])


def read(name: str) -> Transformed:
    """What a message of our own is in FHIR."""
    return to_fhir(message(OWN / f"{name}.hl7"), LONDON)


def said(*segments: str, kind: str = "ORU^R01") -> Transformed:
    """What a message with these segments is in FHIR."""
    header = f"MSH|^~\\&|LIMS|NSH|||20261102093000||{kind}|X1|P|2.5.1"
    return to_fhir(Message.parse("\r".join((header, *segments))), LONDON)


def back(bundle: dict[str, Any], of: Message) -> Message:
    """The message that a Bundle is, of the type of another."""
    header = Header(of.control_id, datetime(2026, 11, 2, tzinfo=UTC), sender=(of.get("MSH-3"), of.get("MSH-4")))
    return Message.parse(to_v2(bundle, kind_of(of), header, LONDON).text)


def resources(done: Transformed, kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == kind]


def one(done: Transformed, kind: str) -> dict[str, Any]:
    (found,) = resources(done, kind)
    return found


def comparable(bundle: dict[str, Any]) -> Any:
    """The entries, with names that follow from their order, and one way to write a moment of UTC. When a provenance was recorded
    may be when the message was made."""
    said = [[entry["resource"], entry["request"]] for entry in bundle["entry"]]
    for each in said:
        if each[0]["resourceType"] == "Provenance":
            each[0] = {name: value for name, value in each[0].items() if name not in ("recorded", "_recorded")}
    text = encode(said).decode()
    for number, entry in enumerate(bundle["entry"]):
        text = text.replace(entry["fullUrl"], f"#{number}")
    return json.loads(text.replace('+00:00"', 'Z"'))
