"""What a FHIR server's Patients say of a practice, and what is made of an answer that is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fiveways.clock import ManualClock
from fiveways.correlation import Correlation
from fiveways.methods.messaging.routing.demographics import read
from fiveways.methods.messaging.routing.patients import NHS_NUMBER, ODS_CODE, Found, PatientDirectory
from fiveways.methods.messaging.routing.resolver import Failure, Practice, Unresolved

pytestmark = pytest.mark.anyio

NUMBER = "9990000018"
CLOCK = ManualClock(datetime(2026, 6, 15, tzinfo=UTC))


def patient(number: str = NUMBER, *, names: Any = None, born: str = "1985-03-20", practices: Any = ("A81001",)) -> dict[str, Any]:
    registered = [each if isinstance(each, dict) else {"value": each} for each in practices]
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:local", "value": "7"}, {"system": NHS_NUMBER, "value": number}],
        "name": names if names is not None else [{"use": "official", "family": "Smith", "given": ["Ann"]}],
        "birthDate": born,
        "generalPractitioner": [{"type": "Organization", "identifier": {"system": ODS_CODE, **each}} for each in registered],
    }


def bundle(*resources: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]}).encode()


async def resolved(content: bytes, status: int = 200, retry_after: str = "") -> Practice | Failure:
    asked: list[str] = []

    async def search(query: str, correlation: Correlation) -> Found:
        asked.append(query)
        return Found(status, content, retry_after)

    who = read(f"GPPROVIDER_{NUMBER}_19850320_Smith")
    assert who is not None
    try:
        return await PatientDirectory(search, CLOCK)(who, Correlation())
    finally:
        assert [parse_qs(query) for query in asked] == [{"identifier": [f"{NHS_NUMBER}|{NUMBER}"]}]


ENDED, GOING_ON = {"period": {"end": "2026-06-14"}}, {"period": {"start": "2020", "end": "2026"}}


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        ([patient()], Practice("A81001")),
        ([{"resourceType": "OperationOutcome", "issue": []}, patient()], Practice("A81001")),
        ([], Failure.NOT_FOUND),
        ([patient("9990000026")], Failure.NOT_FOUND),
        ([patient(born="1985")], Failure.MISMATCH),
        ([patient(born="1985-03-21")], Failure.MISMATCH),
        ([patient(names=[{"use": "old", "family": "Smith"}, {"family": "Jones"}])], Failure.MISMATCH),
        ([patient(names=[{"use": "official", "family": "Smith", **ENDED}])], Failure.MISMATCH),
        (
            [patient(names=[{"use": "official", "family": "Jones"}, {"use": "usual", "family": "SMITH", **GOING_ON}])],
            Practice("A81001"),
        ),
        ([patient(practices=[])], Practice("")),
        ([patient(practices=[{"value": "A81001", "system": "urn:other"}])], Practice("")),
        ([patient(practices=[{"value": "A81001", **ENDED}, {"value": "B81002", **GOING_ON}])], Practice("B81002")),
        ([patient(practices=["A81001", "A81001"])], Practice("A81001")),
        ([patient(practices=["A81001", "B81002"])], Failure.SEVERAL_MAILBOXES),
        ([patient(), patient(born="1990-01-01", practices=["B81002"])], Practice("A81001")),
        ([patient(), patient(practices=["B81002"])], Failure.SEVERAL_MAILBOXES),
    ],
)
async def test_the_practice_is_that_of_the_patient_who_is_meant(found: Any, answer: Practice | Failure) -> None:
    assert await resolved(bundle(*found)) == answer


@pytest.mark.parametrize("status", [202, 400, 401, 403, 404, 429, 500, 503])
async def test_an_answer_other_than_a_search_is_no_reason_to_say_that_there_is_nobody(status: int) -> None:
    with capture_logs() as logs, pytest.raises(Unresolved) as refused:
        await resolved(bundle(), status, "30")
    assert refused.value.headers["Retry-After"] == "30"
    assert [(each["status"]) for each in logs] == [status]


@pytest.mark.parametrize(
    ("said", "told"), [("", "10"), ("0", "10"), ("-1", "10"), ("soon", "10"), ("3600", "3600"), ("99999999999", "10"), ("²", "10")]
)
async def test_what_it_says_of_when_to_come_again_is_told_where_it_is_sensible(said: str, told: str) -> None:
    with pytest.raises(Unresolved) as refused:
        await resolved(b"", 503, said)
    assert refused.value.headers["Retry-After"] == told


@pytest.mark.parametrize(
    "content",
    [b"", b"<Bundle/>", b"[]", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","type":"history"}', bundle(7),
     bundle({**patient(), "name": "Smith"}),
     bundle({**patient(), "birthDate": 1985}), b'{"resourceType":"Bundle","type":"searchset","entry":' + b"[" * 5000],
)  # fmt: skip
async def test_an_answer_that_is_no_bundle_of_patients_says_nothing(content: bytes) -> None:
    with capture_logs() as logs, pytest.raises(Unresolved) as refused:
        await resolved(content)
    assert refused.value.__context__ is None
    assert "Smith" not in f"{logs}"
    assert len(logs) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=4) | st.just(NUMBER),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resourceType",
                        "identifier",
                        "system",
                        "value",
                        "name",
                        "family",
                        "birthDate",
                        "generalPractitioner",
                        "period",
                        "end",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
    )
)
async def test_any_resource_is_a_patient_or_none(resource: Any) -> None:
    try:
        assert (
            await resolved(bundle({"resourceType": "Patient", **resource} if isinstance(resource, dict) else resource)) is not None
        )
    except Unresolved:
        pass
