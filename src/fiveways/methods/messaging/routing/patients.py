"""A search for the Patient (FHIR R4), as a resolver: `GET [base]/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|…`.

The search itself is given: the platform makes it through the gateway. Here it is said what to ask, and what the answer says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from urllib.parse import urlencode

import msgspec
import structlog

from fiveways.clock import Clock
from fiveways.correlation import Correlation
from fiveways.methods.messaging.routing.demographics import Demographics
from fiveways.methods.messaging.routing.resolver import Failure, Practice, Unresolved

log = structlog.get_logger("fiveways.routing")

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
ODS_CODE = "https://fhir.nhs.uk/Id/ods-organization-code"
_NAMES = ("", "official", "usual")
"""Uses of a name that people go by (FHIR R4, HumanName): none that is old, or a nickname."""


class Found(msgspec.Struct):
    """An answer: its status, its content, and what it says in Retry-After ('' where nothing)."""

    status: int
    content: bytes
    retry_after: str = ""


Search = Callable[[str, Correlation], Awaitable[Found]]
"""Makes a search for Patients, given its query (form-encoded), within the conversation of the message."""


class _Period(msgspec.Struct):
    end: str = ""


class _Identifier(msgspec.Struct):
    system: str = ""
    value: str = ""
    period: _Period = msgspec.field(default_factory=_Period)


class _Name(msgspec.Struct):
    family: str = ""
    use: str = ""
    period: _Period = msgspec.field(default_factory=_Period)


class _Reference(msgspec.Struct):
    identifier: _Identifier = msgspec.field(default_factory=_Identifier)


class _Patient(msgspec.Struct):
    identifier: tuple[_Identifier, ...] = ()
    name: tuple[_Name, ...] = ()
    birthDate: str = ""  # noqa: N815
    generalPractitioner: tuple[_Reference, ...] = ()  # noqa: N815


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"{}")


class _Kind(msgspec.Struct):
    resourceType: str = ""  # noqa: N815


class _Bundle(msgspec.Struct, tag_field="resourceType", tag="Bundle"):
    type: str = ""
    entry: tuple[_Entry, ...] = ()


class PatientDirectory:
    """Finds practices in a FHIR server's Patients."""

    def __init__(self, search: Search, clock: Clock) -> None:
        self._search = search
        self._clock = clock

    async def __call__(self, patient: Demographics, correlation: Correlation) -> Practice | Failure:
        """The practice of a patient. Raises Unresolved where the server does not answer a search as it should."""
        found = await self._search(urlencode({"identifier": f"{NHS_NUMBER}|{patient.nhs_number}"}), correlation)
        if found.status != 200:
            log.warning("the search for a patient failed", status=found.status)
            raise Unresolved(int(found.retry_after)) if _seconds(found.retry_after) else Unresolved()
        try:
            known = [each for each in _patients(found.content) if _has(each.identifier, patient.nhs_number)]
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("the search for a patient was not answered with a Bundle", reason=type(error).__name__)
            known = None
        if known is None:
            raise Unresolved
        if not known:
            return Failure.NOT_FOUND
        today = self._clock.now().date()
        same = [each for each in known if patient.fit(_day(each.birthDate), _families(each, today))]
        if not same:
            return Failure.MISMATCH
        codes = {code for each in same for code in _practices(each, today)}
        return Failure.SEVERAL_MAILBOXES if len(codes) > 1 else Practice(codes.pop() if codes else "")


def _patients(content: bytes) -> list[_Patient]:
    bundle = msgspec.json.decode(content, type=_Bundle)
    if bundle.type != "searchset":
        raise msgspec.DecodeError("not a searchset")
    kinds = [(msgspec.json.decode(entry.resource, type=_Kind).resourceType, entry.resource) for entry in bundle.entry]
    return [msgspec.json.decode(resource, type=_Patient) for kind, resource in kinds if kind == "Patient"]


def _has(identifiers: tuple[_Identifier, ...], nhs_number: str) -> bool:
    return any(each.system == NHS_NUMBER and each.value == nhs_number for each in identifiers)


def _families(patient: _Patient, today: date) -> list[str]:
    return [each.family for each in patient.name if each.use in _NAMES and _current(each.period, today)]


def _practices(patient: _Patient, today: date) -> list[str]:
    """ODS codes of the practices that the patient is registered with today."""
    references = (each.identifier for each in patient.generalPractitioner)
    return [each.value for each in references if each.system == ODS_CODE and each.value and _current(each.period, today)]


def _current(period: _Period, today: date) -> bool:
    """Whether a period goes on; its end is included (FHIR R4, Period), and may be as coarse as a year."""
    return not period.end or period.end[:10] >= today.isoformat()[: len(period.end)]


def _day(written: str) -> date | None:
    """A birth date; None for one that is not known to the day."""
    try:
        return date.fromisoformat(written) if len(written) == 10 else None
    except ValueError:
        return None


def _seconds(retry_after: str) -> bool:
    return retry_after.isascii() and retry_after.isdigit() and 0 < int(retry_after[:6]) <= 3600
