"""A provider that takes its time: a request now, and its outcome polled, brought, or waited for; nothing is lost meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from fiveways.client import Fiveways, Gone, Job, Ledger, Pace, Receiver, SignedJwt, serve_callbacks
from fiveways.client.jobs import Jobs
from fiveways.demo.scoring import FHIR, ScoringEngine, assessment, question
from fiveways.demo.stage import LeftOut, Stage
from fiveways.ledger.audit import AuditEvent
from fiveways.platform.inspect import trace
from fiveways.platform.listeners import Listener, listen

title = "HTTP exchange: a request now, its outcome later"

NEEDED = ("risk", "risk-batch")
PATH, BATCH = "/risk/FHIR/R4/RiskAssessment/$score", "/risk-batch/FHIR/R4/RiskAssessment/$score"
AS_FHIR: Final = {"content-type": FHIR}
PATIENCE = timedelta(seconds=20)
SELDOM = Pace(least=timedelta(seconds=30))
"""Who asks so seldom has an outcome sooner only if it is not by polling."""


@dataclass
class Ward:
    """The hospital's side of the story: its client, its ledger, and what it asks."""

    stage: Stage
    engine: ScoringEngine
    five: Fiveways
    ledger: Ledger
    body: bytes
    headers: dict[str, str]

    async def submit(self, five: Fiveways, path: str = PATH, *, callback: bool = False) -> tuple[Job, str]:
        """A job, and the path of its status URL."""
        job = await five.submit("POST", path, self.body, headers=AS_FHIR, callback=callback)
        followed = Jobs(self.ledger).followed(job.id)
        return job, urlsplit(followed.status_url).path if followed is not None else ""


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    missing = [name for name in NEEDED if name not in deployment.exchanges]
    if missing or "waiting" not in deployment.listeners:
        raise LeftOut(f"the deployment in {stage.folder} has no {', '.join(missing) or 'long polls'}: play it in another --folder")
    stage.chapter(title, "A scoring engine has room for one patient at a time. Until that has ended, outcomes follow (A48-A50).")
    engine = ScoringEngine()
    body = question(next(iter(stage.backend.patients)))
    token = (await stage.token("ward-system")).json["access_token"]
    headers = {"authorization": f"Bearer {token}", **AS_FHIR}
    access = SignedJwt("ward-system", stage.folder / "keys" / "ward-system.pem", "ward-system-1")
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(AsyncExitStack())
        server = listen(_engine_listener(stage), engine.app, stage.folder)
        await server.start()
        up.push_async_callback(server.stop)
        ledger = stack.enter_context(Ledger(stage.folder / "ward.sqlite"))
        five = await stack.enter_async_context(Fiveways(stage.url, access, ledger=ledger))
        held = [deployment.listeners["waiting"].url]
        waiting = Fiveways(stage.url, access, ledger=ledger, pace=SELDOM, long_poll=True, also_at=held)
        await stack.enter_async_context(waiting)
        ward = Ward(stage, engine, five, ledger, body, headers)
        await _polled(ward)
        await _brought(ward)
        await _cancelled(ward)
        correlation = await _in_trouble(ward, waiting, up)
    await _timeline(stage, correlation)
    stage.next.append(f"{stage.command} exchange list {stage.folder}")
    stage.next.append(
        f"curl -i '{stage.url}{PATH}' -H \"Authorization: Bearer $TOKEN\" -H 'X-Request-ID: {uuid4()}' "
        f"-H 'Content-Type: {FHIR}' -d '{body.decode()}'"
    )


def _engine_listener(stage: Stage) -> Listener:
    target = stage.platform.deployment.apis["risk"].target
    assert target is not None
    return Listener(http=urlsplit(target.url).netloc)


async def _polled(ward: Ward) -> None:
    stage, engine = ward.stage, ward.engine
    job, status = await ward.submit(ward.five)
    stage.show(
        "A hospital asks for a patient's risk",
        did=f'job = await five.submit("POST", "{PATH}", parameters)',
        came=f"202: the outcome will be at {stage.url}{status}",
        because="The job was on disk before that was said (A10), and in the hospital's ledger before it was asked (A51).",
        show={"ledger": {"state": job.state, "local_id": job.local_id}},
        ok=bool(status) and job.state == "sent",
    )
    ids = {"x-request-id": job.id, "x-correlation-id": job.correlation_id}
    again = await stage.call("POST", PATH, {**ward.headers, **ids}, ward.body)
    stage.step(
        "The same request again",
        sent=f"POST {PATH}  X-Request-ID: {job.id}",
        answer=again,
        expect=202,
        because="The same X-Request-ID is the same job. Who lost the first answer loses nothing.",
        ok=again.headers.get("content-location", "").endswith(status or "-"),
    )
    await stage.call("GET", status, ward.headers)
    soon = await stage.call("GET", status, ward.headers)
    stage.step(
        "Asked too soon",
        sent=f"GET {status}  (two times)",
        answer=soon,
        expect=429,
        because="Retry-After grows with the job's age, and who asks much sooner is refused (A54).",
        ok="retry-after" in soon.headers,
    )
    other = (await stage.token("surgery-trial")).json["access_token"]
    stage.step(
        "Another application asks",
        sent=f"GET {status}  (as surgery-trial, which may call this API too)",
        answer=await stage.call("GET", status, {"authorization": f"Bearer {other}"}),
        expect=404,
        because="A job is its application's. To others it is not there.",
    )
    said: list[str] = []
    async for step in job.progress():
        said.append(step.said)
        engine.busy = engine.busy and step.percent is None  # it goes on once the hospital has been told how far it is
    outcome = await job.outcome(PATIENCE)
    stage.show(
        "The outcome",
        did="async for step in job.progress(): …; outcome = await job.outcome()",
        came=f"{outcome.status}, after: {'; '.join(said)}",
        because="The provider's own status and body, not the platform's (A53). The library asked as often as it was told to.",
        show=outcome.json(),
        ok=outcome.status == 201 and any("%" in each for each in said) and len(engine.scored) == 1,
    )


async def _brought(ward: Ward) -> None:
    stage, engine = ward.stage, ward.engine
    callback = stage.platform.deployment.exchanges["risk-batch"].callback
    assert callback is not None
    url = callback.consumers["ward-system"].url
    port = int(urlsplit(url).netloc.rpartition(":")[2])
    receiver = Receiver(ward.ledger, [stage.secret("callback").encode()], url=stage.url)
    receiving = asyncio.create_task(serve_callbacks(receiver, port=port))
    try:
        job, status = await ward.submit(ward.five, BATCH, callback=True)
        await _until(lambda: bool(engine.tonight))
        bearer = (await stage.token("scoring-engine")).json["access_token"]
        said = {"authorization": f"Bearer {bearer}", "fiveways-status": "201", **AS_FHIR}
        report = msgspec.json.encode(assessment("Patient/of-the-batch"))
        answer = await stage.call("PUT", f"{status}/outcome", said, report)
        stage.step(
            "A provider that works overnight reports what came of a job",
            sent=f"PUT {status}/outcome  Fiveways-Status: 201  (as scoring-engine)",
            answer=answer,
            expect=204,
            because="Its own application, and no other, may. `fiveways exchange complete` does the same by hand.",
            ok=bool(engine.tonight) and status.endswith(engine.tonight[-1]),
        )
        outcome = await job.outcome(PATIENCE)
        how = [reason for _, happening, _, _, reason in ward.ledger.history(job.id) if happening == "answer"]
        forged = await stage.client.post(url).headers({"x-request-id": job.id, "fiveways-status": "200"}).build().send()
        stage.show(
            "And it is brought to the hospital",
            did="await serve_callbacks(Receiver(ledger, [secret])); outcome = await job.outcome()",
            came=f"{outcome.status}, by {', '.join(how)}; the same without a signature: {forged.status}",
            because="Signed over time and body, matched to the job, and in the ledger before it was acknowledged (A64, A66).",
            show=outcome.json(),
            ok=outcome.content == report and how == ["callback"] and forged.status == 401,
        )
    finally:
        receiving.cancel()
        await asyncio.wait([receiving])


async def _cancelled(ward: Ward) -> None:
    stage, engine = ward.stage, ward.engine
    engine.busy = True
    job, status = await ward.submit(ward.five)
    key = status.rpartition("/")[2]
    await _until(lambda: key in engine.attempts)
    await job.cancel()
    try:
        came = f"{(await job.outcome(PATIENCE)).status}"
    except Gone as gone:
        came = f"Gone: {gone}"
    stage.step(
        "The hospital wants no more of it",
        sent=f"await job.cancel()  ({came});  GET {status}",
        answer=await stage.call("GET", status, ward.headers),
        expect=404,
        because="The provider is told too, where it can be, and need not go on.",
        ok=came.startswith("Gone") and key in engine.withdrawn,
    )


async def _in_trouble(ward: Ward, waiting: Fiveways, up: AsyncExitStack) -> str:
    """Its correlation id."""
    stage, engine = ward.stage, ward.engine
    engine.busy, engine.failing = False, True
    job, status = await ward.submit(waiting)
    key = status.rpartition("/")[2]
    await _until(lambda: key in engine.attempts)
    await up.aclose()
    waits = asyncio.create_task(job.outcome(PATIENCE))
    stage.step(
        "The provider falls over in the middle of it, and is down",
        sent=f"GET {status}",
        answer=await stage.call("GET", status, ward.headers),
        expect=202,
        because="It is the platform that tries again, with a pause before each attempt, for as long as the exchange says: an hour.",
        ok=engine.attempts.count(key) == 1 and not waits.done(),
    )
    engine.failing = False
    await stage.serve(_engine_listener(stage), engine.app)
    outcome = await waits
    took = (time.monotonic() - engine.scored[key]) * 1000 if key in engine.scored else 0.0
    attempts = engine.attempts.count(key)
    stage.show(
        "It is up again, and whoever holds a long poll has the outcome at once",
        did="outcome = await job.outcome()  (Fiveways(…, long_poll=True), begun while the provider was down)",
        came=f"{outcome.status}, {took:.0f} ms after the engine had it; {attempts} attempts, one Idempotency-Key",
        because="The request was held at a listener of its own (A59, A62); polling would have asked in half a minute.",
        ok=outcome.status == 201 and attempts > 1 and key in engine.scored,
    )
    return job.correlation_id


async def _timeline(stage: Stage, correlation: str) -> None:
    await stage.settle()
    events = await trace(stage.platform.file, stage.folder / "data", correlation)
    lines = [f"{event.method:6}{event.name:24}{event.status}  {_by(event)}" for event in events]
    statuses = [event.status for event in events]
    stage.show(
        "Both stages are one conversation",
        did=f"fiveways trace {correlation}",
        came=f"{len(events)} events",
        because="The request, the polls, and what the provider was asked: all under the id that the hospital's client gave.",
        show=lines,
        ok=(statuses[:1], statuses[-1:]) == ([202], [201]) and 503 in statuses,
    )


def _by(event: AuditEvent) -> str:
    return f"asked of the provider, attempt {(event.details or {}).get('attempt')}" if event.calls else "asked by the hospital"


async def _until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something has happened, or for so long: what is shown then says which."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:  # noqa: ASYNC110 (what is waited for is told by nobody)
        await asyncio.sleep(0.02)
