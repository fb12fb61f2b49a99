"""Whole messages as FHIR, and FHIR as whole messages. What becomes of each field is in the coverage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fiveways.errors import FivewaysError
from fiveways.hl7v2 import times
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.bundles import uk_core
from fiveways.methods.synchronous.transformation.v2.bundles.original import is_original, keep
from fiveways.methods.synchronous.transformation.v2.bundles.practitioners import lift
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Unsayable, Writing
from fiveways.methods.synchronous.transformation.v2.codes.general import SYSTEM
from fiveways.methods.synchronous.transformation.v2.families.adt import ADT
from fiveways.methods.synchronous.transformation.v2.families.documents import MDM
from fiveways.methods.synchronous.transformation.v2.families.orders import OML, ORM
from fiveways.methods.synchronous.transformation.v2.families.results import ORU
from fiveways.methods.synchronous.transformation.v2.families.scheduling import SIU
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Resource, moment_of

FAMILIES = (ADT, ORU, ORM, OML, SIU, MDM)
READ = {f"{family.code}^{event}": family for family in FAMILIES for event in family.events}
"""The families by the types and events that they are of."""
EVENTS = f"{SYSTEM}0003"
"""HL7's trigger events, as a code system of FHIR's: a Bundle's tag says the event."""


class UnsupportedMessage(FivewaysError):
    """A message of a type that is not read; the text names it, and what is."""


@dataclass(slots=True)
class Transformed:
    """What became of a message: a transaction."""

    bundle: Resource
    coverage: Coverage


def kind_of(message: Message) -> str:
    """Its type and event: `ADT^A01`."""
    return f"{message.code}^{message.event}"


def to_fhir(message: Message, context: Context) -> Transformed:
    """The transaction Bundle that a message is. Raises UnsupportedMessage for one of another type."""
    kind = kind_of(message)
    family = READ.get(kind)
    if family is None:
        raise UnsupportedMessage(f"{kind} is not read here; what is: {', '.join(sorted(READ))}")
    reading = Reading(message, context)
    family.read(reading)
    lift(reading)
    keep(reading)
    if context.profiles == "uk-core":
        uk_core.declare(reading.entries)
    reading.finish()
    bundle: Resource = {
        "resourceType": "Bundle",
        "meta": {"tag": [{"system": EVENTS, "code": message.event}]},
        "type": "transaction",
    }
    if sent := message.get("MSH-7"):
        try:
            moment = moment_of(sent, context)
            if moment.precision not in ("year", "month", "day"):
                bundle["timestamp"] = moment.fhir
        except ValueError as error:
            reading.coverage.wrong.append(("MSH-7", str(error)))
    bundle["entry"] = reading.entries
    return Transformed(bundle, reading.coverage)


@dataclass(frozen=True, slots=True)
class Header:
    """What a message that is written says of itself: sender and receiver as application and facility, and the version."""

    control_id: str
    at: datetime
    sender: tuple[str, str] = ("FIVEWAYS", "")
    receiver: tuple[str, str] = ("", "")
    version: str = "2.5.1"
    processing: str = "P"
    charset: str = "UNICODE UTF-8"


def to_v2(bundle: Resource, kind: str, header: Header, context: Context) -> Message:
    """The message of a type and event (`ADT^A31`) that says what a Bundle's resources do.

    Raises UnsupportedMessage for another type, and Unsayable where something that it must have is not there.
    """
    family = READ.get(kind)
    if family is None:
        raise UnsupportedMessage(f"{kind} is not written here; what is: {', '.join(sorted(READ))}")
    code, _, event = kind.partition("^")
    message = Message.new()
    for number, value in ((3, header.sender[0]), (4, header.sender[1]), (5, header.receiver[0]), (6, header.receiver[1])):
        if value:
            message.segments[0].set(value, number)
    at = times.written(header.at.isoformat(timespec="seconds"), context.zone)
    for path, value in (
        ("MSH-7", at), ("MSH-9.1", code), ("MSH-9.2", event), ("MSH-9.3", family.events[event]), ("MSH-10", header.control_id),
        ("MSH-11", header.processing), ("MSH-12", header.version), ("MSH-18", header.charset),
    ):  # fmt: skip
        message.set(path, value)
    if code == "ADT":
        evn = message.add("EVN")
        evn.set(event, 1)
        evn.set(at, 2)
    entries = bundle.get("entry") or ()
    resources = {
        str(entry.get("fullUrl", number)): entry["resource"]
        for number, entry in enumerate(entries)
        if "resource" in entry and not is_original(entry["resource"])
    }
    family.write(Writing(resources, event, context, message))
    return message


__all__ = ["FAMILIES", "READ", "Header", "Transformed", "Unsayable", "UnsupportedMessage", "kind_of", "to_fhir", "to_v2"]
