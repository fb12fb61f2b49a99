"""Deliveries of a deployment: the queues of its methods, the guard that all of them pass, and the worker that sees to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from fiveways.clock import Clock, micros
from fiveways.delivery.capacity import Limiter
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Delivery, GiveUp, Queue
from fiveways.delivery.settings import OutboundSettings
from fiveways.delivery.worker import Worker
from fiveways.methods.messaging import webhook
from fiveways.platform.tallies import Tallies


def outbound(settings: OutboundSettings, base: Path, clock: Clock, secrets: Callable[[Delivery], Sequence[bytes]]) -> Outbound:
    """What posts deliveries as `outbound:` says; `base` is the deployment's folder. KeyError or OSError where its certificate
    cannot be read."""
    authority = settings.ca.resolve(base) if settings.ca is not None else None
    return Outbound(settings.guard(), clock, secrets, authority=authority)


class Dispatch:
    """Keeps the deployment's promises. A reload changes where deliveries may go and what they are signed with, never the worker:
    `outbound` and `find` give what posts them, and a mailbox's webhook, as the deployment that is running has it."""

    def __init__(
        self,
        deliveries: Deliveries,
        limiter: Limiter,
        clock: Clock,
        tallies: Tallies,
        outbound: Callable[[], Outbound],
        find: webhook.Find,
    ) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._tallies = tallies
        self._outbound = outbound
        self._find = find
        self._hooks = webhook.queue(find, self._post)
        self._queues = [self._hooks]
        self._worker = Worker(deliveries, limiter, self._queues, observer=tallies.delivered)

    def made(self, settings: OutboundSettings, base: Path) -> Outbound:
        """What posts deliveries in a deployment; `base` is its folder. KeyError or OSError where its certificate cannot be read."""
        return outbound(settings, base, self._clock, self._secrets)

    def keep(self, promises: Sequence[Queue]) -> None:
        """Keep these promises of the APIs too, instead of those that a deployment before had."""
        self._queues = [self._hooks, *promises]
        self._worker.change(self._queues)

    def start(self) -> None:
        """Begin to work, in the running event loop."""
        self._worker.start()

    async def close(self) -> None:
        """Stop; what was under way is due at once for other nodes."""
        await self._worker.close()
        await self._outbound().close()

    async def look(self) -> None:
        """See how full the queues are, for the metrics. StoreError where the store cannot be asked."""
        now = micros(self._clock)
        queues = {}
        for queue in self._queues:
            depth = await self._deliveries.depth(queue.name)
            oldest = max(0.0, now - depth.waiting_since) / 1e6 if depth.waiting_since is not None else 0.0
            queues[queue.name] = [float(depth.waiting), oldest, float(depth.dead)]
        self._tallies.queues = queues

    async def purge(self, keep: timedelta) -> None:
        """Forget deliveries that have ended and are older than `keep`. StoreError where the store fails."""
        await self._deliveries.purge(self._clock.now() - keep)

    async def _post(self, delivery: Delivery) -> None:
        await self._outbound()(delivery)

    def _secrets(self, delivery: Delivery) -> Sequence[bytes]:
        hook = self._find(delivery.key)
        if hook is None:
            raise GiveUp("nobody knows any more what to sign it with")
        return hook.secrets
