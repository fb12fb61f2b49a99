"""An old system that speaks HL7 v2: what it says arrives as FHIR, and what others write in FHIR reaches it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import msgspec

from fiveways.demo.pas import PatientAdministration, admission
from fiveways.demo.patients import nhs_numbers
from fiveways.demo.stage import LeftOut, Stage
from fiveways.hl7v2.message import Message

title = "Transformation: a system that speaks HL7 v2, and consumers that speak FHIR"

NEEDED = ("adt", "old-pas")
MANY = 200
NEWCOMER = nhs_numbers(1, 999000900)[0]
RUN = uuid4().hex[:6].upper()
"""Message ids begin with it: those of an earlier demo in the same folder are still known."""


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    missing = [name for name in NEEDED if name not in deployment.apis]
    if missing or "adt" not in deployment.listeners:
        raise LeftOut(f"the deployment in {stage.folder} has no {', '.join(missing) or 'feed'}: play it in another --folder")
    stage.chapter(title, "MLLP on one side, FHIR R4 UK Core on the other, both ways; what is not mapped is told of.")
    pas = PatientAdministration({NEWCOMER, "N100"})
    _, feed = deployment.listeners["adt"].address
    token = (await stage.token("ward-system")).json["access_token"]
    headers = {"authorization": f"Bearer {token}", "x-correlation-id": str(uuid4())}
    await _admitted(stage, pas, feed, headers)
    await _refused(stage, pas, feed)
    await _many(stage, pas, feed)
    await _written(stage, pas, headers)
    stage.next.append(f"{stage.command} transform report {stage.folder}")


def _said(answer: Message) -> str:
    return "  ".join(segment.text for segment in answer.segments if segment.name in ("MSA", "ERR"))


async def _admitted(stage: Stage, pas: PatientAdministration, feed: int, headers: dict[str, str]) -> None:
    before = stage.backend.transactions
    message = admission(f"{RUN}0001", NEWCOMER, "N100", "Fenwick")
    (answer,) = await pas.send(feed, message)
    stage.show(
        "Somebody is admitted",
        did=message.rstrip("\r").replace("\r", "\n"),
        came=_said(answer),
        because="AA is said when a promise of it is on disk, with its audit event, and not before.",
        ok=answer.get("MSA-1") == "AA",
    )
    await _until(lambda: stage.backend.transactions > before)
    found = await stage.call("GET", f"/demographics/FHIR/R4/Patient?identifier={NEWCOMER}", headers)
    patients = [entry["resource"] for entry in (found.json or {}).get("entry", [])]
    stage.step(
        "And is a FHIR Patient to everybody else",
        sent=f"GET /demographics/FHIR/R4/Patient?identifier={NEWCOMER}",
        answer=found,
        expect=200,
        because="A transaction, conditional on the NHS number; a character set of 1987 and a time without a zone are understood.",
        show={name: patients[0].get(name) for name in ("name", "birthDate", "address")} if patients else None,
        ok=len(patients) == 1 and patients[0]["name"][0]["given"][0] == "Zoë",
    )
    (again,) = await pas.send(feed, message)
    await asyncio.sleep(0.3)
    stage.show(
        "The same message again",
        did=f"ADT^A01 {RUN}0001, as systems do that have missed an acknowledgement",
        came=_said(again),
        because="Known by MSH-10: the first answer, to the byte, and nothing is done twice.",
        ok=again.text == answer.text and stage.backend.transactions == before + 1,
    )


async def _refused(stage: Stage, pas: PatientAdministration, feed: int) -> None:
    message = admission(f"{RUN}0002", NEWCOMER, "N100", "Fenwick").replace("ADT^A01", "BAR^P01")
    (answer,) = await pas.send(feed, message)
    stage.show(
        "A message that nobody here understands",
        did="BAR^P01: an account is opened",
        came=_said(answer)[:160],
        because="AR, and what is wrong is named: the sender knows that it was not taken.",
        ok=answer.get("MSA-1") == "AR" and answer.get("ERR-3.1") == "200",
    )


async def _many(stage: Stage, pas: PatientAdministration, feed: int) -> None:
    before = stage.backend.transactions
    began = time.monotonic()
    answers = await pas.send(feed, *(admission(f"{RUN}1{n:03}", NEWCOMER, "N100", "Fenwick") for n in range(MANY)))
    took = time.monotonic() - began
    await _until(lambda: stage.backend.transactions >= before + MANY, 60)
    codes = {answer.get("MSA-1") for answer in answers}
    stage.show(
        f"{MANY} more, on one connection",
        did="one after another, each acknowledged before the next is sent",
        came=f"{', '.join(sorted(codes))} for all, in {took:.1f} s; {stage.backend.transactions - before} transactions",
        because="Each one exactly once. `fiveways transform report` says which fields nobody maps: ZPI-2, for one.",
        ok=codes == {"AA"} and stage.backend.transactions == before + MANY,
    )


async def _written(stage: Stage, pas: PatientAdministration, headers: dict[str, str]) -> None:
    target = stage.platform.deployment.apis["old-pas"].mllp
    assert target is not None
    await pas.listen(int(target.address.rpartition(":")[2]))
    try:
        moved = {
            "resourceType": "Patient",
            "id": "n100",
            "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NEWCOMER}],
            "name": [{"use": "official", "family": "Fenwick", "given": ["Zoë"]}],
            "address": [{"line": ["1 Mill Street"], "city": "Selby", "postalCode": "YO8 4QQ"}],
        }
        fields = {**headers, "content-type": "application/fhir+json"}
        answer = await stage.call("PUT", "/old-pas/FHIR/R4/Patient/n100", fields, msgspec.json.encode(moved))
        said = pas.taken[-1].text.rstrip("\r").split("\r") if pas.taken else []
        stage.step(
            "The other way: an update in FHIR reaches the old system",
            sent="PUT /old-pas/FHIR/R4/Patient/n100  (she has moved to Selby)",
            answer=answer,
            expect=200,
            because="What the old system got, and has acknowledged before the consumer was answered:",
            show=said,
            ok=bool(pas.taken) and pas.taken[-1].get("PID-11.3") == "Selby" and pas.taken[-1].event == "A31",
        )
        moved["identifier"] = [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": nhs_numbers(1, 999000950)[0]}]
        refused = await stage.call("PUT", "/old-pas/FHIR/R4/Patient/n100", fields, msgspec.json.encode(moved))
        stage.step(
            "What it refuses is said in FHIR",
            sent="PUT /old-pas/FHIR/R4/Patient/n100, with an NHS number that it does not know",
            answer=refused,
            expect=422,
            because="AE, with ERR, is an OperationOutcome to the consumer.",
            show=(refused.json or {}).get("issue", [{}])[0].get("diagnostics"),
            ok="No such patient" in refused.body.decode(),
        )
    finally:
        await pas.stop()


async def _until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something has happened, or for so long: what is shown then says which."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:  # noqa: ASYNC110 (what is waited for is told by nobody)
        await asyncio.sleep(0.02)
