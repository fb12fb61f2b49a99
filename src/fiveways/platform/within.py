"""Requests that begin within the platform: they go through the gateway as an application of the deployment, with a token of its
own, and so through identity, entitlement, quota and audit. Only the sockets are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fiveways.clock import Clock
from fiveways.correlation import Correlation, new_id
from fiveways.errors import FivewaysError
from fiveways.methods.synchronous.request import Receive, Scope, Send
from fiveways.platform.model import Deployment
from fiveways.security import scopes
from fiveways.security.tokens import TokenIssuer
from fiveways.types import Headers

Gateway = Callable[[Scope, Receive, Send], Awaitable[None]]


class Record(Protocol):
    """Keeps in the audit that a token was issued: returns once that is durable."""

    async def __call__(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        """`details` hold no credentials."""
        ...


class AnswerTooLarge(FivewaysError):
    """An answer is larger than whoever asked takes."""


class Token:
    """An application's access token to one API, made anew when its time is nearly over; recorded, as every token is, before it is
    used. `why` is what it is for, as the audit has it."""

    def __init__(
        self, application: str, api: str, why: str, deployment: Deployment, issuer: TokenIssuer, record: Record, clock: Clock
    ) -> None:
        self._application = application
        self._client_id = deployment.applications[application].client_id or application
        self._scopes = frozenset((scopes.application(api),))
        self._why = why
        self._issuer = issuer
        self._record = record
        self._clock = clock
        self._token = ""
        self._good_until = 0.0
        self._making = asyncio.Lock()

    async def get(self) -> str:
        """A token that is good for a while."""
        if self._clock.time() < self._good_until:
            return self._token
        async with self._making:
            if self._clock.time() >= self._good_until:
                issued = self._issuer.issue(self._application, self._client_id, self._scopes)
                details = {
                    "grant_type": self._why, "jti": issued.grant.jti, "level": issued.grant.level,
                    "scopes": sorted(issued.grant.scopes), "expires": int(issued.grant.expires),
                }  # fmt: skip
                await self._record("token.issued", application=self._application, outcome="issued", details=details)
                self._token, self._good_until = issued.token, issued.grant.expires - issued.expires_in / 10
            return self._token

    def refused(self, token: str) -> None:
        """It was not taken: it has been revoked, or its key withdrawn."""
        if token == self._token:
            self._good_until = 0.0


@dataclass(slots=True)
class Answer:
    """What the gateway has answered."""

    status: int = 0
    headers: Headers | Sequence[tuple[bytes, bytes]] = ()
    content: bytes = b""

    def field(self, name: bytes) -> str:
        """A header field; '' where there is none."""
        return dict(self.headers).get(name, b"").decode("latin-1")


class Within:
    """The gateway, for callers in this process. `gateway` is asked for at each request; `largest`: bytes of an answer."""

    def __init__(self, gateway: Callable[[], Gateway], largest: int) -> None:
        self._gateway = gateway
        self._largest = largest

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        token: Token | None = None,
        headers: Headers | None = None,
        content: bytes = b"",
        correlation: Correlation | None = None,
        client: tuple[str, int] = ("127.0.0.1", 0),
        extensions: dict[str, Any] | None = None,
    ) -> Answer:
        """The answer to a request. A token that is not taken is replaced once. `correlation`: the conversation it is part of."""
        given = await token.get() if token is not None else ""
        sent: Headers = [(b"host", b"localhost"), *(headers or ())]
        if content:
            sent.append((b"content-length", b"%d" % len(content)))
        if correlation is not None:
            sent += [(b"x-request-id", new_id().encode()), (b"x-correlation-id", correlation.correlation_id)]
            if correlation.traceparent is not None:
                sent.append((b"traceparent", correlation.traceparent))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
            "headers": sent, "client": client, "server": ("localhost", None), "extensions": extensions or {},
        }  # fmt: skip
        answer = await self._asked(scope, content, given)
        if answer.status == 401 and token is not None:
            token.refused(given)
            answer = await self._asked(scope, content, await token.get())
        return answer

    async def _asked(self, scope: dict[str, Any], content: bytes, token: str) -> Answer:
        call = _Call(content, self._largest)
        if token:
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", b"Bearer " + token.encode())]}
        # A task of its own: to the gateway a task is an exchange, and the one that runs this is its caller's.
        await asyncio.create_task(_called(self._gateway()(scope, call.receive, call.send)))
        return call.answer


class _Call:
    """What an ASGI application is given, and what it sends."""

    def __init__(self, content: bytes, largest: int) -> None:
        self.answer = Answer()
        self._content: bytes | None = content
        self._largest = largest

    async def receive(self) -> Scope:
        """The request's body, once; then a client that sends nothing more, and does not go away: whoever gives up cancels."""
        content, self._content = self._content, None
        if content is None:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(self, message: Scope) -> None:
        """Take a message of the application's in."""
        answer = self.answer
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], message["headers"]
        elif message["type"] == "http.response.body":
            answer.content += message.get("body", b"")
            if len(answer.content) > self._largest:
                raise AnswerTooLarge(f"an answer of more than {self._largest} bytes")


async def _called(call: Awaitable[None]) -> None:
    await call
