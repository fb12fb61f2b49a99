"""What PID says of others than the patient: their account, their mother, and who changed the record, each an entry of its own."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.transformation.v2.bundles.derived import derive, given
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import picked
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.families.provenance import attest, attested
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_NAMES = ("account", "mother", "updated")
_MOTHER = {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}
UPDATED = "performer"
"""What the facility is that changed a record last (PID-34)."""


def taken(patient: Resource) -> Resource:
    """What PID says of others, taken out of what it says of the patient."""
    said = picked(patient, *_NAMES)
    for name in said:
        del patient[name]
    return said


def place(reading: Reading, said: Resource, subject: str) -> str:
    """Make the entries of what PID says of others; the reference to the account, '' where there is none."""
    if mother := said.get("mother"):
        person: Resource = {"resourceType": "RelatedPerson", "identifier": mother, "patient": refer(subject)}
        person["relationship"] = [{"coding": [dict(_MOTHER)]}]
        derive(person, subject_of(reading, subject), _MOTHER["code"])
        enter(reading, person, named=True)
    if updated := said.get("updated"):
        at = updated.get("at", "")
        agents = {UPDATED: [updated.get("by", {})]}
        attest(reading, subject, agents, kind="Organization", activity="UPDATE", occurred=at, recorded=at)
    if account := said.get("account"):
        made: Resource = {"resourceType": "Account", "identifier": [account], "status": "unknown", "subject": [refer(subject)]}
        derive(made, subject_of(reading, subject), str(account.get("value")))
        return enter(reading, made, named=True)
    return ""


def subject_of(reading: Reading, subject: str) -> str:
    """The search that finds the patient of a reference; '' where none does."""
    return search(entered(reading, refer(subject)) or {})


def join(reading: Reading, visit: str, account: str) -> None:
    """Say of a visit that it is charged to an account, where there are both."""
    found = entered(reading, refer(visit))
    if found is not None and account:
        found.setdefault("account", []).append(refer(account))


def as_said(writing: Writing, patient: Resource) -> Resource:
    """A patient as PID has them, with what it says of others."""
    said: Resource = {}
    for person in writing.all("RelatedPerson"):
        if _is_mother(person) and _is_of(writing, person.get("patient"), patient):
            said.setdefault("mother", []).extend(given(person))
    for account in writing.all("Account"):
        if any(_is_of(writing, each, patient) for each in account.get("subject") or ()):
            said.setdefault("account", next(iter(given(account)), None))
    for facility, provenance in attested(writing, patient, UPDATED, "Organization"):
        said["updated"] = {"by": facility, "at": provenance.get("occurredDateTime")}
    return {**patient, **{name: value for name, value in said.items() if value}}


def _is_mother(person: Resource) -> bool:
    codings = (coding for each in person.get("relationship") or () for coding in each.get("coding") or ())
    return any(coding.get("system") == _MOTHER["system"] and coding.get("code") == _MOTHER["code"] for coding in codings)


def _is_of(writing: Writing, reference: Any, patient: Resource) -> bool:
    return writing.resolve(reference) is patient
