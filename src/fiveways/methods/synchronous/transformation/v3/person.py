"""A person as the Personal Demographics Service of the NHS says it in HL7 V3, and a UK Core Patient: one table, read both ways.

The shape is that of its public examples (PDSResponse, PdsTraceMatch). What is a guess: the code 9 of sex as `other`, the codes of
uses that are the NHS's own, and P1 as the code of a nominated pharmacy. Where a person is said in HL7's own places (an `addr` of
the role, a `name` of the person), that is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from fiveways.hl7v2 import times
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v3.datatypes import CV, II, NHS_NUMBER, DataTypes, path, tag
from fiveways.methods.synchronous.transformation.xml.document import Element, make
from fiveways.methods.synchronous.transformation.xml.kinds import Coded, Number, Resource, beside
from fiveways.methods.synchronous.transformation.xml.paths import Path
from fiveways.methods.synchronous.transformation.xml.tables import Constant, Ignored, Part, Row, Table, Value

PROFILE: Final = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"
BIRTH_TIME: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
NOMINATED_PHARMACY: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NominatedPharmacy"
DEATH_NOTIFICATION: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-DeathNotificationStatus"
DEATH_STATUS: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-DeathNotificationStatus"
SEX: Final = Coded({"1": "male", "2": "female", "9": "other", "0": "unknown"}, "urn:oid:2.16.840.1.113883.2.1.3.2.4.16.25")
CARE_PROVISION: Final = "2.16.840.1.113883.2.1.3.2.4.17.37"
_CLASSES: Final = {
    "patientRole": {"classCode": "PAT"},
    "patientPerson": {"classCode": "PSN", "determinerCode": "INSTANCE"},
    "partPerson": {"classCode": "PSN", "determinerCode": "INSTANCE"},
    "COCT_MT000201UK02.PartOfWhole": {"classCode": "PART"},
    "COCT_MT000202UK02.PartOfWhole": {"classCode": "PART"},
    "COCT_MT000203UK02.PartOfWhole": {"classCode": "PART"},
    "playedOtherProviderPatient": {"classCode": "PAT"},
    "subjectOf": {"typeCode": "SBJ"},
    "subjectOf3": {"typeCode": "SBJ"},
    "subjectOf4": {"typeCode": "SBJ"},
    "patientCareProvisionEvent": {"classCode": "PCPR", "moodCode": "EVN"},
    "performer": {"typeCode": "PRF"},
    "assignedEntity": {"classCode": "ASSIGNED"},
    "deathNotification": {"classCode": "OBS", "moodCode": "EVN"},
    "alternativeIdentifier": {"classCode": "OBS", "moodCode": "EVN"},
}
"""What HL7's model says of each element, and the XML repeats."""
_STRUCTURE: Final = "the model says so"


@dataclass(frozen=True, slots=True)
class BirthTime:
    """The day of birth; its time, where one is said, is FHIR's extension."""

    zone: tzinfo

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put the day, and the time."""
        moment = times.parse(text, self.zone)
        element.put(into, path, moment.date)
        if moment.fhir != moment.date:
            element.put(into, f"{beside(path)}.extension[0]", {"url": BIRTH_TIME, "valueDateTime": moment.fhir})

    def write(self, resource: Resource, path: str) -> str:
        """The time, or the day."""
        for extension in element.get(resource, f"{beside(path)}.extension") or ():
            if extension.get("url") == BIRTH_TIME and isinstance(extension.get("valueDateTime"), str):
                return times.written(extension["valueDateTime"], self.zone)
        value = element.get(resource, path)
        return times.written(value, self.zone) if isinstance(value, str) else ""


class People:
    """Persons, in a zone where a time says none."""

    def __init__(self, zone: tzinfo) -> None:
        self._types = DataTypes(zone)
        self._zone = zone
        self._role = Table("patientRole", tuple(self._rows()), {"resourceType": "Patient", "meta.profile[0]": PROFILE})
        self._response = Table(
            "PDSResponse",
            (
                Value(path("v:pertinentInformation/v:pertinentSerialChangeNumber/v:value/@value"), "meta.versionId"),
                Ignored(path("v:pertinentInformation/v:pertinentSerialChangeNumber/v:code"), "it says what the value is"),
                Part(path("v:subject/v:patientRole"), "", self._role),
                *_structure(),
            ),
        )

    def read(self, node: Element, coverage: Coverage) -> Resource:
        """The Patient that is said in a PDSResponse, or in a patientRole; {} where none is."""
        table = self._response if node.tag == tag("PDSResponse") else self._role
        made = table.resource(node, coverage)
        for identifier in made.get("identifier") or ():
            if identifier.get("system") == NHS_NUMBER:
                made["id"] = identifier["value"]
                break
        return made if made.get("resourceType") == "Patient" else {}

    def write(self, patient: Resource, coverage: Coverage, *, role: bool = False) -> Element:
        """A PDSResponse that says a Patient; `role`: a patientRole."""
        said = {name: value for name, value in patient.items() if name not in ("resourceType", "id", "text")}
        if isinstance(said.get("meta"), dict):
            said["meta"] = {name: value for name, value in said["meta"].items() if name not in ("profile", "lastUpdated")}
        node = make(tag("patientRole" if role else "PDSResponse"), {None: tag("")[1:-1]})
        if not role:
            node.set("classCode", "OBS")
            node.set("moodCode", "EVN")
        (self._role if role else self._response).element(said, node, coverage)
        for each in node.iter():
            for name, value in _CLASSES.get(str(each.tag).rpartition("}")[2], {}).items():
                each.set(name, value)
        for subject in node.iterchildren(tag("subject")):
            subject.set("typeCode", "SBJ")
        return node

    def _rows(self) -> Iterator[Row]:
        types = self._types
        yield Part(path("v:confidentialityCode"), "meta.security", CV, each=True)
        yield Part(path("v:id"), "identifier", II, {"system": NHS_NUMBER}, each=True)
        yield Part(path("v:patientPerson"), "", Table("patientPerson", tuple(self._person())))
        yield Part(path("v:addr"), "address", types.ad, each=True, only_read=True)
        yield Part(path("v:telecom"), "telecom", types.tel, each=True, only_read=True)
        status = {"extension[0].url": "deathNotificationStatus", _STATUS_SYSTEM: DEATH_STATUS}
        death = Table("deathNotification", (Value(path("v:value/@code"), _STATUS, fixed=status),))
        yield Part(path("v:subjectOf3/v:deathNotification"), "extension", death, {"url": DEATH_NOTIFICATION}, each=True)
        other = Table("alternativeIdentifier", (Part(path("v:alternativeIdentifier/v:value"), "", II),))
        yield Part(path("v:subjectOf4"), "identifier", other, each=True)
        yield from _structure()

    def _person(self) -> Iterator[Row]:
        types = self._types
        yield Value(path("v:administrativeGenderCode/@code"), "gender", SEX)
        yield Value(path("v:birthTime/@value"), "birthDate", BirthTime(self._zone))
        yield Value(path("v:deceasedTime/@value"), "deceasedDateTime", types.ts)
        yield Value(path("v:multipleBirthOrderNumber/@value"), "multipleBirthInteger", Number())
        for provision in ("patientCareProvisionEvent", "patientCareProvision"):
            other = provision != "patientCareProvisionEvent"
            provider = Table("provider", tuple(self._provider(provision)))
            of = f"v:playedOtherProviderPatient[v:subjectOf/v:{provision}/v:code/@code="
            yield Part(path(f"{of}'1']"), "generalPractitioner", provider, {"type": "Organization"}, each=True, only_read=other)
            pharmacy = Table("pharmacy", (Part(path("."), "valueReference", provider, {"type": "Organization"}),))
            yield Part(path(f"{of}'P1']"), "extension", pharmacy, {"url": NOMINATED_PHARMACY}, each=True, only_read=other)
        for within, name, table in (
            ("v:COCT_MT000201UK02.PartOfWhole", "addr", types.ad),
            ("v:COCT_MT000202UK02.PartOfWhole", "telecom", types.tel),
            ("v:COCT_MT000203UK02.PartOfWhole", "partPerson/v:name", types.pn),
        ):
            whole = {"addr": "address", "telecom": "telecom"}.get(name, "name")
            yield Part(path(within), whole, Table(whole, (Part(path(f"v:{name}"), "", table),)), each=True)
            yield Part(path(f"v:{name.rpartition(':')[2]}"), whole, table, each=True, only_read=True)

    def _provider(self, provision: str) -> Iterator[Row]:
        of = f"v:subjectOf/v:{provision}"
        yield Constant(path(f"{of}/v:code/@codeSystem"), CARE_PROVISION)
        yield Value(path(f"{of}/v:effectiveTime/v:low/@value"), "identifier.period.start", self._types.ts)
        yield Value(path(f"{of}/v:effectiveTime/v:high/@value"), "identifier.period.end", self._types.ts)
        yield Part(
            path(f"{of}/v:id[@root='2.16.840.1.113883.2.1.3.2.4.18.1']"), "", Table("id", (Value(path("@extension"), "id"),))
        )
        yield Part(path(f"{of}/v:performer/v:assignedEntity/v:id"), "identifier", II)


_STATUS: Final = "extension[0].valueCodeableConcept.coding[0].code"
_STATUS_SYSTEM: Final = "extension[0].valueCodeableConcept.coding[0].system"


def _structure() -> Iterator[Row]:
    of: Path = path(
        "descendant-or-self::*/@*[name()='classCode' or name()='moodCode' or name()='determinerCode' or name()='typeCode']"
    )
    yield Ignored(of, _STRUCTURE, told=False)
