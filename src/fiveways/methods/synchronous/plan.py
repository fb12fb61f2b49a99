"""What an orchestration's plan works with: the granular APIs as clients, and helpers for what most plans do.

A plan is an async callable of the deployment's own (S46). It gets a `Context`, makes its calls, and returns what the consumer is to
be answered. Each call passes the resilience and the audit of the API that it is made to, under the consumer's correlation id;
identity, entitlement and quota were applied once, where the consumer entered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from fiveways.clock import Clock
from fiveways.correlation import Correlation, new_id
from fiveways.errors import Cause, Fault, Party, ProviderFaulty, ProviderTimeout
from fiveways.fhir.bundle import searchset
from fiveways.methods.synchronous import paths
from fiveways.methods.synchronous.answer import whole
from fiveways.methods.synchronous.api import Api
from fiveways.types import Consumer, Headers, Interaction

LARGEST = 16 * 2**20
"""Bytes of a granular answer: a plan holds answers in memory."""
_KEPT = frozenset((400, 404, 409, 410, 412, 422, 503, 504))
"""Statuses of a required call that the consumer gets as they are; others become 502."""


class Reply(msgspec.Struct, frozen=True):
    """What a granular API answered. `fault` is set where the platform answered in its stead: it was not reached, or too slow."""

    api: str
    status: int
    headers: Headers
    body: bytes
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for (2xx)."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body, read as JSON. Raises ProviderFaulty where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise ProviderFaulty(f"{self.api} answered {self.status} with what is no JSON") from None

    def cause(self, name: str) -> Cause:
        """Why the call of this name is not what was asked for, for a consumer to see: its own status is kept."""
        fault = self.fault
        code, issue = (fault.code, fault.issue) if fault is not None else (f"HTTP_{self.status}", "processing")
        said = fault.diagnostics if fault is not None else f"answered {self.status}"
        return Cause(name, self.status, code, issue, said)


class RequiredCallFailed(Fault):
    """A call that the answer cannot do without has failed."""

    code, issue, display = "BAD_GATEWAY", "transient", "A required back end failed"
    party: Party = "provider"

    def __init__(self, name: str, reply: Reply) -> None:
        cause = reply.cause(name)
        super().__init__(f"{name}: {cause.diagnostics}")
        self.status = reply.status if reply.status in _KEPT else 502
        if reply.fault is not None:
            self.code, self.party, self.issue = reply.fault.code, reply.fault.party, reply.fault.issue
            self.headers = dict(reply.fault.headers)
        elif reply.status == 404:
            self.code, self.party, self.issue = "NOT_FOUND", "consumer", "not-found"
        elif self.status < 500:
            self.code, self.party, self.issue = "INVALID_VALUE", "consumer", "processing"
        self.causes = (cause,)


class Granular:
    """A granular API, called from a plan."""

    def __init__(self, api: Api, context: Context) -> None:
        self._api = api
        self._context = context

    async def get(self, path: str, query: Mapping[str, str] | None = None, **how: Any) -> Reply:
        """GET a path below the API's base path."""
        return await self.request("GET", path, query, **how)

    async def post(self, path: str, body: Any, **how: Any) -> Reply:
        """POST a body: bytes, or what is to be JSON."""
        return await self.request("POST", path, body=body, **how)

    async def put(self, path: str, body: Any, **how: Any) -> Reply:
        """PUT a body: bytes, or what is to be JSON."""
        return await self.request("PUT", path, body=body, **how)

    async def delete(self, path: str, **how: Any) -> Reply:
        """DELETE a path."""
        return await self.request("DELETE", path, **how)

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> Reply:
        """Call the API; what it answers, faults too. `within`: seconds, where its own bounds are too long for this plan."""
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        try:
            child = self._context.child(self._api, method, path, query or {}, content, headers or {})
            async with asyncio.timeout(within):
                return await self._call(child)
        except TimeoutError:
            return self._instead(ProviderTimeout(f"It did not answer within the {within:g} s that the plan gives it"))
        except Fault as fault:
            return self._instead(fault)

    async def _call(self, child: Interaction) -> Reply:
        route = child.route = self._api.route(child)
        if route.inner is None:
            raise KeyError(f"{self._api.name} has no operation at {child.below.decode()} that a plan could call")
        outcome = await route.inner(child)
        too_long = ProviderFaulty(f"It answered with more than {LARGEST} bytes, which a plan does not hold")
        body = await whole(outcome.body, LARGEST, too_long)
        return Reply(self._api.name, outcome.status, outcome.headers, body, outcome.fault)

    def _instead(self, fault: Fault) -> Reply:
        return Reply(self._api.name, fault.status, [], b"", fault)


class Context:
    """A request to an orchestration, as its plan sees it."""

    def __init__(self, interaction: Interaction, apis: Mapping[str, Api], names: tuple[str, ...], clock: Clock) -> None:
        self._interaction = interaction
        self._apis = apis
        self._names = names
        self._clock = clock
        self._undo: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self.path = interaction.below.decode("latin-1")
        """The path below the orchestration's base path, as it was sent."""
        self.pending: set[str] = set()
        """Names of the calls under way (`gather`)."""

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return self._interaction.method

    @property
    def consumer(self) -> Consumer:
        """Who calls."""
        return self._interaction.consumer

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one that is given twice, the last."""
        return dict(parse_qsl(self._interaction.query.decode("latin-1"), keep_blank_values=True))

    async def body(self) -> bytes:
        """The request's body, whole. Raises PayloadTooLarge over the API's limit, and what reading it raises."""
        body = self._interaction.body
        return b"".join([piece async for piece in body]) if body is not None else b""

    def api(self, name: str) -> Granular:
        """One of the APIs that `uses:` names. Raises KeyError for another: what a plan depends on is declared."""
        if name not in self._names:
            raise KeyError(f"uses: does not name {name}")
        return Granular(self._apis[name], self)

    async def gather(
        self, required: Mapping[str, Awaitable[Reply]] | None = None, optional: Mapping[str, Awaitable[Reply]] | None = None
    ) -> dict[str, Reply]:
        """Make calls side by side; their replies by name. Raises RequiredCallFailed as soon as a required one is not ok, and then
        the others are cancelled; an optional one that failed is among the replies."""
        needed = dict(required or {})
        calls = {**needed, **(optional or {})}
        tasks = {asyncio.ensure_future(call): name for name, call in calls.items()}
        replies: dict[str, Reply] = {}
        self.pending.update(tasks.values())
        try:
            while tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    name = tasks.pop(task)
                    reply = replies[name] = task.result()
                    self.pending.discard(name)
                    if name in needed and not reply.ok:
                        raise RequiredCallFailed(name, reply)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {name: replies[name] for name in calls}

    @staticmethod
    def bundle(replies: Mapping[str, Reply]) -> dict[str, Any]:
        """Replies as one FHIR Bundle: the resources of those that are ok, and an OperationOutcome for each of the others."""
        found = [reply.json() for reply in replies.values() if reply.ok]
        return searchset(found, [reply.cause(name) for name, reply in replies.items() if not reply.ok])

    @property
    def to_undo(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._undo)

    def compensate(self, name: str, undo: Callable[[], Awaitable[object]]) -> None:
        """Should the plan fail from here on, or the consumer go away, do `undo`; what was registered last is done first."""
        self._undo.append((name, undo))

    async def undone(self) -> list[str]:
        """Do what compensates for the writes that were made; the names of steps that failed."""
        failed = []
        while self._undo:
            name, undo = self._undo.pop()
            try:
                reply = await undo()
                if isinstance(reply, Reply) and not reply.ok:
                    failed.append(name)
            except Exception:
                failed.append(name)
        return failed

    def child(
        self, api: Api, method: str, path: str, query: Mapping[str, str], body: bytes | None, headers: Mapping[str, str]
    ) -> Interaction:
        """The interaction of a call to a granular API, part of the consumer's. Raises InvalidValue for a path with dot segments."""
        own = self._interaction
        below = quote(path, safe="/:@!$&'()*+,;=-._~%").encode()
        said = {"accept": "application/fhir+json" if api.fhir else "application/json", **{k.lower(): v for k, v in headers.items()}}
        if body is not None:
            said.setdefault("content-type", said["accept"])
        sent: Headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in said.items()]
        trace = dict(own.headers)
        sent += [(name, trace[name]) for name in (b"traceparent", b"tracestate") if name in trace]
        ids = own.correlation
        child = Interaction(
            new_id(), method, api.base + below, urlencode(query).encode(), sent, {b"host": own.fields.get(b"host", b"")},
            _once(body) if body is not None else None, len(body) if body is not None else None,
            Correlation(ids.request_id, ids.correlation_id, trace.get(b"traceparent"), trace.get(b"tracestate")),
            self._clock.monotonic(), own.scope,
        )  # fmt: skip
        paths.check(child.path, child.query)  # a plan may have put into it what a consumer sent
        child.below, child.api, child.consumer = below, api.name, own.consumer
        own.calls += 1
        return child


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
