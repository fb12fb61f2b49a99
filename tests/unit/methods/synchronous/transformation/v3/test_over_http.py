"""A FHIR consumer reads and searches for people of an old service, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.acceptance.transformation import v3_service
from tests.acceptance.transformation.soap_service import served

from fiveways.clock import SystemClock
from fiveways.errors import InvalidValue, NotFound, ProviderFaulty
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v3.demographics import Demographics

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
TRANSFORMER = Demographics(Place("pds", {"sender_asid": "200", "receiver_asid": "928", "advanced": True}, SystemClock()))
SERVICE = v3_service.Demographics()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(SERVICE.answer) as url:
        yield url


def asked(url: str, path: str, **query: str) -> Any:
    request = Asked("GET", path, {name.replace("_", "-"): value for name, value in query.items()}, "", b"", {}, ID)
    said = TRANSFORMER.ask(request)
    assert isinstance(said, Asked)
    answer = httpx.post(url + said.path, content=said.content, headers={**said.headers, "content-type": said.content_type})
    answered = TRANSFORMER.answer(request, Answered(answer.status_code, answer.headers["content-type"], answer.content))
    assert request.coverage is not None
    assert (request.coverage.unmapped, request.coverage.wrong) == ([], [])
    return json.loads(answered.content)


def test_a_person_is_read(url: str) -> None:
    patient = asked(url, "/Patient/9000000009")
    assert patient == {
        "resourceType": "Patient",
        "id": "9000000009",
        "meta": {"versionId": "4", "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"]},
        "identifier": [{"system": NHS, "value": "9000000009"}],
        "gender": "female",
        "birthDate": "1980-01-02",
        "name": [{"use": "usual", "given": ["Aisha"], "family": "Khan"}],
        "address": [{"use": "home", "line": ["1 High St"], "postalCode": "TS17 6AA"}],
    }
    assert asked(url, "/Patient", identifier=f"{NHS}|9000000009")["entry"][0]["resource"] == patient
    assert SERVICE.asked[-1] == ("QUPA_IN000008UK02", "200")


def test_people_are_searched_for(url: str) -> None:
    found = asked(url, "/Patient", family="Khan", gender="female", birthdate="1980-01-02")
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["9000000009"]
    one = asked(url, "/Patient", family="Khan", gender="male", birthdate="1981-02-03", address_postalcode="TS1 1AA")
    assert [entry["resource"]["id"] for entry in one["entry"]] == ["9000000025"]
    assert asked(url, "/Patient", family="Nobody", gender="male", birthdate="1981-02-03")["total"] == 0
    several = asked(url, "/Patient", family="Khan", gender="male", birthdate="1981-02-03")
    assert several["total"] == 0
    assert several["entry"][0]["resource"]["issue"][0]["diagnostics"] == "2 Too many matches"


def test_what_has_gone_wrong_is_said(url: str) -> None:
    with pytest.raises(NotFound):
        asked(url, "/Patient/9000000033")
    with pytest.raises(ProviderFaulty, match="not implemented"):
        asked(url, "/Patient", family="Kh*", birthdate="1980")
    with pytest.raises(InvalidValue):
        asked(url, "/Patient/1")
