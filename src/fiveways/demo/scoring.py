"""The scoring engine of the demo: a provider that takes its time.

It scores a patient's risk at once when it has nothing else to do. When it is busy it says 202, and is asked how far it is; and what
it is given for the night, a batch scores and reports. It notes what reached it by Idempotency-Key, so that a story can show that
nothing was lost.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FHIR = "application/fhir+json"


class ScoringEngine:
    """`busy`: it has other things to do first. `failing`: it takes a request, and falls over it (503)."""

    def __init__(self) -> None:
        self.busy = True
        self.failing = False
        self.attempts: list[str] = []
        """The Idempotency-Key of each request to score that came."""
        self.scored: dict[str, float] = {}
        """When each was scored, in time.monotonic() seconds."""
        self.withdrawn: set[str] = set()
        """Those that nobody wants any more."""
        self.tonight: list[str] = []
        """The jobs that the batch of tonight is to report."""
        self._waiting: dict[str, Any] = {}
        self.app = Starlette(
            routes=[
                Route("/FHIR/R4/RiskAssessment/$score", self._score, methods=["POST"]),
                Route("/FHIR/R4/work/{key}", self._work, methods=["GET"]),
                Route("/FHIR/R4/work/{key}", self._withdraw, methods=["DELETE"]),
                Route("/batch/FHIR/R4/RiskAssessment/$score", self._collect, methods=["POST"]),
            ]
        )

    async def _score(self, request: Request) -> Response:
        key = request.headers["idempotency-key"]
        self.attempts.append(key)
        asked = msgspec.json.decode(await request.body())
        if self.failing:
            return Response(status_code=503)
        if not self.busy:
            return self._done(key, asked)
        self._waiting[key] = asked
        return Response(status_code=202, headers={"content-location": f"/FHIR/R4/work/{key}", "x-progress": "waiting, 0 %"})

    async def _work(self, request: Request) -> Response:
        key = request.path_params["key"]
        if key not in self._waiting:
            return Response(status_code=404)
        if self.busy:
            return Response(status_code=202, headers={"x-progress": "scoring, 60 %"})
        return self._done(key, self._waiting[key])

    async def _withdraw(self, request: Request) -> Response:
        self._waiting.pop(request.path_params["key"], None)
        self.withdrawn.add(request.path_params["key"])
        return Response(status_code=202)

    async def _collect(self, request: Request) -> Response:
        self.tonight.append(request.headers["fiveways-job"])
        return Response(status_code=202)

    def _done(self, key: str, asked: Any) -> Response:
        self.scored.setdefault(key, time.monotonic())
        return Response(msgspec.json.encode(assessment(patient_of(asked))), 201, media_type=FHIR)


def question(patient: str) -> bytes:
    """What is asked: the parameters of $score."""
    subject = {"name": "subject", "valueReference": {"reference": f"Patient/{patient}"}}
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": [subject]})


def patient_of(asked: Any) -> str:
    """Who is to be scored."""
    return str(asked["parameter"][0]["valueReference"]["reference"])


def assessment(subject: str) -> dict[str, Any]:
    """What comes of it. Everybody has the same risk: it is a demo."""
    prediction = {"outcome": {"text": "readmission within 30 days"}, "probabilityDecimal": 0.12}
    return {"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": subject}, "prediction": [prediction]}
