"""The middleware façade (S67, S68): old behaviour hidden by logic or state of its own, in a Python class with a life cycle.

It stands where the back end's connection would, behind the same policies as any API, so that it is no part of the gateway: what it
keeps it opens and closes itself. Each gateway process has one of its own, made anew when its part of the deployment file changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from fiveways.clock import Clock
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous.answer import when_over
from fiveways.types import Handler, Interaction, Outcome


@dataclass(slots=True, frozen=True)
class Place:
    """Where a façade stands: its API's name, what the deployment says under `options:`, and the clock."""

    name: str
    options: Mapping[str, Any]
    clock: Clock


class Facade(Protocol):
    """What the class is like. It is made with its `Place`; `open` comes before the first request, `close` after the last."""

    async def open(self) -> None:
        """Get ready. What it raises keeps the deployment from being taken up."""
        ...

    async def __call__(self, interaction: Interaction, back_end: Handler) -> Outcome:
        """Answer a request. `back_end` sends an interaction to the target, as often as it has to; it may be changed before."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class Middleware:
    """A façade, and what is under way in it."""

    def __init__(self, name: str, facade: Facade) -> None:
        self._name = name
        self._facade = facade
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_open = False

    async def open(self) -> None:
        """Open the façade. Raises DeploymentError where it does not get ready."""
        try:
            await self._facade.open()
        except Exception as error:
            raise DeploymentError(f"apis.{self._name}.facade does not open: {type(error).__name__}: {error}") from error
        self.is_open = True

    async def handle(self, interaction: Interaction, back_end: Handler) -> Outcome:
        """Have it answer a request."""
        self._active += 1
        self._idle.clear()
        try:
            outcome = await self._facade(interaction, back_end)
        except BaseException:
            self._over(0, None)
            raise
        when_over(outcome, self._over)
        return outcome

    async def close(self, patience: timedelta = timedelta(seconds=60)) -> None:
        """Close the façade, once nothing is under way in it, or that takes too long."""
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._idle.wait()
        except TimeoutError:
            pass
        if self.is_open:
            self.is_open = False
            await self._facade.close()

    def _over(self, passed: int, error: BaseException | None) -> None:
        self._active -= 1
        if not self._active:
            self._idle.set()
