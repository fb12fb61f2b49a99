"""The back end of the demo: a small FHIR R4 server of synthetic patients, as a hospital's system would stand behind the gateway.

It reads, searches and creates Patients, carries out transactions, says what it can do, and counts what really reached it
(`created`, `transactions`), so that a story can show that a repeat did not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
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
        self.transactions = 0
        self.others: dict[str, dict[str, Any]] = {}
        """Resources that are no Patients, by type and id."""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and header fields of the latest requests, newest last."""
        self.app = Starlette(
            routes=[
                Route("/FHIR/R4", self._transaction, methods=["POST"]),
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

    async def _transaction(self, request: Request) -> Response:
        """Creates and updates, conditional on an identifier (FHIR R4 §3.1.0.11.2), with references between them resolved."""
        self._note(request)
        try:
            bundle = msgspec.json.decode(await request.body())
        except msgspec.DecodeError:
            return _outcome(400, "structure", "The body is not JSON")
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            return _outcome(400, "invalid", "The body is not a transaction")
        self.transactions += 1
        entries = [(entry.get("fullUrl", ""), entry["resource"], entry["request"]) for entry in bundle["entry"]]
        ids, statuses = {}, []
        for url, resource, asked in entries:
            condition = asked.get("ifNoneExist") or asked["url"].partition("?")[2]
            known = self._known(resource["resourceType"], condition)
            ids[url] = resource["id"] = known or str(uuid4())
            statuses.append("200 OK" if known else "201 Created")
        for _, resource, asked in entries:
            if not (asked.get("ifNoneExist") and self._kept(resource["resourceType"], resource["id"])):
                self._keep(_resolved(resource, {url: id_ for url, id_ in ids.items() if url}))
        response = [{"response": {"status": status}} for status in statuses]
        return _fhir({"resourceType": "Bundle", "type": "transaction-response", "entry": response})

    def _known(self, kind: str, condition: str) -> str:
        """The id of the resource that has the identifier that a condition names; '' where there is none."""
        value = unquote(condition).rpartition("|")[2]
        if not value:
            return ""
        found = self.patients if kind == "Patient" else {k: r for k, r in self.others.items() if r["resourceType"] == kind}
        return next((r["id"] for r in found.values() if any(i.get("value") == value for i in _identifiers(r))), "")

    def _kept(self, kind: str, id_: str) -> bool:
        return id_ in self.patients if kind == "Patient" else f"{kind}/{id_}" in self.others

    def _keep(self, resource: dict[str, Any]) -> None:
        if resource["resourceType"] == "Patient":
            self.patients[resource["id"]] = resource
        else:
            self.others[f"{resource['resourceType']}/{resource['id']}"] = resource

    async def _hello(self, request: Request) -> Response:
        self._note(request)
        greeting = {"message": f"Hello {request.path_params['who'].capitalize()}!"}
        return Response(msgspec.json.encode(greeting), media_type="application/json")


def _identifiers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = resource.get("identifier") or []
    return found if isinstance(found, list) else [found]


def _resolved(resource: Any, ids: dict[str, str]) -> Any:
    """A resource with the references to entries of its Bundle leading to where they are now."""
    if isinstance(resource, dict):
        return {name: ids.get(value, value) if name == "reference" else _resolved(value, ids) for name, value in resource.items()}
    return [_resolved(each, ids) for each in resource] if isinstance(resource, list) else resource


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
