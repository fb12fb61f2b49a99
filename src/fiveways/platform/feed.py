"""A feed: HL7 v2 that arrives over MLLP is given to an API of the gateway, whose answer is its acknowledgement.

The sender is an application like any other: identity, entitlement, quota and audit apply. What the gateway refuses, before the API
has seen it, is an AE or an AR too: a sender of HL7 v2 reads nothing else.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fiveways.clock import Clock
from fiveways.hl7v2 import acknowledgement, batch
from fiveways.hl7v2.acknowledgement import Code
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.mllp import Limits, MllpListener, Peer, Received
from fiveways.methods.synchronous.transformation.v2 import answers
from fiveways.platform.listeners import Listener
from fiveways.platform.within import Gateway, Token, Within
from fiveways.security.certificates import identify

LARGEST: Final = 1024 * 1024
"""Bytes of an acknowledgement."""
MOST: Final = 1000
"""Messages of one batch: they are handled one after the other, within what the listener gives a message."""
_BYTES: Final = "latin-1"
"""Every byte a character: each message of a batch has a character set of its own."""
_TYPE: Final = answers.CONTENT_TYPE.encode()
_HEAD: Final = 1024
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,199}")


class Feed:
    """One MLLP listener, and the API behind it."""

    def __init__(
        self,
        listener: Listener,
        at: str,
        gateway: Callable[[], Gateway],
        token: Token | None,
        base: Path,
        clock: Clock,
        *,
        handling: float,
        shared: bool = False,
    ) -> None:
        """`at`: the API's base path; `token`: of the application that sends, None where certificates say who that is; `base`: the
        folder that file references start from; `handling`: seconds that a message may take; `shared`: other processes listen there
        too."""
        self._listener = listener
        self._at = at
        self._within = Within(gateway, LARGEST)
        self._token = token
        self._base = base
        self._clock = clock
        self._tls: ssl.SSLContext | None = None
        limits = Limits(message=listener.largest, idle=listener.idle.total_seconds(), handling=handling)
        self._limits = limits
        self._shared = shared
        self._server: MllpListener | None = None

    async def start(self) -> None:
        """Bind and begin to take messages; OSError where the address is taken or a file cannot be read."""
        if self._listener.certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            self.reload()
        host, port = self._listener.address
        self._server = MllpListener(
            self._handle, host=host, port=port, shared=self._shared, tls=self._tls, identify=identify, limits=self._limits
        )
        await self._server.start()

    def reload(self) -> None:
        """Read the certificate files again; connections that are open keep what they have."""
        listener, tls = self._listener, self._tls
        if tls is None or listener.certificate is None or listener.key is None:
            return
        tls.load_cert_chain(listener.certificate.path(self._base), listener.key.path(self._base))
        clients = listener.client_certificates
        if clients is not None:
            tls.load_verify_locations(clients.ca.path(self._base))
            tls.verify_mode = ssl.CERT_REQUIRED if clients.required or self._token is None else ssl.CERT_OPTIONAL

    async def stop(self) -> None:
        """Take no more messages, and answer those under way."""
        if self._server is not None:
            await self._server.stop()

    async def _handle(self, received: Received) -> list[bytes]:
        """What came, answered: a batch by a batch of acknowledgements, each message of it having gone its own way."""
        if not batch.is_several(received.content):
            return await self._one(received.content, received.peer)
        try:
            read = batch.cut(received.content.decode(_BYTES))
            if len(read.messages) > MOST:
                raise MalformedMessage(f"a batch has more than {MOST} messages, which is more than are taken at once")
        except MalformedMessage as error:
            fault = acknowledgement.Fault(acknowledgement.SEGMENT_SEQUENCE, str(error))
            return self._made(received.content, Code.REJECT, fault)
        said_of: list[list[str]] = []
        for one in read.batches:
            said_of.append([])
            for message in one.messages:
                said_of[-1] += [said.decode(_BYTES) for said in await self._one(message.encode(_BYTES), received.peer)]
        if not any(said_of):
            return []
        return [batch.answer(read, said_of, self._clock.now()).encode(_BYTES)]

    async def _one(self, content: bytes, peer: Peer) -> list[bytes]:
        headers = [(b"content-type", _TYPE)]
        if control_id := _control_id(content):
            headers.append((b"x-correlation-id", control_id))
        extensions = {"tls": {"fiveways.identity": peer.identity}} if peer.identity is not None else {}
        answer = await self._within.ask(
            "POST",
            self._at,
            token=self._token,
            headers=headers,
            content=content,
            client=(peer.host, peer.port),
            extensions=extensions,
        )
        if answer.field(b"content-type").startswith(answers.CONTENT_TYPE):
            return answers.apart(answer.content)
        if answer.status < 300 and not answer.content:
            return []
        text = answers.said(answer.content) or f"The gateway answered {answer.status}"
        return self._made(content, answers.code_of(answer.status), acknowledgement.Fault(acknowledgement.INTERNAL, text))

    def _made(self, content: bytes, code: Code, fault: acknowledgement.Fault) -> list[bytes]:
        return answers.apart(answers.answer(answers.header_of(content), code, self._clock.now(), fault))


def _control_id(content: bytes) -> bytes:
    """MSH-10, by which `fiveways trace` finds a message; b'' where it is none that could be an id everywhere."""
    head = content[:_HEAD]
    if head[:3] != b"MSH" or len(head) < 4:
        return b""
    fields = head.split(head[3:4], 10)
    found = fields[9] if len(fields) == 11 else b""
    return found if _ID.fullmatch(found) is not None else b""
