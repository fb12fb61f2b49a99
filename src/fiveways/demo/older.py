"""The older systems behind the façades of the demo: one wants a client certificate, one has to be polled, one is often down.

They count what reached them, so that a story can show that nothing did twice.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fiveways.clock import SystemClock
from fiveways.security.certificates import issue_client, issue_server, make_authority


def make_certificates(folder: Path) -> None:
    """The theatre's authority, its server's certificate, and the one that the gateway has to show; those that are there stay."""
    if (folder / "gateway.pem").exists():
        return
    clock = SystemClock()
    authority = make_authority("Northshire theatre", clock)
    authority.write(folder, "theatre-ca")
    issue_server(authority, clock, names=["127.0.0.1", "localhost"]).write(folder, "theatre")
    issue_client(authority, clock, name="fiveways.northshire").write(folder, "gateway")


class Theatre:
    """The theatre's lists; it is served with TLS, and only to who shows a certificate of its authority."""

    def __init__(self) -> None:
        self.app = Starlette(routes=[Route("/lists/{day}", self._list)])

    async def _list(self, request: Request) -> Response:
        return JSONResponse({"day": request.path_params["day"], "theatre": 3, "cases": 4})


class Pathology:
    """A laboratory: an order is accepted (202), and its result is asked for until it is there. `began` counts orders."""

    def __init__(self, seconds: float = 1.2) -> None:
        self.began = 0
        self.asked = 0
        self._seconds = seconds
        self._ready: dict[str, float] = {}
        self.app = Starlette(
            routes=[Route("/orders", self._order, methods=["POST"]), Route("/orders/{id}/result", self._result)],
        )

    async def _order(self, request: Request) -> Response:
        await request.body()
        self.began += 1
        id_ = str(uuid4())
        self._ready[id_] = time.monotonic() + self._seconds
        return Response(status_code=202, headers={"content-location": f"/orders/{id_}/result"})

    async def _result(self, request: Request) -> Response:
        self.asked += 1
        ready = self._ready.get(request.path_params["id"])
        if ready is None:
            return Response(status_code=404)
        if time.monotonic() < ready:
            return Response(status_code=202)
        return JSONResponse({"test": "potassium", "mmol_per_l": 4.1})


@dataclass(slots=True, frozen=True)
class Update:
    """An update that has reached the records: whose, which version of it, and the key by which a repeat is known."""

    patient: str
    version: int
    key: str


class Records:
    """The records of patients' medications. `updates` are those that were done, in their order; `repeats` those that came again."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.repeats = 0
        self._known: set[str] = set()
        self.app = Starlette(
            routes=[
                Route("/FHIR/R4/MedicationStatement", self._search),
                Route("/FHIR/R4/Patient/{id}", self._update, methods=["PUT"]),
            ]
        )

    async def _search(self, request: Request) -> Response:
        patient = request.query_params.get("subject", "")
        statement = {"resourceType": "MedicationStatement", "status": "active", "subject": {"reference": f"Patient/{patient}"}}
        entry = [{"fullUrl": f"urn:uuid:{uuid4()}", "resource": statement, "search": {"mode": "match"}}]
        return JSONResponse({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": entry})

    async def _update(self, request: Request) -> Response:
        patient: dict[str, Any] = msgspec.json.decode(await request.body())
        key = request.headers["idempotency-key"]
        if key in self._known:
            self.repeats += 1
        else:
            self._known.add(key)
            self.updates.append(Update(request.path_params["id"], int(patient["meta"]["versionId"]), key))
        await asyncio.sleep(0)
        return JSONResponse(patient)

    def in_order(self) -> bool:
        """Whether each patient's versions came in their order."""
        newest: dict[str, int] = {}
        for update in self.updates:
            if update.version != newest.get(update.patient, 0) + 1:
                return False
            newest[update.patient] = update.version
        return True
