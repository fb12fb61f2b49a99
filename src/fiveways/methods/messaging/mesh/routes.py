"""MESH's paths: from a request to the service and back, in version 1 or 2 of its shapes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote

from sqlalchemy import Select

from fiveways.clock import Clock, micros_of
from fiveways.errors import Fault
from fiveways.ledger.replay import purpose_of
from fiveways.methods.messaging.capacity import Capacity
from fiveways.methods.messaging.collecting import Observations
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.history import History
from fiveways.methods.messaging.mesh import bodies, cursors, faults, headers, parameters, views
from fiveways.methods.messaging.mesh.authorization import NAMESPACE, Proof
from fiveways.methods.messaging.mesh.content import decompressed
from fiveways.methods.messaging.mesh.faults import InvalidRequest, MeshFault
from fiveways.methods.messaging.mesh.filters import question
from fiveways.methods.messaging.records import Draft, all_waiting, first_waiting
from fiveways.methods.messaging.refusals import Empty, Refusal, Reused
from fiveways.methods.messaging.reports import Refused
from fiveways.methods.messaging.routing.resolver import Failure
from fiveways.methods.messaging.routing.router import Router, patient_of
from fiveways.methods.messaging.service import Attest, Claim, Messaging
from fiveways.methods.messaging.states import COLLECTABLE
from fiveways.store.group import GroupWriter
from fiveways.types import Consumer, Interaction, Outcome

Result = TypeVar("Result")
Prove = Callable[[Interaction, str], Proof]
"""Says who calls for a mailbox (upper case). Raises MeshFault."""

_VERSION = re.compile(r"application/vnd\.mesh\.v([0-9]{1,9})\+json")
_RICH = {"inbox": (1, 2000), "outbox": (10, 5000)}
"""Bounds of `max_results` of rich lists."""
_HANDSHAKE = (b"mex-clientversion", b"mex-osname", b"mex-osversion")


@lru_cache(256)
def version_of(accept: str) -> int:
    """The version of the protocol that a client accepts (RFC 9110 §12.5.1): 1 where it does not say, 2 for all later ones."""
    asked = [part.strip() for part in re.split("[,;]", accept) if "vnd.mesh" in part]
    found = [_VERSION.fullmatch(part) for part in asked]
    if None in found:
        raise MeshFault(400, "", "", "Accept header api format incorrect")
    return min(2, max((int(match[1]) for match in found if match is not None), default=1))


class Mesh:
    """Handles the requests of MESH's clients. Faults are answered here, in their words."""

    def __init__(
        self,
        messaging: Messaging,
        directory: Directory,
        prove: Prove,
        group: GroupWriter,
        *,
        capacity: Capacity,
        history: History,
        observations: Observations,
        clock: Clock,
        about: dict[str, str],
        collect_within: timedelta,
        router: Router | None = None,
    ) -> None:
        self._messaging = messaging
        self._directory = directory
        self._prove = prove
        self._group = group
        self._capacity = capacity
        self._history = history
        self._observations = observations
        self._clock = clock
        self._about = about
        self._collect_within = collect_within
        self._router = router

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request."""
        version = 1
        try:
            version = version_of(headers.field(interaction, b"accept"))
            outcome = await self._handle(interaction, version)
        except Refusal as refusal:
            outcome = faults.answer(faults.worded(refusal), version, interaction.id)
        except Fault as fault:
            outcome = faults.answer(fault, version, interaction.id)
        return outcome

    async def _handle(self, interaction: Interaction, version: int) -> Outcome:
        method = interaction.method
        segments = interaction.path.decode("latin-1").split("/")[1:]
        if b"%" in interaction.path:
            segments = [unquote(segment) for segment in segments]
        match method, segments:
            case "GET", ["messageexchange", "_ping"]:
                interaction.name = "ping"
                return bodies.json(self._about)
            case "GET", [_, "endpointlookup", ods_code, workflow]:
                interaction.name = "endpoint.lookup"
                return await self._lookup(workflow, ods_code, version)
            case "GET", [_, "workflowsearch", workflow]:
                interaction.name = "workflow.search"
                return await self._lookup(workflow, None, version)
            case "GET" | "POST", ["messageexchange", mailbox]:
                return await self._handshake(interaction, mailbox, version)
            case "GET", [_, mailbox, "inbox"]:
                return await self._list(interaction, mailbox, version)
            case "GET", [_, mailbox, ("inbox" | "outbox") as box, "rich"]:
                return await self._rich(interaction, mailbox, box)
            case "POST", [_, mailbox, "update"]:
                await self._once(self._proof(interaction, mailbox, "update"), self._claimed)
                return bodies.empty()
            case "GET", [_, mailbox, "count"]:
                return await self._count(interaction, mailbox, version)
            case "HEAD", [_, mailbox, "inbox", message]:
                return await self._head(interaction, mailbox, message)
            case "GET", [_, mailbox, "inbox", message]:
                return await self._collect(interaction, mailbox, message, "1", version)
            case "GET", [_, mailbox, "inbox", message, number]:
                return await self._collect(interaction, mailbox, message, number, version)
            case "PUT", [_, mailbox, "inbox", message, "status", "acknowledged"]:
                return await self._acknowledge(interaction, mailbox, message, version)
            case "POST", [_, mailbox, "outbox"]:
                return await self._send(interaction, mailbox, version)
            case "GET", [_, mailbox, "outbox", "tracking"]:
                return await self._track(interaction, mailbox, version)
            case "GET", [_, mailbox, "outbox", "tracking", local_id]:
                return await self._track_by_local_id(interaction, mailbox, local_id)
            case "POST", [_, mailbox, "outbox", message, number]:
                return await self._add_chunk(interaction, mailbox, message, number, version)
        raise MeshFault(404, "", "", "There is nothing at this path")

    # --- who calls -------------------------------------------------------------------------------------------------------

    def _proof(self, interaction: Interaction, mailbox: str, name: str) -> Proof:
        interaction.name = name
        proof = self._prove(interaction, mailbox.upper())
        interaction.consumer = Consumer(proof.mailbox.id, proof.mailbox.ods_code, "nhsmesh")
        return proof

    async def _once(self, proof: Proof, work: Callable[[Claim | None], Awaitable[Result]], *, repeatable: bool = True) -> Result:
        """Do `work` with the claim on the caller's token, or without it where this is the client's own repeat."""
        try:
            return await work(proof.claim)
        except Reused:
            rows = (await self._group.submit(purpose_of, {"b_namespace": NAMESPACE, "b_value": proof.value}, synced=False)).rows
            if not repeatable or rows != [(proof.purpose,)]:
                raise faults.forbidden("Error Duplicated Authentication Token") from None
            return await work(None)

    # --- paths -----------------------------------------------------------------------------------------------------------

    async def _lookup(self, workflow: str, ods_code: str | None, version: int) -> Outcome:
        """The mailboxes of an organisation, or of all (told in version 2's shape only), that a workflow may be sent to."""
        _not_blank(workflow, "workflow id missing")
        if ods_code is not None:
            _not_blank(ods_code, "ods code missing")
        found = self._directory.receivers(workflow, ods_code)
        observed = await self._observations.of(each.id for each in found) if version >= 2 else {}
        return bodies.lookup(found, version if ods_code is not None else 2, observed)

    async def _handshake(self, interaction: Interaction, mailbox: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "handshake")
        fields = headers.fields_of(interaction)
        missing = [headers.missing(name) for name in _HANDSHAKE if name not in fields]
        if missing:
            raise InvalidRequest(missing)
        await self._once(proof, self._claimed)
        return bodies.json({"mailboxId": proof.mailbox.id}) if version < 2 else bodies.empty()

    async def _claimed(self, claim: Claim | None) -> None:
        if claim is not None and not (await self._group.submit(*claim, synced=False)).rowcount:
            raise Reused

    async def _list(self, interaction: Interaction, mailbox: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "inbox.list")
        asked = parameters.query(interaction)
        limit = parameters.bounded(asked, "max_results", 10, 5000, bodies.DEFAULT_RESULTS)
        wanted = parameters.sized(asked, "workflow_filter", 2, 255)
        behind = await self._behind(parameters.sized(asked, "continue_from", 24, 1000), version)
        takes = proof.mailbox.takes
        at_once = takes.at_once if takes is not None else None
        query: Select[Any] = all_waiting if at_once is None else first_waiting
        besides: dict[str, Any] = {}
        if wanted.strip():
            query, besides = question(wanted, first=at_once is not None)
        if at_once is not None:
            besides["b_first"] = at_once
        listing = await self._once(
            proof,
            lambda claim: self._messaging.waiting(
                proof.mailbox.id, claim, limit=limit, behind=behind, question=query, parameters=besides
            ),
        )
        if version < 2:
            return bodies.json({"messages": listing.messages})
        path = f"{proof.mailbox.id}/inbox"
        said = {"max_results": limit if limit != bodies.DEFAULT_RESULTS else None, "workflow_filter": wanted}
        links = {"self": bodies.link(path, **said)}
        held_back = at_once is not None and listing.messages and listing.count > at_once  # shown once these are acknowledged
        if listing.more or held_back:
            links["next"] = bodies.link(path, **said, continue_from=cursors.after_position(listing.last))
        content = {"messages": listing.messages, "links": links, "approx_inbox_count": listing.count}
        return bodies.json(content, kind=faults.V2)

    async def _behind(self, continue_from: str, version: int) -> int:
        """The position that a list goes on from: version 1 names the last message seen, version 2 has a cursor of ours."""
        if not continue_from:
            return 0
        if version < 2:
            return await self._messaging.position(continue_from.upper()) or 0
        return cursors.position_in(continue_from)

    async def _count(self, interaction: Interaction, mailbox: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "inbox.count")
        await self._once(proof, self._claimed)
        return bodies.inbox_count(await self._messaging.count(proof.mailbox.id), version)

    async def _rich(self, interaction: Interaction, mailbox: str, box: str) -> Outcome:
        """What the public sandbox has beside the specification: everything that a box has seen, newest first."""
        proof = self._proof(interaction, mailbox, f"{box}.rich")
        asked = parameters.query(interaction)
        least, most = _RICH[box]
        limit = parameters.bounded(asked, "max_results", least, most, 100)
        if box == "outbox":
            limit = min(limit, 100)
        since = parameters.moment(asked, "start_time", self._clock.now() - timedelta(days=30))
        behind = cursors.message_in(parameters.sized(asked, "continue_from", 24, 1000))
        await self._once(proof, self._claimed)
        found, more = await self._history.page(box, proof.mailbox.id, since=micros_of(since), behind=behind, limit=limit)
        path, said = f"{proof.mailbox.id}/{box}/rich", {"start_time": bodies.iso(since), "max_results": limit}
        links = {"self": bodies.link(path, **said)}
        if more:
            links["next"] = bodies.link(path, **said, continue_from=cursors.after_message(found[-1].id))
        return bodies.json(views.rich(box, found, links, self._directory, self._collect_within), kind=faults.V2)

    async def _head(self, interaction: Interaction, mailbox: str, message_id: str) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.head")
        message = await self._once(proof, lambda claim: self._messaging.message(message_id.upper(), claim))
        if message is None or proof.mailbox.id not in (message.recipient, message.sender):
            raise faults.does_not_exist()
        if message.recipient == proof.mailbox.id and message.state not in COLLECTABLE:
            raise MeshFault(410, "SEND", "Message already accepted", "Message no longer available for download")
        encoded = [(b"content-encoding", b"gzip")] if message.details.content_encoding else []
        return Outcome(200, [*headers.collected(message, 1), *encoded, (b"content-length", b"0")], b"")

    async def _collect(self, interaction: Interaction, mailbox: str, message_id: str, part: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.collect")
        number = parameters.chunk_number(part)
        message, chunk = await self._once(
            proof, lambda claim: self._messaging.collect(proof.mailbox.id, message_id.upper(), number, claim)
        )
        takes = proof.mailbox.takes
        if takes is not None and takes.rate is not None and number == 1:
            await self._capacity.take(proof.mailbox.id, takes.rate)
        told = headers.collected(message, number)
        if message.kind != "DATA":
            return Outcome(200, [*told, (b"content-length", b"0")], b"")
        if chunk is None:
            raise faults.does_not_exist()
        body: bytes | AsyncIterator[bytes] = self._messaging.content(chunk)
        kind = "application/octet-stream"
        if version >= 2 and message.chunks == 1 and message.details.content_type:
            kind = message.details.content_type
            kind += "; charset=utf-8" if kind.startswith("text/") and "charset" not in kind else ""
        told.append((b"content-type", kind.encode()))
        if message.details.content_encoding and "gzip" not in headers.field(interaction, b"accept-encoding").lower():
            body = decompressed(body)
        else:
            told.append((b"content-length", b"%d" % chunk.size))
            if message.details.content_encoding:
                told.append((b"content-encoding", b"gzip"))
                told = [field for field in told if field[0] != b"mex-content-compressed"] + [(b"mex-content-compressed", b"Y")]
        return Outcome(200 if number == message.chunks else 206, told, body)

    async def _acknowledge(self, interaction: Interaction, mailbox: str, message_id: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.acknowledge")
        attest = _attesting(interaction, 200)
        message = await self._once(
            proof, lambda claim: self._messaging.acknowledge(proof.mailbox.id, message_id.upper(), claim, attest)
        )
        return bodies.json({"messageId": message.id}) if version < 2 else bodies.empty()

    async def _send(self, interaction: Interaction, mailbox: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.send")
        draft = headers.draft(proof.mailbox.id, interaction)
        refused = None
        if self._directory.mailbox(draft.recipient) is None:
            refused = await self._route(draft, interaction)
        elif not self._directory.may(draft.workflow, draft.sender, draft.recipient):
            raise faults.not_registered_for_workflow()
        body = _content(interaction)
        attest = _attesting(interaction, 202)
        once_within = proof.mailbox.deduplicate
        sent = await self._once(
            proof, lambda claim: self._messaging.send(draft, body, claim, attest, once_within, refused), repeatable=False
        )
        if sent.repeated:  # what was attested was not made: this answer has an event of its own
            interaction.attested = 0
            interaction.facts["repeats"] = sent.id
        return bodies.json({"messageID" if version < 2 else "message_id": sent.id}, status=202)

    async def _route(self, draft: Draft, interaction: Interaction) -> Refused | None:
        """Have a message that is addressed to a patient's practice go to its mailbox; why there is none, otherwise.

        From here on the address is in nobody's hands any more: the recipient is the mailbox that was found, or ''.
        """
        router = self._router
        patient = patient_of(headers.field(interaction, b"mex-to")) if router is not None else None
        if router is None or patient is None:
            raise faults.unregistered()
        if not router.may_send(draft.workflow, draft.sender):
            raise faults.not_registered_for_workflow()
        draft.recipient = ""
        found = await router.mailbox(patient, draft.workflow, interaction.correlation)
        if isinstance(found, Failure):
            interaction.facts["refused"] = found.code
            return Refused(found.code, found.words)
        draft.recipient = found
        return None

    async def _add_chunk(self, interaction: Interaction, mailbox: str, message_id: str, part: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.chunk")
        message_id, number = message_id.upper(), parameters.chunk_number(part, least=-(10**9))
        fields = headers.fields_of(interaction)
        total = headers.chunk_of(fields, number, message_id)
        encoding, body = headers.content_encoding(fields), _content(interaction)
        attest, once = _attesting(interaction, 202), proof.mailbox.deduplicate is not None
        try:
            await self._once(
                proof,
                lambda claim: self._messaging.add_chunk(
                    proof.mailbox.id, message_id, number, total, encoding, body, claim, attest, once or claim is None
                ),
            )
        except Refusal as refusal:
            raise faults.worded(refusal, message_id) from refusal
        return bodies.json({"messageID": message_id, "blockID": number} if version < 2 else {"message_id": message_id}, status=202)

    async def _track(self, interaction: Interaction, mailbox: str, version: int) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.track")
        asked = parameters.query(interaction)
        if "messageID" not in asked:
            raise InvalidRequest([parameters.mistake("missing", "messageID", "Field required")])
        message_id = parameters.sized(asked, "messageID", 1, 1000).upper()
        message = await self._once(proof, lambda claim: self._messaging.message(message_id, claim))
        if message is None or message.sender != proof.mailbox.id:  # not 403: nobody learns of others' messages
            raise faults.does_not_exist()
        size = await self._messaging.size(message.id) if version < 2 else 0
        return bodies.tracking(message, size, self._directory, self._collect_within, version)

    async def _track_by_local_id(self, interaction: Interaction, mailbox: str, local_id: str) -> Outcome:
        proof = self._proof(interaction, mailbox, "message.track")
        found = await self._once(proof, lambda claim: self._messaging.by_local_id(proof.mailbox.id, local_id, claim))
        if not found:
            raise faults.does_not_exist()
        if len(found) > 1:
            raise MeshFault(300, "", "", "Multiple Choices")
        size = await self._messaging.size(found[0].id)
        return bodies.tracking(found[0], size, self._directory, self._collect_within, 1)


def _attesting(interaction: Interaction, status: int) -> Attest:
    """Has the outcome's event recorded in the commit of the write that it tells of, where there is an audit."""
    attest = interaction.attest
    return None if attest is None else lambda: attest(interaction, status)


def _content(interaction: Interaction) -> AsyncIterator[bytes]:
    """A request's content, which must be there."""
    if interaction.body is None:
        raise Empty("There is no content")
    return interaction.body


def _not_blank(value: str, otherwise: str) -> str:
    if not value.strip():
        raise MeshFault(400, "", "", otherwise)
    return value
