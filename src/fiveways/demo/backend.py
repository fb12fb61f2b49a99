"""The back end of the demo: a small FHIR R4 server of synthetic patients, as a hospital's system would stand behind the gateway.

It reads, searches and creates Patients, says what it can do, and counts what really reached it (`created`), so that a story can
show that a repeat did not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fiveways.demo.patients import patients

FHIR = "application/fhir+json"


class Backend:
    """The patients, and the ASGI application that serves them under /FHIR/R4 (and greets under /hello)."""

    def __init__(self) -> None:
        self.patients = patients()
        self.created = 0
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and header fields of the latest requests, newest last."""
        self.app = Starlette(
            routes=[
                Route("/FHIR/R4/metadata", self._metadata),
                Route("/FHIR/R4/Patient", self._search, methods=["GET"]),
                Route("/FHIR/R4/Patient", self._create, methods=["POST"]),
                Route("/FHIR/R4/Patient/{id}", self._read),
                Route("/hello/{who}", self._hello),
            ]
        )

    def _note(self, request: Request) -> None:
        self.seen = [*self.seen[-19:], (request.method, request.url.path, dict(request.headers))]

    async def _metadata(self, request: Request) -> Response:
        self._note(request)
        interactions = [{"code": code} for code in ("read", "create", "search-type")]
        parameters = [
            {"name": "family", "type": "string"},
            {"name": "given", "type": "string"},
            {"name": "gender", "type": "token"},
            {"name": "birthdate", "type": "date"},
            {"name": "identifier", "type": "token"},
        ]
        resource = {"type": "Patient", "interaction": interactions, "searchParam": parameters}
        return _fhir(
            {
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": "2026-01-05",
                "kind": "instance",
                "implementation": {"description": "Northshire patient administration (demo)"},
                "fhirVersion": "4.0.1",
                "format": [FHIR],
                "rest": [{"mode": "server", "resource": [resource]}],
            }
        )

    async def _read(self, request: Request) -> Response:
        self._note(request)
        patient = self.patients.get(request.path_params["id"])
        return _fhir(patient, etag='W/"1"') if patient is not None else _outcome(404, "not-found", "There is no such patient")

    async def _search(self, request: Request) -> Response:
        self._note(request)
        wanted = request.query_params
        unknown = set(wanted) - {"family", "given", "gender", "birthdate", "identifier", "_count"}
        if unknown:
            return _outcome(400, "not-supported", f"No such search parameter: {', '.join(sorted(unknown))}")
        found = [patient for patient in self.patients.values() if _matches(patient, wanted)]
        if wanted.get("_count", "").isdigit():
            found = found[: int(wanted["_count"])]
        entries = [{"fullUrl": f"urn:uuid:{uuid4()}", "resource": patient, "search": {"mode": "match"}} for patient in found]
        return _fhir({"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries})

    async def _create(self, request: Request) -> Response:
        self._note(request)
        try:
            patient = msgspec.json.decode(await request.body())
        except msgspec.DecodeError:
            return _outcome(400, "structure", "The body is not JSON")
        if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
            return _outcome(400, "invalid", "The body is not a Patient")
        patient["id"] = str(uuid4())
        self.patients[patient["id"]] = patient
        self.created += 1
        return _fhir(patient, status=201, location=f"Patient/{patient['id']}/_history/1", etag='W/"1"')

    async def _hello(self, request: Request) -> Response:
        self._note(request)
        greeting = {"message": f"Hello {request.path_params['who'].capitalize()}!"}
        return Response(msgspec.json.encode(greeting), media_type="application/json")


def _matches(patient: dict[str, Any], wanted: Any) -> bool:
    """Whether a patient has everything that is wanted; what it does not say of itself, it has not."""
    name = (patient.get("name") or [{}])[0]
    identifiers = {patient["id"], *(identifier.get("value") for identifier in patient.get("identifier", ()))}
    has: dict[str, Callable[[str], bool]] = {
        "family": lambda value: str(name.get("family", "")).lower().startswith(value.lower()),
        "given": lambda value: any(str(given).lower().startswith(value.lower()) for given in name.get("given", ())),
        "gender": lambda value: bool(patient.get("gender") == value),
        "birthdate": lambda value: bool(patient.get("birthDate") == value),
        "identifier": lambda value: value.rpartition("|")[2] in identifiers,
    }
    return all(test(wanted[parameter]) for parameter, test in has.items() if parameter in wanted)


def _fhir(resource: dict[str, Any], status: int = 200, **headers: str) -> Response:
    return Response(msgspec.json.encode(resource), status, headers, media_type=FHIR)


def _outcome(status: int, code: str, diagnostics: str) -> Response:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return _fhir({"resourceType": "OperationOutcome", "issue": [issue]}, status)
