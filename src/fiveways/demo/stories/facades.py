"""Older systems behind façades: a certificate nobody has, a page of two systems, a system that is polled, and one that is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from rich.progress import Progress

from fiveways.demo.older import Pathology, Records, Theatre
from fiveways.demo.stage import Answer, LeftOut, Stage
from fiveways.platform.listeners import Listener

title = "Façades: what is behind the gateway may be old; the consumer meets the same gateway"

PATIENTS, VERSIONS = 50, 20
"""Updates in the story: so many patients, each so often."""
NEEDED = ("theatre", "medications", "summary", "pathology", "updates")


async def play(stage: Stage) -> None:
    """Play the story."""
    missing = [name for name in NEEDED if name not in stage.platform.deployment.apis]
    if missing:
        raise LeftOut(f"the deployment in {stage.folder} has no {', '.join(missing)}: play it in another --folder")
    stage.chapter(title, "One token, one way in. Behind it: mutual TLS, two systems at once, 202 and polling, and a promise kept.")
    token = (await stage.token("ward-system")).json["access_token"]
    headers = {"authorization": f"Bearer {token}", "x-correlation-id": str(uuid4())}
    await _theatre(stage, headers)
    await _summary(stage, headers)
    await _pathology(stage, headers)
    await _updates(stage, headers)
    stage.next.append(f"{stage.command} debt {stage.folder}")
    stage.next.append(f"{stage.command} promise list --waiting {stage.folder}")


def _address(stage: Stage, api: str) -> str:
    target = stage.platform.deployment.apis[api].target
    assert target is not None
    return urlsplit(target.url).netloc


async def _theatre(stage: Stage, headers: dict[str, str]) -> None:
    tls = {"certificate": "file:tls/theatre.pem", "key": "file:tls/theatre.key.pem"}
    clients = {"ca": "file:tls/theatre-ca.pem", "required": True}
    listener = Listener.model_validate({"https": _address(stage, "theatre"), **tls, "client_certificates": clients})
    await stage.serve(listener, Theatre().app)
    authority = (stage.folder / "tls" / "theatre-ca.pem").read_bytes()
    refused = "it was let in"
    async with ClientBuilder().add_root_certificate_pem(authority).build() as client:
        try:
            await client.get(f"{listener.url}/lists/monday").build().send()
        except PyreqwestError as error:
            refused = f"no connection ({type(error).__name__})"
    stage.show(
        "Around the gateway",
        did=f"GET {listener.url}/lists/monday, without a client certificate",
        came=refused,
        because="The back end takes mutual TLS only. Nobody but the gateway has a certificate of it (S34).",
        ok=refused.startswith("no connection"),
    )
    answer = await stage.call("GET", "/theatre/lists/monday", headers)
    debt = stage.platform.deployment.apis["theatre"].debt
    assert debt is not None
    stage.step(
        "A wrapper: through the gateway, with a bearer token",
        sent="GET /theatre/lists/monday  Authorization: Bearer …",
        answer=answer,
        expect=200,
        because=f"OAuth 2.0 in front, mutual TLS behind (S66). The debt that this hides is on record: {debt.owner} have until "
        f"{debt.retire_by:%-d %B %Y} (S70).",
        show=answer.json,
    )


async def _page(stage: Stage, headers: dict[str, str]) -> tuple[Answer, str, list[str]]:
    """A patient's page: what was answered, where, and what kinds of resources are in it."""
    path = f"/summary/{next(iter(stage.backend.patients))}"
    answer = await stage.call("GET", path, headers)
    return answer, path, [entry["resource"]["resourceType"] for entry in (answer.json or {}).get("entry", [])]


async def _summary(stage: Stage, headers: dict[str, str]) -> None:
    answer, path, kinds = await _page(stage, headers)
    stage.step(
        "An orchestration: a page of two systems, one of which is down",
        sent=f"GET {path}",
        answer=answer,
        expect=200,
        because="What could be had is in the Bundle; what could not is in it too, with its own status (S44-S51).",
        show=(answer.json or {}).get("entry", [])[-1:],
        ok=kinds == ["Patient", "OperationOutcome"],
    )


async def _pathology(stage: Stage, headers: dict[str, str]) -> None:
    laboratory = Pathology()
    await stage.serve(Listener(http=_address(stage, "pathology")), laboratory.app)
    order = msgspec.json.encode({"test": "potassium"})
    answer = await stage.call("POST", "/pathology/orders", {**headers, "x-request-id": str(uuid4())}, order)
    stage.step(
        "A sync-wrap: the laboratory answers 202 and is polled; the ward waits for the result",
        sent="POST /pathology/orders",
        answer=answer,
        expect=200,
        because=f"The gateway asked {laboratory.asked} times, after 250 ms and then twice as long each time (D13).",
        show=answer.json,
        ok=laboratory.asked > 1,
    )
    again = {**headers, "x-request-id": str(uuid4()), "x-sync-wait": "0.5"}
    soon = await stage.call("POST", "/pathology/orders", again, order)
    stage.step(
        "Who cannot wait so long is told to come back",
        sent="POST /pathology/orders  X-Sync-Wait: 0.5",
        answer=soon,
        expect=503,
        because="503, Retry-After, and the instruction to send it again with the same X-Request-ID.",
    )
    joined = await stage.call("POST", "/pathology/orders", {**again, "x-sync-wait": "10"}, order)
    stage.step(
        "And joins the work under way",
        sent="POST /pathology/orders, the same X-Request-ID",
        answer=joined,
        expect=200,
        because=f"The laboratory has had {laboratory.began} orders in all of this, not three.",
        ok=laboratory.began == 2,
    )


async def _updates(stage: Stage, headers: dict[str, str]) -> None:
    records, many = Records(), PATIENTS * VERSIONS
    received: list[str] = []

    async def send(patient: int, version: int) -> int:
        body = {"resourceType": "Patient", "id": f"p{patient}", "meta": {"versionId": str(version)}}
        fields = {**headers, "content-type": "application/fhir+json", "x-request-id": str(uuid4())}
        answer = await stage.call("PUT", f"/updates/Patient/p{patient}", fields, msgspec.json.encode(body))
        received.append(answer.headers.get("fiveways-promise", ""))
        return answer.status

    began = time.monotonic()
    statuses: set[int] = set()
    with Progress(console=stage.console, transient=True, disable=not stage.console.is_terminal) as progress:
        bar = progress.add_task("sending", total=many)
        for version in range(1, VERSIONS + 1):
            statuses |= set(await asyncio.gather(*(send(patient, version) for patient in range(PATIENTS))))
            progress.update(bar, completed=len(received))
    took, promises = time.monotonic() - began, len(set(received))
    stage.show(
        f"A promise of work: {many:,} updates for a system that is down",
        did=f"PUT /updates/Patient/p0 … p{PATIENTS - 1}, {VERSIONS} versions of each",
        came=f"{', '.join(map(str, sorted(statuses)))} for all, in {took:.1f} s; {promises:,} promises, each of them durable",
        because="Received is all that is said, and it is said when it is on disk (S9, A23).",
        ok=statuses == {202} and promises == many,
    )
    began = time.monotonic()
    await stage.serve(Listener(http=_address(stage, "updates")), records.app)
    await _until(stage, lambda: len(records.updates), many)
    took = time.monotonic() - began
    keys = {update.key for update in records.updates}
    stage.show(
        "It comes back",
        did="the records system is started",
        came=f"{len(records.updates):,} updates in {took:.1f} s, {records.repeats} of them twice",
        because="Each exactly once by its idempotency key, and in order for each patient (A28).",
        ok=keys == set(received) and len(records.updates) == many and records.in_order(),
        otherwise=f"{len(keys & set(received))} of {many} arrived, in order: {records.in_order()}",
    )
    answer, path, kinds = await _page(stage, headers)
    stage.step(
        "And the page is whole",
        sent=f"GET {path}",
        answer=answer,
        expect=200,
        because="The same request as before; nobody had to change anything.",
        ok=kinds == ["Patient", "MedicationStatement"],
    )


async def _until(stage: Stage, done: Callable[[], int], total: int, seconds: float = 60) -> None:
    """Wait until so many are done, or for so long."""
    until = time.monotonic() + seconds
    with Progress(console=stage.console, transient=True, disable=not stage.console.is_terminal) as progress:
        bar = progress.add_task("delivering", total=total)
        while done() < total and time.monotonic() < until:
            await asyncio.sleep(0.05)
            progress.update(bar, completed=done())
