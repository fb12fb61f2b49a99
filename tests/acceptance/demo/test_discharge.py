"""The demo's discharge summary is a FHIR message, and its answer names it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fiveways.client.reference import reference_of
from fiveways.demo import discharge
from fiveways.demo.patients import patients

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SUMMARY = discharge.summary(patients()["9990000018"], AT)
ANSWER = discharge.answer(SUMMARY, AT)


def references(value: Any) -> Iterator[str]:
    """Every reference in a resource, however deep."""
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.mark.parametrize("message", [SUMMARY, ANSWER])
def test_a_message_begins_with_its_header_and_refers_to_nothing_outside_it(message: bytes) -> None:
    bundle = msgspec.json.decode(message)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "message")
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]].index("MessageHeader") == 0
    within = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(within) == len(bundle["entry"])
    assert set(references(bundle)) <= within


def test_the_patient_is_the_demos_as_it_is() -> None:
    resources = [entry["resource"] for entry in msgspec.json.decode(SUMMARY)["entry"]]
    assert [each for each in resources if each["resourceType"] == "Patient"] == [patients()["9990000018"]]


def test_the_answer_names_the_summary() -> None:
    asked, answered = reference_of(io.BytesIO(SUMMARY)), reference_of(io.BytesIO(ANSWER))
    assert asked is not None
    assert answered is not None
    assert answered.answers in asked.ids
    assert answered.code == "ok"
    assert asked.answers == ""
