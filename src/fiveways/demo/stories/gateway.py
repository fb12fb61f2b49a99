"""A consumer application gets a token, calls a FHIR API, is limited, is refused, repeats itself, and is found in the audit."""

from __future__ import annotations

from uuid import uuid4

from fiveways.demo.patients import NHS_NUMBER
from fiveways.demo.stage import Answer, Stage
from fiveways.platform.inspect import audit_report, trace

title = "The gateway: one way in, one security context, everything in the audit"

API = "/demographics/FHIR/R4"


async def play(stage: Stage) -> None:
    """Play the story."""
    stage.chapter(title, "A ward system reads patients of a hospital's back end; it never meets that back end, only the gateway.")
    patient = next(iter(stage.backend.patients.values()))
    correlation = str(uuid4())

    answer = await stage.call("GET", f"{API}/Patient/{patient['id']}")
    stage.step(
        "Without a token",
        sent=f"GET {API}/Patient/{patient['id']}",
        answer=answer,
        expect=401,
        because="No credentials, no call. The fault is an OperationOutcome that names the party at fault (S36).",
        show=answer.json,
    )
    bearer = await _token(stage, "ward-system")
    headers = {"authorization": f"Bearer {bearer}", "x-correlation-id": correlation}
    await _read_and_search(stage, patient, headers)
    await _hello(stage, headers)
    await _refusals(stage, patient, correlation)
    await _duplicate(stage, headers)
    await _audit(stage, correlation)


async def _token(stage: Stage, application: str) -> str:
    answer = await stage.token(application)
    body = answer.json if isinstance(answer.json, dict) else {}
    shown = {**body, "access_token": str(body.get("access_token", ""))[:40] + "…"} if "access_token" in body else body
    stage.step(
        f"A token for {application}",
        sent="POST /oauth2/token  grant_type=client_credentials, client_assertion=(JWT signed RS512 with its private key)",
        answer=answer,
        expect=200,
        because="The application proved who it is with a key that never leaves it; numbers are strings, as NHS clients expect.",
        show=shown,
        ok=body.get("expires_in") == "599",
    )
    return str(body.get("access_token", ""))


async def _read_and_search(stage: Stage, patient: dict[str, object], headers: dict[str, str]) -> None:
    request_id = str(uuid4())
    read = await stage.call("GET", f"{API}/Patient/{patient['id']}", {**headers, "x-request-id": request_id})
    seen = stage.backend.seen[-1][2]
    stage.step(
        "Read a patient",
        sent=f"GET {API}/Patient/{patient['id']}  X-Request-ID: {request_id}",
        answer=read,
        expect=200,
        because=f"One call in, one call out, nothing touched (S40). The back end was told nhsd-asid {seen.get('nhsd-asid')} and "
        f"nhsd-request-id {seen.get('nhsd-request-id')}, and saw no token.",
        show={key: (read.json or {}).get(key) for key in ("resourceType", "id", "name", "birthDate")},
        ok=seen.get("nhsd-request-id") == request_id and "authorization" not in seen and read.json == patient,
    )
    family = str(patient["name"][0]["family"])  # type: ignore[index]
    search = await stage.call("GET", f"{API}/Patient?family={family}&identifier={NHS_NUMBER}|{patient['id']}", headers)
    stage.step(
        "Search",
        sent=f"GET {API}/Patient?family={family}&identifier={NHS_NUMBER}|{patient['id']}",
        answer=search,
        expect=200,
        because="RateLimit says where the application stands before it is refused anything.",
        show={key: (search.json or {}).get(key) for key in ("resourceType", "type", "total")},
        ok=(search.json or {}).get("total") == 1,
    )


async def _hello(stage: Stage, headers: dict[str, str]) -> None:
    for path, sent in (("/hello-world/hello/world", {}), ("/hello-world/hello/application", headers)):
        answer = await stage.call("GET", path, sent)
        because = "Open access: anyone may." if not sent else "The same API, application-restricted, with the same token."
        stage.step(f"GET {path}", sent=f"GET {path}", answer=answer, expect=200, because=because, show=answer.json)


async def _refusals(stage: Stage, patient: dict[str, object], correlation: str) -> None:
    visitor = (await stage.token("visitor")).json["access_token"]
    path = f"{API}/Patient/{patient['id']}"
    answer = await stage.call("GET", path, {"authorization": f"Bearer {visitor}", "x-correlation-id": correlation})
    stage.step(
        "An application without the product",
        sent=f"GET {path}  (as visitor)",
        answer=answer,
        expect=403,
        because="Known, but not entitled: it is subscribed to greetings only.",
    )
    trial = (await stage.token("surgery-trial")).json["access_token"]
    calls: list[Answer] = []
    for _ in range(6):
        calls.append(await stage.call("GET", path, {"authorization": f"Bearer {trial}", "x-correlation-id": correlation}))
        if calls[-1].status == 429:
            break
    # A window may turn over in the middle of six calls; the next six cannot all be let through as well.
    while calls[-1].status == 200 and len(calls) < 12:
        calls.append(await stage.call("GET", path, {"authorization": f"Bearer {trial}", "x-correlation-id": correlation}))
    stage.step(
        "Past its quota",
        sent=f"GET {path}  (as surgery-trial, {len(calls)} times)",
        answer=calls[-1],
        expect=429,
        because="The trial has five requests a minute; Retry-After says when to come back (A25).",
        show=calls[-1].json,
        ok="retry-after" in calls[-1].headers,
    )


async def _duplicate(stage: Stage, headers: dict[str, str]) -> None:
    body = b'{"resourceType":"Patient","active":true,"name":[{"family":"Quayle","given":["Rose"]}]}'
    request_id = str(uuid4())
    sent = {**headers, "x-request-id": request_id, "content-type": "application/fhir+json"}
    before = stage.backend.created
    first = await stage.call("POST", f"{API}/Patient", sent, body)
    second = await stage.call("POST", f"{API}/Patient", sent, body)
    made = stage.backend.created - before
    stage.step(
        "The same order twice",
        sent=f"POST {API}/Patient  X-Request-ID: {request_id}  (sent two times)",
        answer=second,
        expect=201,
        because=f"The second got the first one's answer; the back end created {made} patient (S26, S27).",
        show={"first": (first.json or {}).get("id"), "second": (second.json or {}).get("id")},
        ok=made == 1 and first.body == second.body,
    )
    other = await stage.call("POST", f"{API}/Patient", sent, body.replace(b"Rose", b"Ruby"))
    stage.step(
        "Another body under the same id",
        sent=f"POST {API}/Patient  X-Request-ID: {request_id}  (another patient)",
        answer=other,
        expect=422,
        because="One id never has two meanings.",
    )


async def _audit(stage: Stage, correlation: str) -> None:
    await stage.settle()
    file, data = stage.platform.file, stage.folder / "data"
    events = await trace(file, data, correlation)
    report = await audit_report(file, data, None, ())
    lines = [f"{event.application:14} {event.api} {event.name:16} {event.status} {event.outcome}".rstrip() for event in events]
    stage.show(
        "All of it is in the audit",
        did=f"fiveways trace {correlation}; fiveways audit verify",
        came="intact" if report.ok else "TAMPERED WITH",
        because=f"{len(events)} events under one correlation id; {report.events} in the whole hash chain, which is intact.",
        show=lines,
        ok=report.ok and len(events) >= 8 and not report.gaps and {200, 201, 403, 422, 429} <= {event.status for event in events},
    )
    stage.next.append(f"{stage.command} trace {correlation} {stage.folder}        # the story of the gateway")
