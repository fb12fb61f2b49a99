"""A discharge summary as a FHIR R4 message, and the answer to one (FHIR R4 §2.4): MessageHeader first, and then what it is about.

Everything in it is made up: the patient is one of the demo's synthetic ones, the hospital and the practice are the demo's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any
from uuid import UUID, uuid4

import msgspec

from fiveways.demo.patients import NHS_NUMBER

CONTENT_TYPE = "application/fhir+json"
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_SNOMED = "http://snomed.info/sct"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_EVENTS = "https://northshire.example/events"
"""The demo's own message events: those of a programme are in its message definitions."""

Resource = dict[str, Any]


def summary(patient: Mapping[str, Any], at: datetime) -> bytes:
    """What a hospital (RXN) tells a practice (A81001) of a stay that has ended at `at`."""
    hospital, practice = _organisation("RXN", "Northshire Hospitals"), _organisation("A81001", "The Surgery")
    subject = {"reference": _urn(uuid4()), "identifier": {"system": NHS_NUMBER, "value": patient["id"]}}
    period = {"start": _instant(at - timedelta(days=3)), "end": _instant(at)}
    ended = {"status": "finished", "class": _coding(_ACT, "IMP", "inpatient encounter")}
    encounter = {"resourceType": "Encounter", "id": str(uuid4()), **ended, "subject": subject, "period": period}
    diagnosis = {
        "resourceType": "Condition",
        "id": str(uuid4()),
        "code": _concept("233604007", "Pneumonia"),
        "subject": subject,
        "encounter": _to(encounter),
    }
    document = {
        "resourceType": "Composition",
        "id": str(uuid4()),
        "status": "final",
        "type": _concept("373942005", "Discharge summary"),
        "subject": subject,
        "encounter": _to(encounter),
        "date": _instant(at),
        "author": [_to(hospital)],
        "title": "Discharge summary",
        "section": [
            _section("Diagnoses", "Pneumonia", entry=[_to(diagnosis)]),
            _section("Plan and requested actions", "Chest X-ray in six weeks, please; the antibiotics end on Friday."),
        ],
    }
    header = _header("discharge-summary", "RXN-OUT", "A81001-IN", sender=_to(hospital), receiver=practice, focus=[_to(document)])
    entries = [_entry(each) for each in (header, document, encounter, diagnosis, hospital, practice)]
    entries.append({"fullUrl": subject["reference"], "resource": dict(patient)})
    return _message(entries, at)


def answer(request: bytes, at: datetime) -> bytes:
    """What a practice answers to a summary: that it has filed it. It names the summary by the id of its header."""
    asked = msgspec.json.decode(request)["entry"][0]["resource"]["id"]
    practice, hospital = _organisation("A81001", "The Surgery"), _organisation("RXN", "Northshire Hospitals")
    response = {"identifier": asked, "code": "ok"}
    header = _header("discharge-summary-filed", "A81001-IN", "RXN-OUT", sender=_to(practice), receiver=hospital, response=response)
    return _message([_entry(each) for each in (header, practice, hospital)], at)


def _message(entries: list[Resource], at: datetime) -> bytes:
    identifier = {"system": "urn:ietf:rfc:3986", "value": _urn(uuid4())}
    bundle = {"resourceType": "Bundle", "id": str(uuid4()), "identifier": identifier, "type": "message", "timestamp": _instant(at)}
    return msgspec.json.encode({**bundle, "entry": entries})


def _header(event: str, source: str, destination: str, *, receiver: Resource, **said: Any) -> Resource:
    return {
        "resourceType": "MessageHeader",
        "id": str(uuid4()),
        "eventUri": f"{_EVENTS}/{event}",
        "destination": [{"endpoint": f"urn:northshire:mailbox:{destination}", "receiver": _to(receiver)}],
        "source": {"endpoint": f"urn:northshire:mailbox:{source}"},
        **said,
    }


def _organisation(code: str, name: str) -> Resource:
    return {"resourceType": "Organization", "id": str(uuid4()), "identifier": [{"system": _ODS, "value": code}], "name": name}


def _section(title: str, text: str, **said: Any) -> Resource:
    narrative = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(text)}</p></div>'}
    return {"title": title, "text": narrative, **said}


def _concept(code: str, display: str) -> Resource:
    return {"coding": [_coding(_SNOMED, code, display)]}


def _coding(system: str, code: str, display: str) -> Resource:
    return {"system": system, "code": code, "display": display}


def _entry(resource: Resource) -> Resource:
    return {"fullUrl": _urn(resource["id"]), "resource": resource}


def _to(resource: Resource) -> Resource:
    return {"reference": _urn(resource["id"])}


def _urn(id_: UUID | str) -> str:
    return f"urn:uuid:{id_}"


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
