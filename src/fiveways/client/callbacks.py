"""Outcomes that are brought: an ASGI application that a deployment calls back, and a server for it.

    POST (any path)         the outcome's body as the provider made it, and beside it
    Fiveways-Signature      who says so (`signing.py`): without a good one nothing is believed (401)
    X-Request-ID            the job's id with us, or else
    Content-Location        where it is asked after
    Fiveways-Status         the outcome's own status
    Fiveways-Event: ping    instead of these: is anybody there?

What is answered with 204 is durable in the ledger. An outcome that comes again is answered with 204 again, and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyreqwest.http import Url

from fiveways.client.answer import Answer, Fields
from fiveways.client.content import decompressed
from fiveways.client.errors import ClientError, Garbled
from fiveways.client.jobs import Jobs
from fiveways.client.ledger import Ledger
from fiveways.client.origins import Origins
from fiveways.signing import HEADER, SHORTEST, BadSignature, verify

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_STATUS = re.compile(r"[2-5][0-9]{2}")
_KEPT = ("content-type", "content-location", "content-encoding", "x-correlation-id", "x-request-id")
"""Header fields that are kept with an outcome; of encodings, those that are not undone."""


class _Refused(Exception):
    """A callback that is not taken: the status that it is answered with, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Body:
    """A request's body as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.over = False
        """Whether nothing more of it comes."""

    async def piece(self) -> bytes:
        """The next of it; _Refused (400) where the connection ended before."""
        message = await self._receive()
        if message["type"] != "http.request":
            self.over = True
            raise _Refused(400, "it broke off")
        self.over = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def let_go(self, most: int) -> None:
        """Read what still comes, up to `most` bytes and a second: who is sending would not see its answer (RFC 9112 §9.6)."""
        with suppress(_Refused, TimeoutError):
            async with asyncio.timeout(1):
                while not self.over and most > 0:
                    most -= len(await self.piece())


class Receiver:
    """Takes outcomes into a ledger. `secrets` are those that the deployment signs with: two while one takes the other's place.

    `url`: only jobs that were submitted to this deployment. A body of more than `largest` bytes is refused (413), one that takes
    longer than `patience` too (408), and what is more than `at_once` (503). ClientError for a secret of fewer than 16 bytes.
    """

    def __init__(
        self,
        ledger: Ledger,
        secrets: Sequence[bytes],
        *,
        url: str = "",
        largest: int = 32 * 1024 * 1024,
        patience: timedelta = timedelta(seconds=30),
        at_once: int = 32,
    ) -> None:
        if not secrets or any(len(secret) < SHORTEST for secret in secrets):
            raise ClientError(f"a callback's secret has {SHORTEST} bytes or more")
        self._jobs, self._clock, self._secrets = Jobs(ledger), ledger.clock, tuple(secrets)
        self._party = Origins(url).origin if url else ""
        self._largest, self._patience, self._left = largest, patience.total_seconds(), at_once

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"there is nothing here over {scope['type']}")
        if self._left < 1:
            await _answer(send, 503, "there is too much to do just now", [(b"retry-after", b"1")])
            return
        self._left -= 1
        body = _Body(receive)
        try:
            await self._taken(scope, body)
        except _Refused as refusal:
            log.warning("a callback was refused (%d): %s", refusal.status, refusal)
            if refusal.status != 408:
                await body.let_go(self._largest)
            await _answer(send, refusal.status, str(refusal), [(b"allow", b"POST")] if refusal.status == 405 else [])
        else:
            await _answer(send, 204)
        finally:
            self._left += 1

    async def _taken(self, scope: MutableMapping[str, Any], coming: _Body) -> None:
        if scope["method"] != "POST":
            raise _Refused(405, "callbacks are posted")
        said = Fields((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        body = await self._read(said, coming)
        try:
            verify(self._secrets, said.get(HEADER, ""), body, self._clock.time())
        except BadSignature as error:
            raise _Refused(401, str(error)) from None
        if said.get("fiveways-event", "").lower() == "ping":
            return
        status = said.get("fiveways-status", "")
        if not _STATUS.fullmatch(status):
            raise _Refused(400, "Fiveways-Status says what the outcome's status is, from 200 on")
        request_id = said.get("x-request-id", "")
        request = await asyncio.to_thread(self._jobs.called, request_id.lower(), _plain(said.get("content-location", "")))
        if request is None or (self._party and request.party != self._party):
            raise _Refused(404, "there is no such job")
        packed = said.get("content-encoding", "").lower() == "gzip"
        if packed:  # as an outcome that is asked for is
            body = await asyncio.to_thread(self._unpacked, body)
        names = [name for name in _KEPT if not (packed and name == "content-encoding")]
        kept = Fields((name, value) for name, value in said.pairs() if name in names)
        answer = Answer(int(status), kept, body, request.id, request.correlation)
        await asyncio.to_thread(self._jobs.ended, request.id, answer, "callback")
        log.info("job %s: its outcome was brought", request.id)

    def _unpacked(self, body: bytes) -> bytes:
        found = bytearray()
        try:
            for piece in decompressed([body]):
                found += piece
                if len(found) > self._largest:
                    raise _Refused(413, f"outcomes have up to {self._largest} bytes")
        except Garbled as error:
            raise _Refused(400, str(error)) from None
        return bytes(found)

    async def _read(self, said: Fields, coming: _Body) -> bytes:
        if HEADER.lower() not in said:
            raise _Refused(401, "there is no signature")
        length = said.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._largest:
            raise _Refused(413, f"outcomes have up to {self._largest} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience):
                while not coming.over:
                    body += await coming.piece()
                    if len(body) > self._largest:
                        raise _Refused(413, f"outcomes have up to {self._largest} bytes")
        except TimeoutError:
            raise _Refused(408, "the body did not come in time") from None
        return bytes(body)


async def serve_callbacks(
    receiver: Receiver,
    host: str = "127.0.0.1",
    port: int = 8090,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve a receiver until cancelled; `certificate` and `key` (PEM files) for TLS. OSError where the address is taken."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    (await asyncio.start_server(_nobody, host, port)).close()  # granian says nothing where it cannot listen
    server = Server(
        receiver,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=64 * 1024),
        log_enabled=False,
        ssl_cert=certificate,
        ssl_key=key,
    )
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait([serving], timeout=5)
        serving.cancel()
        await asyncio.wait([serving])


def _nobody(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _plain(url: str) -> str:
    """An address as the ledger has it; '' for what is none."""
    try:
        return str(Url(url)) if url else ""
    except ValueError:
        return ""


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, status: int, why: str = "", headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    body = json.dumps({"status": status, "title": why}).encode() if why else b""
    said = [*headers, *([(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))] if body else [])]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": body})
