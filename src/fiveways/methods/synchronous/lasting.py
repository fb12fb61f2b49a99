"""What outlives a reload: the connections and breakers of targets that stay, and the sessions held with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fiveways.clock import Clock
from fiveways.methods.synchronous.credentials.sessions import Sessions, SessionSettings
from fiveways.methods.synchronous.policies.breaker import Breaker, BreakerSettings
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

    def upstream(self, target: Target) -> Upstream:
        """The connections to a target, shared by those that name the same one."""
        old = self._previous.upstreams if self._previous is not None else {}
        return _kept(self.upstreams, old, target.model_dump_json(), lambda: Upstream(target, base=self._base, clock=self._clock))

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

    def settled(self) -> None:
        """All is made: what was before is no longer asked for."""
        self._previous = None

    async def close(self) -> None:
        """Close all connections, once what is under way on them has ended."""
        for upstream in self.upstreams.values():
            await upstream.close()


def _kept(made: dict[str, T], old: dict[str, T], key: str, make: Callable[[], T]) -> T:
    if key not in made:
        made[key] = old[key] if key in old else make()
    return made[key]
