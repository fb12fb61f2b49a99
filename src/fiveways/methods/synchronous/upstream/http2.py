"""The HTTP/2 engine: pyreqwest behind the same seam, with everything it would do of its own accord turned off.

What differs from HTTP/1.1, because the library leaves no choice: `accept: */*` and `user-agent: fiveways` are sent where the
request has none; a private CA is trusted beside the machine's and not instead of them; a target that a URL parser would write
otherwise, and a header value outside ASCII, are refused either way; a body always streams; and a request given up before its
answer has begun keeps its stream until the answer comes or the total time-out has passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PoolTimeoutError, RequestError
from pyreqwest.http import Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from fiveways.clock import Clock
from fiveways.errors import Fault, MalformedRequest
from fiveways.methods.synchronous.upstream.faults import (
    Phase,
    UpstreamBusy,
    UpstreamFault,
    UpstreamFaulty,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fiveways.methods.synchronous.upstream.message import HOP_BY_HOP, IDEMPOTENT, UpstreamAnswer, UpstreamRequest
from fiveways.methods.synchronous.upstream.request_head import check_request
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.types import Headers

_OWN = HOP_BY_HOP | {b"host", b"content-length"}
_NO_CONTENT = frozenset({204, 304})


def build_client(target: Target, base: Path) -> Client:
    """A client for `target`; OSError or ValueError where its certificate files are of no use."""
    builder = (
        ClientBuilder()
        .http2_prior_knowledge()
        .http2_max_header_list_size(target.limits.header_bytes)
        .http2_adaptive_window(True)
        .follow_redirects(False)
        .referer(False)
        .default_cookie_store(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .no_proxy()
        .user_agent("fiveways")
        .timeout(target.timeout.total + timedelta(seconds=1))
        .connect_timeout(target.timeout.connect)
        .pool_timeout(target.timeout.connect)
        .pool_idle_timeout(target.idle)
        .max_connections(target.connections)
        .min_tls_version("TLSv1.2")
    )
    if target.proxy is not None:
        builder = builder.proxy(ProxyBuilder.all(target.proxy))
    if target.tls is not None:
        if target.tls.ca is not None:
            builder = builder.add_root_certificate_pem(target.tls.ca.resolve(base))
        if target.tls.certificate is not None and target.tls.key is not None:
            builder = builder.identity_pem(target.tls.certificate.resolve(base) + b"\n" + target.tls.key.resolve(base))
    return builder.build()


class Http2:
    """Exchanges with one target over HTTP/2.

    The library sends a request again only where the back end has refused its stream or gone away without looking at it
    (RFC 9113 §8.7), and never one whose body it cannot copy: what is not idempotent is handed to it as a stream therefore.
    """

    def __init__(self, target: Target, *, base: Path, clock: Clock) -> None:
        parts = urlsplit(target.url)
        self._target = target
        self._base = base
        self._clock = clock
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._authority = Url(self._origin).authority
        self._client = build_client(target, base)
        self._active = 0
        self._closing = False
        self._empty: asyncio.Future[None] | None = None

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """As `Upstream.send`."""
        check_request(request)
        if self._closing:
            raise UpstreamBusy("The connections to the back end are being closed.", phase="pool", reached=False)
        exchange = _Exchange(self._target, self._clock, self)
        call = self._call(request, exchange)
        self._active += 1
        return await exchange.start(call, bodyless=request.method == b"HEAD")

    def _call(self, request: UpstreamRequest, exchange: _Exchange) -> StreamRequest:
        try:
            url = Url(self._origin + request.target.decode("ascii"))
            headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers if name.lower() not in _OWN]
        except UnicodeDecodeError:
            raise MalformedRequest("The request has bytes outside ASCII, which its back end cannot be sent.") from None
        rendered = url.path if url.query_string is None else f"{url.path}?{url.query_string}"
        if url.authority != self._authority or rendered.encode() != request.target:
            raise MalformedRequest("The path or query has characters that must be percent-encoded.")
        body = request.body
        length = len(body) if isinstance(body, bytes) else request.length
        if body is None and request.method in (b"POST", b"PUT", b"PATCH"):
            length = 0
        if length is not None:
            headers.append(("content-length", str(length)))
        builder = self._client.request(request.method.decode("ascii"), url).headers(headers)
        if isinstance(body, bytes) and request.method in IDEMPOTENT:
            builder = builder.body_bytes(body)
        elif body is not None or request.method not in IDEMPOTENT:
            builder = builder.body_stream(exchange.sending(body, length))
        return builder.streamed_read_buffer_limit(0).build_streamed()

    def ended(self) -> None:
        """An exchange is over."""
        self._active -= 1
        if self._empty is not None and self._active == 0 and not self._empty.done():
            self._empty.set_result(None)

    async def close(self) -> None:
        """As `Upstream.close`."""
        self._closing = True
        if self._active:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=self._target.timeout.total.total_seconds())
        await self._client.close()

    def reload_tls(self) -> None:
        """As `Upstream.reload_tls`: the old client goes with the last exchange that it carries."""
        self._client = build_client(self._target, self._base)


class _Exchange:
    """One request and its answer; also the answer's body. Each wait is bounded, and the whole by `total`."""

    def __init__(self, target: Target, clock: Clock, engine: Http2) -> None:
        timeout = target.timeout
        self._first_byte = timeout.first_byte.total_seconds()
        self._progress = timeout.progress.total_seconds()
        self._total = timeout.total.total_seconds()
        self._connect = timeout.connect.total_seconds()
        self._most_headers = target.limits.header_count
        self._clock = clock
        self._until = clock.monotonic() + self._total
        self._engine = engine
        self._call: StreamRequest | None = None
        self._response: Response | None = None
        self._bound: asyncio.Timeout | None = None
        self._phase: Phase = "first_byte"
        self._failure: BaseException | None = None
        self._ended = False

    async def start(self, call: StreamRequest, *, bodyless: bool) -> UpstreamAnswer:
        """Send the request and wait for the answer's head."""
        self._call = call
        try:
            async with asyncio.timeout(None) as self._bound:
                self._wait("first_byte", self._connect + self._first_byte)
                response = await call.__aenter__()
            self._response = response
            headers = self._headers(response)
        except asyncio.CancelledError:
            await self._end()
            raise
        except Exception as error:
            fault = self._fault(error)
            await self._end()
            raise fault from error
        self._bound = None
        self._phase = "body"
        if bodyless or response.status in _NO_CONTENT or response.get_header("content-length") == "0":
            await self._end()
            return UpstreamAnswer(response.status, headers, b"")
        return UpstreamAnswer(response.status, headers, self)

    def _headers(self, response: Response) -> Headers:
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        if len(headers) > self._most_headers:
            raise ValueError("too many header fields")
        return [field for field in headers if field[0] not in HOP_BY_HOP]

    def _wait(self, phase: Phase, seconds: float) -> None:
        """Bound what is being waited for: `seconds` from now, and never beyond the total."""
        if self._bound is None:
            return
        left = self._until - self._clock.monotonic()
        self._phase = "total" if left < seconds else phase
        self._bound.reschedule(asyncio.get_running_loop().time() + min(seconds, left))

    async def sending(self, body: AsyncIterator[bytes] | bytes | None, length: int | None) -> AsyncIterator[bytes]:
        """The request's body on its way out, checked against its length."""
        try:
            if isinstance(body, bytes):
                yield body
            elif body is not None:
                left = length
                self._wait("total", self._total)
                async for data in body:
                    if left is not None:
                        left -= len(data)
                        if left < 0:
                            raise MalformedRequest("The request body is longer than its Content-Length.")
                    self._wait("request", self._progress)
                    yield data
                    self._wait("total", self._total)
                if left:
                    raise MalformedRequest("The request body is shorter than its Content-Length.")
            self._wait("first_byte", self._first_byte)
        except Exception as failure:
            self._failure = failure
            raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the answer's body."""
        if self._response is None or self._ended:
            raise StopAsyncIteration
        try:
            while True:
                async with asyncio.timeout(None) as self._bound:
                    self._wait("body", self._progress)
                    piece = await self._response.body_reader.read_chunk()
                if piece is None:
                    raise StopAsyncIteration
                if len(piece):
                    return bytes(piece)
        except (StopAsyncIteration, asyncio.CancelledError):
            await self._end()
            raise
        except Exception as error:
            fault = self._fault(error)
            await self._end()
            raise fault from error

    async def aclose(self) -> None:
        """Stop: the stream is reset where it has not ended."""
        await self._end()

    async def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._engine.ended()
        if self._call is not None and self._response is not None:
            await self._call.__aexit__(None, None, None)
        self._response = None

    def _fault(self, error: BaseException) -> BaseException:
        """`error` in this project's terms."""
        if isinstance(self._failure, Fault):
            return self._failure
        if isinstance(error, UpstreamFault):
            return error
        if isinstance(error, PoolTimeoutError):
            return UpstreamBusy("All connections to the back end are in use.", phase="pool", reached=False)
        unreached = isinstance(error, RequestError) and _before_sending(error)
        if isinstance(error, TimeoutError) and unreached:
            return UpstreamTimeout("Connecting to the back end took too long.", phase="connect", reached=False)
        if unreached:
            return UpstreamUnreachable("The back end could not be connected to.", phase="connect", reached=False)
        if isinstance(error, TimeoutError):
            return UpstreamTimeout("The back end did not keep to its time.", phase=self._phase, reached=True)
        if isinstance(error, RequestError):
            return UpstreamFaulty("The back end broke the exchange off.", phase=self._phase, reached=True)
        if isinstance(error, ValueError) and self._response is not None:
            return UpstreamFaulty("The back end's answer is malformed.", phase=self._phase, reached=True)
        return error


def _before_sending(error: RequestError) -> bool:
    """Whether a connection was not even made. The class ConnectError does not say so: it covers connections that broke later."""
    causes = error.details.get("causes") or []
    return any(cause["message"] == "client error (Connect)" for cause in causes)
