"""MESH as a tester has it in a sandbox: answers that fail or come late, client certificates that are demanded."""

from __future__ import annotations

import asyncio
from typing import NoReturn, Self
from urllib.parse import unquote

from fiveways.deployment.settings import parse_duration
from fiveways.methods.messaging.mesh import faults, headers
from fiveways.methods.messaging.mesh.authorization import Proof, Tokens
from fiveways.methods.messaging.mesh.faults import MeshFault
from fiveways.methods.messaging.mesh.routes import version_of
from fiveways.methods.messaging.trials import Failures, Operation, Trials
from fiveways.security.certificates import presented
from fiveways.types import Handler, Interaction, Outcome

_ASKED = "A tester has asked for this answer"


class CertificatesOnDemand:
    """Checks, besides tokens, that a certificate of the authority that the listener trusts was shown, where a tester says so."""

    def __init__(self, tokens: Tokens, trials: Trials) -> None:
        self._tokens = tokens
        self._trials = trials

    def check(self, interaction: Interaction, mailbox_id: str) -> Proof:
        """Who calls for `mailbox_id`. Raises MeshFault."""
        proof = self._tokens.check(interaction, mailbox_id)
        if self._trials.demands_certificate(proof.mailbox.id) and presented(interaction) is None:
            raise faults.forbidden("Client certificate is missing or not one of the mailbox's")
        return proof


class Disturbed:
    """A handler of MESH's requests whose answers fail as a tester has announced."""

    def __init__(self, handler: Handler, trials: Trials) -> None:
        self._handler = handler
        self._trials = trials

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request, or as announced."""
        failure = self._trials.fails(*asked(interaction)) if self._trials.failures else None
        if failure is None:
            return await self._handler(interaction)
        interaction.facts["disturbed"] = str(failure.answer)
        await asyncio.sleep(parse_duration(failure.delay).total_seconds())
        if failure.answer == "own":
            return await self._handler(interaction)
        if failure.done:
            await (await self._handler(interaction)).aclose()
        elif interaction.body is not None:
            async for _ in interaction.body:
                pass
        return _failed(interaction, failure)


def _failed(interaction: Interaction, failure: Failures) -> Outcome:
    if isinstance(failure.answer, int):
        return faults.answer(MeshFault(failure.answer, "", "", _ASKED), _version(interaction), interaction.id)
    return Outcome(503, [], _Cut(), MeshFault(503, "", "", _ASKED))


def _version(interaction: Interaction) -> int:
    try:
        return version_of(headers.field(interaction, b"accept"))
    except MeshFault:
        return 1


class _Cut:
    """A body of which nothing comes: the connection is cut before a byte of the answer is sent."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NoReturn:
        raise MeshFault(503, "", "", _ASKED)


def asked(interaction: Interaction) -> tuple[str, Operation]:
    """The mailbox that a request is for ('' where it is for none), and what it is."""
    segments = [unquote(segment) for segment in interaction.path.decode("latin-1").split("/")[2:]]
    mailbox, rest = segments[0].upper() if segments else "", segments[1:]
    operation: Operation = "other"
    match interaction.method, rest:
        case _ if mailbox in ("ENDPOINTLOOKUP", "WORKFLOWSEARCH"):
            return "", "lookup"
        case _ if mailbox == "_PING":
            return "", "other"
        case "GET" | "POST", []:
            operation = "handshake"
        case "GET", ["inbox"] | ["inbox" | "outbox", "rich"]:
            operation = "list"
        case "GET", ["count"]:
            operation = "count"
        case "HEAD", ["inbox", _]:
            operation = "head"
        case "GET", ["inbox", _] | ["inbox", _, _]:
            operation = "collect"
        case "PUT", ["inbox", _, "status", "acknowledged"]:
            operation = "acknowledge"
        case "POST", ["outbox"]:
            operation = "send"
        case "POST", ["outbox", _, _]:
            operation = "chunk"
        case "GET", ["outbox", "tracking", *_]:
            operation = "track"
        case "POST", ["update"]:
            operation = "update"
    return mailbox, operation
