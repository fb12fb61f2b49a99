"""A hospital sends a discharge summary to a practice, and finds the practice's answer; what nobody collects comes back to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from mesh_client import MeshClient

from fiveways.client import Ledger, Listener, Mailbox, Message, Request, State
from fiveways.demo import discharge
from fiveways.demo.stage import LeftOut, Stage
from fiveways.platform.inspect import trace

title = "Messaging: a discharge summary, its answer, and an offer that comes back"

HOSPITAL, PRACTICE = "RXN-OUT", "A81001-IN"
SUMMARY, ANSWER, OFFER = "DISCHARGE_SUMMARY", "DISCHARGE_SUMMARY_ACK", "CLINIC_SLOT"
PATIENCE = 15.0
"""Seconds after which a report is not waited for any longer; the offer's own time is two."""
LOOKING = 0.2
"""Seconds between looks: the demo is a sandbox; a real mailbox is looked at every five minutes at most (Listener.run)."""


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    if {HOSPITAL, PRACTICE} - set(deployment.mailboxes) or {SUMMARY, ANSWER, OFFER} - set(deployment.workflows):
        raise LeftOut(f"{stage.platform.file} does not have its mailboxes and workflows: play it in another --folder")
    stage.chapter(
        title,
        "The hospital uses fiveways.client, which remembers what is unanswered; the practice uses the public mesh-client as it "
        "comes. Neither has to be there when the other is (A37).",
    )
    correlation = str(uuid4())
    patient = await _read(stage, correlation)
    content = discharge.summary(patient, datetime.now(UTC))
    with Ledger(stage.folder / "hospital.sqlite") as ledger:
        password, shared_key = stage.secret(HOSPITAL), stage.secret("shared-key")
        async with Mailbox(stage.url, HOSPITAL, password, shared_key, ledger) as hospital:
            request = await _sent(stage, hospital, content, correlation)
            await asyncio.to_thread(_collected, stage, request, content)
            await _tracked(stage, hospital, request)
            await asyncio.to_thread(_answered, stage, content)
            await _matched(stage, hospital, request)
            await _expired(stage, hospital, correlation)
    await _timeline(stage, correlation)
    _suggest(stage, correlation)


async def _read(stage: Stage, correlation: str) -> dict[str, Any]:
    """The patient that the summary is about, through the gateway."""
    path = f"/demographics/FHIR/R4/Patient/{next(iter(stage.backend.patients))}"
    bearer = (await stage.token("ward-system")).json["access_token"]
    answer = await stage.call("GET", path, {"authorization": f"Bearer {bearer}", "x-correlation-id": correlation})
    stage.step(
        "The ward's system reads the patient",
        sent=f"GET {path}  X-Correlation-ID: {correlation}",
        answer=answer,
        expect=200,
        because="A call through the gateway, as in the first story. What follows has the same correlation id.",
    )
    return dict(answer.json)


async def _sent(stage: Stage, hospital: Mailbox, content: bytes, correlation: str) -> Request:
    request = await hospital.send(
        PRACTICE,
        content,
        workflow=SUMMARY,
        answer_within=timedelta(days=5),
        correlation=correlation,
        subject="Discharge summary",
        content_type=discharge.CONTENT_TYPE,
    )
    stage.show(
        "The hospital sends a discharge summary",
        did=f'await hospital.send("{PRACTICE}", summary, workflow="{SUMMARY}", answer_within=timedelta(days=5), …)',
        came=f"accepted as message {request.message_id}",
        because="Accepted, and on disk together with its audit event before that was said (A10). The hospital's ledger had it even "
        "before it was sent, and knows when an answer is due (A4).",
        show={"ledger": {"state": request.state, "local_id": request.local_id, "expected_by": str(request.expected_by)}},
        ok=request.state is State.SENT and bool(request.message_id),
    )
    return request


# --- the practice: the public mesh-client, and nothing of ours ----------------------------------------------------------------


def _practice(stage: Stage) -> MeshClient:
    return MeshClient(stage.url, PRACTICE, stage.secret(PRACTICE), shared_key=stage.secret("shared-key").encode())


def _collected(stage: Stage, request: Request, content: bytes) -> None:
    with _practice(stage) as practice:
        waiting = practice.list_messages(workflow_filter=SUMMARY)
        stage.show(
            "The practice looks into its mailbox",
            did=f'MeshClient("{stage.url}", "{PRACTICE}", …).list_messages()',
            came=f"{len(waiting)} waiting",
            because="The public mesh-client as it is: Fiveways speaks MESH's protocol (A38).",
            show=waiting,
            ok=request.message_id in waiting,
        )
        message = practice.retrieve_message(request.message_id)
        received = message.read()
        header = msgspec.json.decode(received)["entry"][0]["resource"]
        stage.show(
            "It downloads the summary",
            did="message = practice.retrieve_message(…); message.read()",
            came=f"{len(received)} bytes of {message.content_type} from {message.sender}",
            because="Byte for byte what was sent: a FHIR message, its MessageHeader first.",
            show={"workflow": message.workflow_id, "subject": message.subject, "event": header["eventUri"]},
            ok=received == content and (message.sender, message.workflow_id) == (HOSPITAL, SUMMARY),
        )
        message.acknowledge()
        left = practice.list_messages(workflow_filter=SUMMARY)
        stage.show(
            "And acknowledges it",
            did="message.acknowledge()",
            came=f"{len(left)} waiting",
            because="Only now does it leave the mailbox. Had the practice's system fallen over before, it would still be there.",
            ok=request.message_id not in left,
        )


def _answered(stage: Stage, content: bytes) -> None:
    with _practice(stage) as practice:
        answer = discharge.answer(content, datetime.now(UTC))
        sent = practice.send_message(HOSPITAL, answer, workflow_id=ANSWER, content_type=discharge.CONTENT_TYPE)
    header = msgspec.json.decode(answer)["entry"][0]["resource"]
    stage.show(
        "When the summary is filed, the practice answers",
        did=f'practice.send_message("{HOSPITAL}", answer, workflow_id="{ANSWER}")',
        came=f"accepted as message {sent}",
        because="A FHIR message again; its header names the one that it answers.",
        show={"response": header["response"]},
        ok=bool(sent),
    )


# --- the hospital again -------------------------------------------------------------------------------------------------------


async def _tracked(stage: Stage, hospital: Mailbox, request: Request) -> None:
    said = await hospital.track(request.message_id)
    stage.show(
        "The hospital asks what became of it",
        did="await hospital.track(request.message_id)",
        came=str(said["status"]),
        because="The practice has it, which does not say that anybody has read it (A12). The ledger goes on waiting for an answer.",
        ok=said["status"].lower() == "acknowledged" and _now(hospital, request).state is State.SENT,
    )


async def _matched(stage: Stage, hospital: Mailbox, request: Request) -> None:
    found = await _listen(hospital, lambda message: message.request is not None and message.request.id == request.id)
    now, answer = _now(hospital, request), found[-1] if found else None
    stage.show(
        "The hospital's listener finds it, and its ledger knows what it answers",
        did="await Listener(hospital, handle).once()",
        came=f"a {answer.workflow} from {answer.sender}: the request is {now.state}" if answer is not None else "nothing came",
        because="Matched by MessageHeader.response.identifier; what fits no request, or two, is never guessed (A3, A4).",
        show=[f"{state:9} {happening} {reason}".rstrip() for _, happening, state, _, reason in hospital.ledger.history(request.id)],
        ok=answer is not None and answer.workflow == ANSWER and now.state is State.ANSWERED,
    )


async def _expired(stage: Stage, hospital: Mailbox, correlation: str) -> None:
    within = timedelta(minutes=1)
    request = await hospital.send(PRACTICE, b"Monday, 9:40", workflow=OFFER, answer_within=within, correlation=correlation)
    found = await _listen(hospital, lambda message: message.is_report and message.request is not None)
    now, report = _now(hospital, request), found[-1] if found else None
    facts = report.about() if report is not None else {}
    stage.show(
        "An offer that nobody collects",
        did=f'await hospital.send("{PRACTICE}", …, workflow="{OFFER}"); await Listener(hospital, handle).run()',
        came=f"a REPORT with code {facts['status_code']}: the request is {now.state}" if facts else "no report came",
        because=f"{OFFER} waits two seconds only, then its sender is told (A45): nothing is lost silently.",
        show={name: facts.get(name) for name in ("type", "status_code", "status_description", "linked_message_id")},
        ok=facts.get("status_code") == "14" and report is not None and report.linked == request.message_id
        and now.state is State.FAILED,
    )  # fmt: skip


async def _listen(hospital: Mailbox, wanted: Callable[[Message], bool]) -> list[Message]:
    """What came until `wanted` did, and that last; nothing, where it did not within PATIENCE."""
    came: list[Message] = []

    async def handle(message: Message) -> None:
        came.append(message)

    listener = Listener(hospital, handle)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not any(wanted(message) for message in came):
                await listener.once()
                await asyncio.sleep(LOOKING)
    return [message for message in came if wanted(message)]


def _now(hospital: Mailbox, request: Request) -> Request:
    """The request as the ledger has it now."""
    return hospital.ledger.find(own=HOSPITAL, local_id=request.local_id) or request


# --- and the operator ---------------------------------------------------------------------------------------------------------


async def _timeline(stage: Stage, correlation: str) -> None:
    await stage.settle()
    events = await trace(stage.platform.file, stage.folder / "data", correlation)
    lines = [f"{event.application:14} {event.api:12} {event.name:16} {event.status}".rstrip() for event in events]
    stage.show(
        "Call and messages are one timeline",
        did=f"fiveways trace {correlation}",
        came=f"{len(events)} events",
        because="Whatever the method: the audit has it under the id that the ward's system gave it.",
        show=lines,
        ok=[event.name for event in events] == ["Patient.read", "message.send", "message.send"],
    )


def _suggest(stage: Stage, correlation: str) -> None:
    folder, keys = stage.folder, stage.folder / "secrets"
    practice = f"--password-file {keys}/{PRACTICE} --shared-key-file {keys}/shared-key --ledger {folder}/practice.sqlite"
    stage.next += [
        f"{sys.executable} - <<'END'",
        "from mesh_client import MeshClient",
        f"secret = lambda name: open('{keys}/' + name).read()",
        f"with MeshClient('{stage.url}', '{HOSPITAL}', secret('{HOSPITAL}'), secret('shared-key').encode()) as hospital:",
        f"    print(hospital.send_message('{PRACTICE}', b'Hello', workflow_id='NOTE'))",
        "END",
        f"{stage.command} mailbox listen {stage.url} {PRACTICE} --once --exec 'cat {{file}}' {practice}",
        f"{stage.command} mailbox list {folder}",
        f"{stage.command} trace {correlation} {folder}        # the story of the discharge summary",
    ]
