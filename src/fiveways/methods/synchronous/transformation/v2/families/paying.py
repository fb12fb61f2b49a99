"""Who pays: insurances out of IN1, guarantors out of GT1, and the account that they are of."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import derive, given
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, picked, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.segments.contact import GT1
from fiveways.methods.synchronous.transformation.v2.segments.insurance import IN1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def read(reading: Reading, patient: Resource, subject: str, account: str) -> str:
    """Make the entries of those who pay; the reference to the account, which is made where there are guarantors and it is not named
    (PID-18)."""
    guarantors = _guarantors(reading, patient, subject)
    insurances = _insurances(reading, patient, subject)
    if guarantors and not account:
        made: Resource = {"resourceType": "Account", "subject": [refer(subject)]}
        derive(made, search(patient))
        account = enter(reading, made)
    charged = entered(reading, refer(account))
    if charged is None or not (guarantors or insurances):
        return account
    charged["status"] = "active"
    if insurances:
        charged["coverage"] = insurances
    if guarantors:
        charged["guarantor"] = guarantors
    _update(reading, account, charged)
    return account


def _update(reading: Reading, account: str, charged: Resource) -> None:
    """What is said of the account beyond its number is to be found there."""
    entry, asked = reading.entry_at(account), search(charged)
    if entry is not None and asked:
        entry["request"] = {"method": "PUT", "url": asked}


def _guarantors(reading: Reading, patient: Resource, subject: str) -> list[Resource]:
    found: list[Resource] = []
    for segment in reading.message.all("GT1"):
        said = reading.read(GT1, segment, {})
        if not said:
            continue
        period = said.pop("guarantees", None)
        if "communication" in said:
            said["communication"] = [said["communication"]]
        person: Resource = {"resourceType": "RelatedPerson", **said, "patient": refer(subject)}
        name = element.get(person, "name[0]") or {}
        derive(person, search(patient), "guarantor", str(name.get("family", "")), " ".join(name.get("given") or ()))
        guarantor = {"party": refer(enter(reading, person)), **({"period": period} if period else {})}
        if guarantor not in found:
            found.append(guarantor)
    return found


def _insurances(reading: Reading, patient: Resource, subject: str) -> list[Resource]:
    """The insurances. A plan is that of many people, so that its identifier does not find anybody's insurance: one that follows
    from whose it is stands before it."""
    found: list[Resource] = []
    seen: dict[str, int] = {}
    for segment in reading.message.all("IN1"):
        said = reading.read(IN1, segment, {})
        if not said:
            continue
        numbers = [str(each["value"]) for each in said.get("identifier", ()) if each.get("value")]
        made: Resource = {"resourceType": "Coverage", "status": "active"}
        derive(made, search(patient), *numbers, str(said.get("subscriberId", "")), seen=seen)
        asked = search(made)
        if identifiers := [*made.get("identifier", ()), *said.pop("identifier", ())]:
            made["identifier"] = identifiers
        made |= {"beneficiary": refer(subject), **_parties(made, said, subject)}
        reference = reading.add(made, asked=asked)
        priority = {"priority": made["order"]} if "order" in made else {}
        found.append({"coverage": refer(reference), **priority})
    return found


def _parties(made: Resource, said: Resource, subject: str) -> Resource:
    """The company, the employer and the insured person of an insurance, as it refers to them."""
    more: Resource = {name: value for name, value in said.items() if name not in ("payor", "policyHolder", "subscriber")}
    for name in ("payor", "policyHolder"):
        if organization := said.get(name):
            more[name] = contain(made, organization, "Organization")
    more["payor"] = [more.get("payor", unknown())]
    if person := said.get("subscriber"):
        relationship = {"relationship": [said["relationship"]]} if "relationship" in said else {}
        more["subscriber"] = contain(made, {**person, "patient": refer(subject), **relationship}, "RelatedPerson")
    elif element.get(said, "relationship.coding[0].code") == "SEL":
        more["subscriber"] = refer(subject)
    for group in more.get("class", ()):
        if "value" not in group:
            group["_value"] = unknown()
    return more


def write(writing: Writing, patient: Resource) -> None:
    """Add the GT1 and IN1 segments of a patient."""
    accounts = [each for each in writing.all("Account") if any(writing.resolve(of) is patient for of in each.get("subject") or ())]
    number = 0
    for guarantor in (each for account in accounts for each in account.get("guarantor") or ()):
        person: Any = writing.resolve(guarantor.get("party"))
        if person is None or person.get("resourceType") != "RelatedPerson":
            continue
        number += 1
        said = {**person, "identifier": given(person), "guarantees": guarantor.get("period") or {}}
        said["communication"] = element.get(person, "communication[0]") or {}
        writing.write(GT1, said, number)
    insurances = [each for each in writing.all("Coverage") if writing.resolve(each.get("beneficiary")) is patient]
    for number, insurance in enumerate(insurances, start=1):
        _write_insurance(writing, insurance, number)


def _write_insurance(writing: Writing, insurance: Resource, number: int) -> None:
    said = {**insurance, "identifier": given(insurance)}
    for name in ("payor", "policyHolder"):
        reference = element.get(insurance, "payor[0]") if name == "payor" else insurance.get(name)
        said[name] = inline(insurance, reference, writing.resolve, "Organization") or {}
    person = inline(insurance, insurance.get("subscriber"), writing.resolve, "RelatedPerson") or {}
    said["subscriber"] = picked(person, "name", "birthDate", "address", "gender", "_gender")
    writing.write(IN1, said, number)
