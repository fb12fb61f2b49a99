"""What FHIR says of a person in another way than HL7 v2 does: when they were born and died, and what they speak."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE
from fiveways.methods.synchronous.transformation.v2.datatypes.languages import BCP_47, tag
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import Seam
from fiveways.methods.synchronous.transformation.v2.tables.table import (
    ALTERNATE_CODES,
    DAY,
    Context,
    Own,
    Resource,
    Table,
    moment_of,
)

BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


class Birth:
    """A date of birth; the time of it, where it is said, is in an extension."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the date, and the time."""
        moment = moment_of(text, context)
        element.put(into, path, moment.date)
        if moment.precision not in ("year", "month", "day"):
            element.put(into, f"_{path}.extension", [{"url": BIRTH_TIME, "valueDateTime": moment.fhir}])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The time, or else the date."""
        for extension in element.get(resource, f"_{path}.extension") or ():
            if extension.get("url") == BIRTH_TIME:
                return DAY.write(extension, "valueDateTime", context)
        return DAY.write(resource, path, context)


BIRTH = Birth()


class Date:
    """A day. FHIR R4 has the time of a patient's birth alone: one that another was born at is not said, and midnight is none."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the date; ValueError where there is a time of the day."""
        moment = moment_of(text, context)
        if moment.precision not in ("year", "month", "day") and (moment.at.hour, moment.at.minute, moment.at.second) != (0, 0, 0):
            raise ValueError("expected a day, with no time of it")
        element.put(into, path, moment.date)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The date."""
        return DAY.write(resource, path, context)


DATE = Date()


def _put_plural(into: Resource, said: Resource) -> None:
    into["multipleBirthBoolean"] = said["value"]


def _plural(resource: Resource) -> Iterator[Resource]:
    if isinstance(resource.get("multipleBirthBoolean"), bool):
        yield {"value": resource["multipleBirthBoolean"]}
    elif resource.get("multipleBirthInteger"):
        yield {"value": True}


def _put_order(into: Resource, said: Resource) -> None:
    if into.pop("multipleBirthBoolean", True) is False:
        into["multipleBirthBoolean"] = False
        raise ValueError("PID-24 says that it was no multiple birth, and FHIR has one of both")
    into["multipleBirthInteger"] = said["value"]


def _order(resource: Resource) -> Iterator[Resource]:
    if resource.get("multipleBirthInteger"):
        yield {"value": resource["multipleBirthInteger"]}


def _put_died(into: Resource, said: Resource) -> None:
    if "deceasedDateTime" not in into:
        into["deceasedBoolean"] = said["value"]
    elif not said["value"]:
        raise ValueError("PID-29 says when the patient died")


def _died(resource: Resource) -> Iterator[Resource]:
    if "deceasedDateTime" in resource or isinstance(resource.get("deceasedBoolean"), bool):
        yield {"value": resource.get("deceasedBoolean", True)}


PLURAL, ORDER, DIED = Seam(_put_plural, _plural), Seam(_put_order, _order), Seam(_put_died, _died)
"""Whether it was a multiple birth, and which of them; whether somebody has died, where that is not said by when."""


def _read_language(part: Part, into: Resource, context: Context) -> None:
    said = CWE.read(part, context)
    codings = said.get("coding") or []
    known = next((found for coding in codings if (found := tag(coding["code"]))), "")
    if known and len(codings) == 1 and "system" not in codings[0] and codings[0]["code"] == known:
        codings[0] = {"system": BCP_47, **codings[0]}
    elif known:
        codings.insert(0, {"system": BCP_47, "code": known})
    elif codings:
        text = said.get("text") or codings[0].get("display") or codings[0]["code"]
        said = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": said}], "text": text}
    if said:
        into["language"] = said


def _write_language(resource: Resource, part: Part, context: Context) -> None:
    language = resource.get("language") or {}
    for extension in language.get("extension") or ():
        if extension.get("url") == ALTERNATE_CODES:
            language = extension.get("valueCodeableConcept") or language
    codings = list(language.get("coding") or ())
    if codings and codings[0].get("system") == BCP_47:
        first = codings.pop(0)
        codings = codings or [{name: value for name, value in first.items() if name != "system"}]
    CWE.write({**language, "coding": codings} if codings else language, part, context)


LANGUAGE = Table(
    "CWE",
    "Patient.communication",
    (
        Own(
            tuple(range(1, 14)),
            "A language by its tag, beside the codes that the sender has; one that is not known is kept beside its text.",
            _read_language,
            _write_language,
            "language.coding",
        ),
    ),
)
