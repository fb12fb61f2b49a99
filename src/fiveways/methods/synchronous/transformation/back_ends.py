"""What may stand behind a transformation besides an HTTP API: a system that takes HL7 v2 over MLLP, or a mailbox."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from fiveways.deployment.settings import Duration, Name, Settings
from fiveways.hl7v2 import charsets
from fiveways.hl7v2.acknowledgement import Code, Wanted, status
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.frames import BadFrame
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.mllp_client import AnswerLate, AnswerLost, MllpClient, NotConnected
from fiveways.methods.synchronous.upstream.faults import UpstreamFaulty, UpstreamTimeout, UpstreamUnreachable
from fiveways.methods.synchronous.upstream.settings import TargetTls
from fiveways.methods.synchronous.upstream.tls import client_context, present
from fiveways.types import Interaction, Outcome

CONTENT_TYPE: Final = b"application/hl7-v2"


def _real_port(value: str) -> str:
    if not 0 < int(value.rpartition(":")[2]) < 65536:
        raise ValueError("expected a port from 1 to 65535")
    return value


class MllpTarget(Settings):
    """A system that takes HL7 v2 over MLLP."""

    address: Annotated[
        str,
        Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", examples=["old-pas.trust.nhs.uk:2575"]),
        AfterValidator(_real_port),
    ]
    """Host and port."""
    tls: TargetTls | None = None
    """TLS, and what differs in it from the machine's defaults; `{}` for none. Default: plain."""
    connections: int = Field(default=1, ge=1, le=64)
    """Connections at once. On one, messages arrive in their order."""
    connect: Duration = timedelta(seconds=5)
    """How long it may take to connect, TLS included."""
    answer: Duration = timedelta(seconds=30)
    """How long the acknowledgement may take."""

    @property
    def url(self) -> str:
        """What it is called: mllp://host:port, or mllps://."""
        return f"{'mllp' if self.tls is None else 'mllps'}://{self.address}"


class MailboxTarget(Settings):
    """A mailbox of this deployment."""

    sender: Name = Field(alias="from")
    """The mailbox that messages come from."""
    to: Name
    """The mailbox that they are put into."""
    workflow: Name
    """Their workflow."""


class MllpBackEnd:
    """The handler that sends a message over MLLP. Its outcome has the acknowledgement as its body, and its status says the same:
    200 for AA and CA; 503 for an error that will pass; 422 for any other."""

    def __init__(self, target: MllpTarget, base: Path) -> None:
        """`base`: the folder that file references start from. OSError or ssl.SSLError where a certificate cannot be used."""
        self.target = target
        host, _, port = target.address.rpartition(":")
        self._base = base
        self._tls = client_context(target.tls, base, protocols=()) if target.tls is not None else None
        self._idle: asyncio.LifoQueue[MllpClient] = asyncio.LifoQueue()
        self._clients = [
            MllpClient(
                host.strip("[]"), int(port), tls=self._tls, connect_timeout=target.connect.total_seconds(),
                answer_timeout=target.answer.total_seconds(),
                server_name=target.tls.server_name if target.tls is not None else None,
            )
            for _ in range(target.connections)
        ]  # fmt: skip
        for client in self._clients:
            self._idle.put_nowait(client)

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Send it once. Raises an UpstreamFault where there is no acknowledgement."""
        body = interaction.body
        content = b"".join([piece async for piece in body]) if body is not None else b""
        sent = Message.parse(charsets.decode(content)[0])
        followed = sent.get("MSH-15") == Wanted.ALWAYS and sent.get("MSH-16") == Wanted.ALWAYS
        interaction.calls += 1
        client = await self._idle.get()
        try:
            answer = await client.send(content, _is_last if followed else None)
        except NotConnected as error:
            raise UpstreamUnreachable("The old system could not be connected to", phase="connect", reached=False) from error
        except AnswerLate as error:
            raise UpstreamTimeout("The old system did not acknowledge in time", phase="first_byte", reached=True) from error
        except (AnswerLost, BadFrame) as error:
            raise UpstreamFaulty("The old system broke off before it acknowledged", phase="first_byte", reached=True) from error
        finally:
            self._idle.put_nowait(client)
        headers = [(b"content-type", CONTENT_TYPE), (b"content-length", b"%d" % len(answer))]
        return Outcome(_judged(sent, answer), headers, answer)

    def reload_tls(self) -> None:
        """Read the certificate files again, without touching the connections that are open; OSError leaves the old in use."""
        if self._tls is not None and self.target.tls is not None:
            present(self._tls, self.target.tls, self._base)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(client.aclose() for client in self._clients))


def _is_last(answer: bytes) -> bool:
    """Whether the application's acknowledgement does not follow: this is it, or the message is not kept."""
    try:
        return Message.parse(charsets.decode(answer)[0]).get("MSA-1") != Code.COMMIT_ACCEPT
    except MalformedMessage:
        return True


def _judged(sent: Message, answer: bytes) -> int:
    """What an acknowledgement says as a status. Raises UpstreamFaulty for one of another message."""
    try:
        acknowledgement = Message.parse(charsets.decode(answer)[0])
    except MalformedMessage as error:
        raise UpstreamFaulty("The old system's acknowledgement cannot be read", phase="first_byte", reached=True) from error
    if acknowledgement.get("MSA-2") != sent.control_id:
        raise UpstreamFaulty("The old system has acknowledged another message", phase="first_byte", reached=True)
    return status(acknowledgement)
