"""Concepts of HL7's own tables: fields that are codes of one of them, so that a sender need not say which.

FHIR publishes these tables as code systems, each code with the one text that it has there. What a sender calls a code is therefore
the text of the concept, and not the display of its code.
"""

from __future__ import annotations

from collections.abc import Mapping

from fiveways.methods.synchronous.transformation.v2.codes.general import SYSTEM
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Own, Resource, Table

INTERPRETATIONS = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_COMPONENTS = tuple(range(1, 14))


def of_table(number: str, codes: str, system: str = "") -> Table:
    """The data type CWE for codes of one of HL7's tables. A code without a system, or of the table, that is one of `codes` is of
    `system`, which is the table's own unless FHIR has another; it is written as one of the table. Other codes are what they say."""
    table = f"{SYSTEM}{number}"
    systems = dict.fromkeys(codes.split(), system or table)

    def read(part: Part, into: Resource, context: Context) -> None:
        into.update(CWE.read(part, context))
        for coding in into.get("coding") or ():
            if coding.get("system", table) == table and coding["code"] in systems:
                coding["system"] = systems[coding["code"]]
                if "display" in coding and into.setdefault("text", coding["display"]) == coding["display"]:
                    del coding["display"]

    def write(resource: Resource, part: Part, context: Context) -> None:
        CWE.write(_local(resource, table, systems), part, context)

    return Table("CWE", "CodeableConcept", (Own(_COMPONENTS, f"A concept of HL7's table {number}.", read, write),))


def _local(concept: Resource, table: str, systems: Mapping[str, str]) -> Resource:
    """A concept as its table has it: a code alone needs no system, and the text of the only code stands beside it."""
    codings = [_known(coding, table, systems) for coding in concept.get("coding") or ()]
    local = {**concept, "coding": codings}
    if len(codings) != 1 or codings[0].get("system") != table:
        return local
    if "text" in local:
        codings[0].setdefault("display", local["text"])
        if codings[0]["display"] == local["text"]:
            del local["text"]
    elif codings[0].keys() == {"system", "code"}:
        del codings[0]["system"]
    return local


def _known(coding: Resource, table: str, systems: Mapping[str, str]) -> Resource:
    known = "system" in coding and coding["system"] == systems.get(str(coding.get("code")))
    return {**coding, **({"system": table} if known else {})}


INTERPRETATION = of_table(
    "0078",
    "< > A AA AC B CAR D DET E EX EXP H HH HM HU HX I IE IND L LL LU LX MS N NCL ND NEG NR NS OBX POS QCF R RR S SDD SYN-R SYN-S"
    " TOX U UNE VS W WR",
    INTERPRETATIONS,
)
"""How a value is judged; FHIR has these codes in a system of its own."""
SECTION = of_table(
    "0074",
    "AU BG BLB CG CH CP CT CTH CUS EC EN GE HM ICU IMG IMM LAB MB MCB MYC NMR NMS NRS OSL OT OTH OUS PAR PAT PF PHR PHY PT RAD RC"
    " RT RUS RX SP SR TX URN VR VUS XRC",
)
"""Which department it is done by."""
ORDER_TYPE = of_table("0482", "I O")
APPOINTMENT_REASON = of_table("0276", "CHECKUP EMERGENCY FOLLOWUP ROUTINE WALKIN")
APPOINTMENT_TYPE = of_table("0277", "Complete Normal Tentative")
DOCUMENT_TYPE = of_table("0270", "AR CD CN DI DS ED HP OP PC PH PN PR SP TS")
CONFIDENTIALITY = of_table("0272", "1 2 3 R RE U UC V VR")
CONDITION = of_table("0493", "AUT CFU CLOT CON COOL FROZ HEM LIVE ROOM SNR")
"""The state of a specimen."""
