"""The HTTP/1.1 engine: one request, one connection, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from fiveways.clock import Clock
from fiveways.errors import MalformedRequest
from fiveways.methods.synchronous.upstream.chunked import LAST_CHUNK
from fiveways.methods.synchronous.upstream.connection import Connection
from fiveways.methods.synchronous.upstream.dial import Dialer
from fiveways.methods.synchronous.upstream.faults import UpstreamFaulty
from fiveways.methods.synchronous.upstream.message import IDEMPOTENT, UpstreamAnswer, UpstreamRequest
from fiveways.methods.synchronous.upstream.pool import Pool
from fiveways.methods.synchronous.upstream.request_head import RequestHead
from fiveways.methods.synchronous.upstream.settings import Target


class Http1:
    """Exchanges with one target over HTTP/1.1."""

    def __init__(self, target: Target, *, base: Path, clock: Clock) -> None:
        authority = urlsplit(target.url).netloc.encode()
        through_proxy = target.proxy is not None and target.url.startswith("http:")
        self._head = RequestHead(authority, absolute=b"http://" + authority if through_proxy else b"")
        self._dialer = Dialer(target, base)
        self._pool = Pool(target, self._dialer, clock)

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Exactly one attempt, but for one case: a connection that had rested turns out to have been closed meanwhile.

        Then a request that may be sent twice, and can be, is sent once more on another connection (RFC 9112 §9.3.1).
        """
        data = self._head.render(request)
        method, body = request.method, request.body
        idempotent = method in IDEMPOTENT
        stream: AsyncIterator[bytes] | None = None
        if body is not None:
            if isinstance(body, bytes):
                data += body
            else:
                stream = body
        connection = self._pool.take(certain=not idempotent)
        again = idempotent and stream is None
        if connection is None:
            connection = await self._pool.acquire()
        while True:
            answer = connection.request(data, bodyless=method == b"HEAD")
            if stream is not None:
                connection.sent = False
                connection.send_with(asyncio.create_task(_send_body(connection, stream, request.length)))
            try:
                return await answer
            except asyncio.CancelledError:
                connection.abort()
                raise
            except UpstreamFaulty:
                if not (again and connection.stale):
                    raise
            again = False
            connection = await self._pool.acquire()

    async def close(self) -> None:
        """Wait for the exchanges under way, then close every connection."""
        await self._pool.close()

    def reload_tls(self) -> None:
        """Read the certificate files again; connections opened with the old ones end with the exchange they are in."""
        self._dialer.load_tls()
        self._pool.drop_idle()


async def _send_body(connection: Connection, body: AsyncIterator[bytes], length: int | None) -> None:
    """Send a body as it comes. Whatever goes wrong with it breaks the exchange off, as the back end would wait in vain."""
    left = length
    try:
        async for data in body:
            if not data:
                continue
            if left is None:
                await connection.write((b"%x\r\n" % len(data), data, b"\r\n"))
                continue
            left -= len(data)
            if left < 0:
                raise MalformedRequest("The request body is longer than its Content-Length.")
            await connection.write((data,))
        if left is None:
            await connection.write((LAST_CHUNK,))
        elif left:
            raise MalformedRequest("The request body is shorter than its Content-Length.")
        connection.sent = True
    except Exception as failure:  # a consumer's fault or a defect: for whoever awaits the answer
        connection.fail(failure)
