"""Bundles of results, orders, appointments and documents are valid FHIR R4, and UK Core where there is a profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.methods.synchronous.transformation.clinical import FIXTURES, LONDON, OTHERS, message, said
from tests.unit.methods.synchronous.transformation.test_round_trip_clinical import NEEDS, built, rows, sample
from tests.unit.methods.synchronous.transformation.validators import HERE, profile_problems, structure_problems

from fiveways.methods.synchronous.transformation.v2.messages import to_fhir
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow, SegmentTable

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"
BARE = {
    "ORU^R01": (PID, "OBR|1", "OBX|1|NM|||5", "OBX|2|ED|||^AP^PDF^Base64^%"),
    "ORM^O01": ("ORC|NW",),
    "OML^O21": (PID, "ORC|ZZ", f"OBR|1{'|' * 45}D1"),
    "SIU^S12": ("SCH|A1", "TQ1|1||||||20261110093000", "AIG|1"),
    "MDM^T02": (PID, "TXA|1"),
}
"""Messages that say next to nothing of what FHIR must have."""


@pytest.mark.parametrize("file", [*FIXTURES, *OTHERS], ids=lambda file: file.name)
def test_the_structure_of_a_bundle(file: Path) -> None:
    assert structure_problems(to_fhir(message(file), LONDON).bundle) == []


@pytest.mark.skipif(not HERE, reason="the packages are not on this machine")
@pytest.mark.parametrize("file", [*FIXTURES, *OTHERS], ids=lambda file: file.name)
def test_the_entries_and_their_profiles(file: Path) -> None:
    bundle = to_fhir(message(file), LONDON).bundle
    kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    declared = {entry["resource"]["resourceType"] for entry in bundle["entry"] if "profile" in entry["resource"].get("meta", {})}
    assert {"Patient", "Encounter", "Observation"} & kinds <= declared
    assert profile_problems(bundle) == []


@pytest.mark.parametrize("kind", BARE)
def test_what_nobody_said_leaves_a_bundle_valid(kind: str) -> None:
    bundle = said(*BARE[kind], kind=kind).bundle
    assert structure_problems(bundle) == []
    if HERE:
        assert profile_problems(bundle) == []


@pytest.mark.skipif(not HERE, reason="the packages are not on this machine")
@pytest.mark.parametrize(("kind", "table", "row"), [each for each in rows() if each.values[0][:3] in ("ORU", "OML", "MDM")])
def test_each_field_leaves_what_it_is_said_in_valid(kind: str, table: SegmentTable, row: FieldRow) -> None:
    said = {**NEEDS.get((table.name, row.number), {}), row.number: sample(table, row)}
    assert profile_problems(to_fhir(built(kind, table.name, said), LONDON).bundle) == []


def test_what_is_not_valid_is_found() -> None:
    bundle = said(PID, "OBR|1", kind="ORU^R01").bundle
    bundle["entry"][-1]["resource"]["status"] = "no such status"
    assert structure_problems(
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": "Patient", "x": 1}}]}
    )
    if HERE:
        assert profile_problems(bundle)
