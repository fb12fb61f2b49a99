"""What outlives a reload: the connections and breakers of targets that stay, sessions held with them, and middleware façades."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fiveways.clock import Clock
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous.credentials.sessions import Sessions, SessionSettings
from fiveways.methods.synchronous.middleware import Middleware
from fiveways.methods.synchronous.policies.breaker import Breaker, BreakerSettings
from fiveways.methods.synchronous.transformation.back_ends import MllpBackEnd, MllpTarget
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.methods.synchronous.upstream.upstream import Upstream

T = TypeVar("T")


class Lasting:
    """Each is made when it is first asked for, unless `previous` has it: the same settings get the same thing."""

    def __init__(self, base: Path, clock: Clock, previous: Lasting | None = None) -> None:
        """`base`: the folder that file references start from."""
        self._base = base
        self._clock = clock
        self._previous = previous
        self.upstreams: dict[str, Upstream] = {}
        self.breakers: dict[str, Breaker] = {}
        self.sessions: dict[str, Sessions] = {}
        self.facades: dict[str, Middleware] = {}
        self.mllps: dict[str, MllpBackEnd] = {}

    def upstream(self, target: Target) -> Upstream:
        """The connections to a target, shared by those that name the same one."""
        old = self._previous.upstreams if self._previous is not None else {}
        return _kept(self.upstreams, old, target.model_dump_json(), lambda: Upstream(target, base=self._base, clock=self._clock))

    def mllp(self, target: MllpTarget) -> MllpBackEnd:
        """The connections to a system that takes HL7 v2."""
        old = self._previous.mllps if self._previous is not None else {}
        return _kept(self.mllps, old, target.model_dump_json(), lambda: MllpBackEnd(target, self._base))

    def breaker(self, settings: BreakerSettings, url: str) -> Breaker:
        """The breaker of a target's URL."""
        old = self._previous.breakers if self._previous is not None else {}
        key = f"{url} {settings.model_dump_json()}"
        return _kept(self.breakers, old, key, lambda: Breaker(settings, self._clock, url))

    def session(self, api: str, settings: SessionSettings, url: str) -> Sessions:
        """The sessions of an API's consumers with a target, one lot for all its operations."""
        old = self._previous.sessions if self._previous is not None else {}
        key = f"{api} {url} {settings.model_dump_json()}"
        return _kept(self.sessions, old, key, lambda: Sessions(settings, url, self._clock))

    def facade(self, api: str, settings: str, make: Callable[[], Middleware]) -> Middleware:
        """The middleware façade of an API. `settings`: all that it depends on."""
        old = self._previous.facades if self._previous is not None else {}
        return _kept(self.facades, old, f"{api} {settings}", make)

    def settled(self) -> None:
        """All is made: what was before is no longer asked for."""
        self._previous = None

    def without(self, newer: Lasting) -> list[Upstream | MllpBackEnd | Middleware]:
        """What a newer deployment has no use for, to be closed."""
        upstreams = [each for key, each in self.upstreams.items() if key not in newer.upstreams]
        mllps = [each for key, each in self.mllps.items() if key not in newer.mllps]
        return [*upstreams, *mllps, *(each for key, each in self.facades.items() if key not in newer.facades)]

    def reload_tls(self, newer: Lasting) -> None:
        """Have the connections that a newer deployment keeps read their certificates again."""
        for upstream in (each for key, each in self.upstreams.items() if key in newer.upstreams):
            upstream.reload_tls()
        for mllp in (each for key, each in self.mllps.items() if key in newer.mllps):
            mllp.reload_tls()

    async def open(self) -> None:
        """Open what has to be. Raises DeploymentError where that cannot be done, and then nothing new is open."""
        new = [facade for facade in self.facades.values() if not facade.is_open]
        try:
            for facade in new:
                await facade.open()
        except DeploymentError:
            for facade in new:
                await facade.close()
            raise

    async def close(self) -> None:
        """Close everything, once what is under way has ended."""
        for facade in self.facades.values():
            await facade.close()
        for upstream in self.upstreams.values():
            await upstream.close()
        for mllp in self.mllps.values():
            await mllp.close()


def _kept(made: dict[str, T], old: dict[str, T], key: str, make: Callable[[], T]) -> T:
    if key not in made:
        made[key] = old[key] if key in old else make()
    return made[key]
