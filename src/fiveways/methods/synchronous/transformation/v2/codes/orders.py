"""Codes of orders, results, appointments and documents, each way (v2-to-FHIR concept maps)."""

from __future__ import annotations

from dataclasses import dataclass

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import Codes
from fiveways.methods.synchronous.transformation.v2.tables.table import ALTERNATE_CODES, Context, Resource

OBSERVATION_STATUS = Codes(
    "0085",
    {
        "F": "final", "P": "preliminary", "C": "corrected", "A": "amended", "X": "cancelled", "W": "entered-in-error",
        "I": "registered", "D": "entered-in-error", "R": "preliminary", "S": "preliminary", "B": "amended", "U": "final",
        "V": "final", "N": "final", "O": "registered",
    },
)  # fmt: skip
"""Not asked (N) is final, with the reason why there is no value; an order's detail (O) is there, and no result yet."""
REPORT_STATUS = Codes(
    "0123",
    {
        "F": "final", "P": "preliminary", "C": "corrected", "R": "partial", "X": "cancelled", "I": "registered", "O": "registered",
        "S": "registered", "A": "partial", "M": "preliminary", "N": "registered",
    },
)  # fmt: skip
ORDER_CONTROL = Codes(
    "0119",
    {
        "NW": "active", "CA": "revoked", "HD": "on-hold", "OK": "active", "XO": "active", "PA": "active", "CH": "active",
        "AF": "active", "RL": "active",
        "RO": "active", "RQ": "active", "XR": "active", "XX": "active", "PY": "active", "CR": "revoked",
        "DC": "revoked", "DF": "revoked", "DR": "revoked", "OC": "revoked", "OD": "revoked", "UA": "revoked", "HR": "on-hold",
        "OH": "on-hold", "PR": "completed", "FU": "completed",
    },
)  # fmt: skip
"""What an order is by what is said of it (ORC-1), where its status (ORC-5) is not said. Previous results (PR) are of an order that
has been carried out."""
ORDER_STATUS = Codes(
    "0038",
    {
        "IP": "active", "CM": "completed", "CA": "revoked", "HD": "on-hold", "ER": "entered-in-error", "SC": "active",
        "A": "active", "DC": "revoked", "RP": "revoked",
    },
)  # fmt: skip
SPECIMEN_ACTION = Codes("0065", {"G": "reflex-order"})
"""What a request is where its results led to it; other actions (OBR-11) are kept beside what it is."""
PRIORITY = Codes("0485", {"R": "routine", "S": "stat", "A": "asap", "U": "urgent"})
AVAILABLE = Codes("0136", {"Y": "available", "N": "unavailable"})
APPOINTMENT_STATUS = Codes(
    "0278",
    {
        "Booked": "booked", "Pending": "pending", "Waitlist": "waitlist", "Started": "checked-in", "Complete": "fulfilled",
        "Cancelled": "cancelled", "Noshow": "noshow", "Deleted": "entered-in-error", "Discontinued": "cancelled",
        "Overbook": "booked",
    },
)  # fmt: skip
PARTICIPATION_STATUS = Codes(
    "0278",
    {
        "Booked": "accepted", "Cancelled": "declined", "Pending": "tentative", "Waitlist": "tentative", "Started": "accepted",
        "Complete": "accepted", "Overbook": "accepted", "Deleted": "declined", "Discontinued": "declined", "Noshow": "declined",
    },
)  # fmt: skip
DOCUMENT_STATUS = Codes(
    "0271",
    {
        "AU": "final", "DO": "preliminary", "LA": "final", "DI": "preliminary", "IN": "preliminary", "IP": "preliminary",
        "PA": "preliminary",
    },
)  # fmt: skip
AVAILABILITY = Codes("0273", {"AV": "current", "OB": "superseded", "CA": "entered-in-error", "UN": "current"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A code that is one of several that say one element: what it means is put, and the code is always kept beside it, in HL7's
    table. It is written back where it is kept."""

    codes: Codes

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put what it means, and the code."""
        if meaning := self.codes.meanings.get(text):
            element.put(into, path, meaning)
        concept = {"coding": [{"system": self.codes.system, "code": text}]}
        element.put(into, _beside(path), [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The code that is kept."""
        for extension in element.get(resource, _beside(path)) or ():
            for coding in element.get(extension, "valueCodeableConcept.coding") or ():
                if extension.get("url") == ALTERNATE_CODES and coding.get("system") == self.codes.system:
                    return str(coding.get("code") or "")
        return ""


def _beside(path: str) -> str:
    before, dot, name = path.rpartition(".")
    return f"{before}{dot}_{name}.extension"


def is_kept(extension: Resource, codes: Codes) -> bool:
    """Whether an extension keeps a code of a table."""
    system = element.get(extension, "valueCodeableConcept.coding[0].system")
    return extension.get("url") == ALTERNATE_CODES and system == codes.system
