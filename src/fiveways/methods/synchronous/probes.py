"""`_ping` and `_status`, per API and for the platform: is it up, and is what it stands on well?

`_ping` is open and touches nothing. `_status` needs a status key in the header `apikey`, since it tells of the inside, and asks
the back end for its `health` path where one is declared.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from fiveways.errors import Fault, NotFound
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.types import Handler, Interaction, Outcome

Check = Callable[[], Awaitable[Mapping[str, Any]]]
"""Looks at one thing and says how it is: at least `status` ('pass', 'warn' or 'fail')."""


@dataclass(slots=True, frozen=True)
class Release:
    """What is running, as probes report it."""

    version: str
    revision: str = ""
    release_id: str = ""
    commit_id: str = ""

    def fields(self) -> dict[str, str]:
        """The four fields that every probe begins with."""
        return {
            "version": self.version, "revision": self.revision, "releaseId": self.release_id, "commitId": self.commit_id,
        }  # fmt: skip


def ping(release: Release) -> Handler:
    """A handler for `_ping`."""
    body = msgspec.json.encode(release.fields())

    async def answer(_: Interaction) -> Outcome:
        return _json(200, body)

    return answer


@dataclass(slots=True)
class Status:
    """A handler for `_status`. `keys` are the SHA-256 hashes ('sha256:…') of the keys that may ask."""

    release: Release
    keys: tuple[str, ...]
    checks: Mapping[str, Check] = field(default_factory=dict)

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Run the checks for whoever has a key; 401 for everybody else."""
        sent = interaction.fields.get(b"apikey", b"")
        digest = "sha256:" + hashlib.sha256(sent).hexdigest()
        known = [hmac.compare_digest(digest, key) for key in self.keys]
        if not any(known):
            return _json(401, b'{"error":"Access Denied"}')
        checks = {name: await check() for name, check in self.checks.items()}
        worst = "fail" if any(c["status"] == "fail" for c in checks.values()) else "pass"
        if worst == "pass" and any(c["status"] == "warn" for c in checks.values()):
            worst = "warn"
        return _json(200, msgspec.json.encode({"status": worst, **self.release.fields(), "checks": checks}))


def breaker(*breakers: Breaker) -> Check:
    """A check of a back end by how its breakers stand (the worst of them), without asking it anything."""

    async def check() -> Mapping[str, Any]:
        states = {breaker.state for breaker in breakers}
        state = "open" if "open" in states else "half-open" if "half-open" in states else "closed"
        return {"status": {"closed": "pass", "half-open": "warn", "open": "fail"}[state], "outcome": f"breaker {state}"}

    return check


def metrics(registry: CollectorRegistry, gather: Callable[[], Awaitable[None]] | None = None) -> Handler:
    """A handler for `/metrics`, in the Prometheus text format; only for callers on this machine.

    `gather` is awaited before: it brings in what the node's other processes have counted, where there are any.
    """

    async def answer(interaction: Interaction) -> Outcome:
        client = interaction.scope.get("client")
        if client is None or not ipaddress.ip_address(client[0]).is_loopback:
            raise NotFound("No API is published at this path")
        if gather is not None:
            await gather()
        body = await asyncio.to_thread(generate_latest, registry)  # a thousand series take a sixth of a second
        return Outcome(200, [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))], body)

    return answer


def back_end(upstream: Upstream, guard: Breaker, health: str | None) -> Check:
    """A check of a back end: its health path where it has one, otherwise how its breaker stands."""
    by_breaker = breaker(guard)

    async def check() -> Mapping[str, Any]:
        if health is None:
            return await by_breaker()
        url = upstream.target.url.rstrip("/") + health
        try:
            answer = await upstream.send(UpstreamRequest(b"GET", upstream.path + health.encode(), [], None, None))
        except Fault as fault:
            timeout = "true" if fault.status == 504 else "false"
            return {"status": "fail", "timeout": timeout, "outcome": fault.diagnostics, "links": {"self": url}}
        close = getattr(answer.body, "aclose", None)
        if close is not None:
            await close()
        status = "pass" if 200 <= answer.status < 300 else "fail"
        return {"status": status, "timeout": "false", "responseCode": answer.status, "outcome": status, "links": {"self": url}}

    return check


def _json(status: int, body: bytes) -> Outcome:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    return Outcome(status, headers, body)
