"""The connection to a back end: the one thing through which the gateway reaches a provider."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from fiveways.clock import Clock
from fiveways.methods.synchronous.upstream.http1 import Http1
from fiveways.methods.synchronous.upstream.http2 import Http2
from fiveways.methods.synchronous.upstream.message import UpstreamAnswer, UpstreamRequest
from fiveways.methods.synchronous.upstream.settings import Target


class Engine(Protocol):
    """A version of HTTP, spoken."""

    def send(self, request: UpstreamRequest) -> Coroutine[Any, Any, UpstreamAnswer]:
        """As `Upstream.send`."""
        ...

    async def close(self) -> None:
        """As `Upstream.close`."""
        ...

    def reload_tls(self) -> None:
        """As `Upstream.reload_tls`."""
        ...


class Upstream:
    """A target's connections. `base` is the folder that file references start from; made and used in one event loop.

    `path` is the raw path of the target's URL without a trailing slash: a request's target starts with it.
    """

    def __init__(self, target: Target, *, base: Path, clock: Clock) -> None:
        self.target = target
        self.path = urlsplit(target.url).path.rstrip("/").encode()
        self._engine: Engine = (Http2 if target.http == "2" else Http1)(target, base=base, clock=clock)

    def send(self, request: UpstreamRequest) -> Coroutine[Any, Any, UpstreamAnswer]:
        """Send the request once and bring its answer: an UpstreamFault says what went wrong and whether it was `reached`.

        ValueError: the request cannot be written so that it means one thing only. A fault that the request's body raises while
        it is sent comes out of here too. Cancelling breaks the exchange off.
        """
        return self._engine.send(request)

    async def close(self) -> None:
        """Take no more requests, wait for those under way (their time-outs bound it), close all connections."""
        await self._engine.close()

    def reload_tls(self) -> None:
        """Read the certificate files again, without touching the exchanges under way; OSError leaves the old in use."""
        self._engine.reload_tls()
