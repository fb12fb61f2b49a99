"""What is done every so often, beside requests: some of it by every process, the rest by those that are workers."""

from __future__ import annotations

import asyncio

from fiveways.methods.messaging.webhook import Arrivals
from fiveways.methods.messaging.worker import Worker
from fiveways.methods.synchronous.transformation import counts
from fiveways.platform.jobs import Job
from fiveways.platform.standing import Standing
from fiveways.store.replication import replicated


def always(on: Standing) -> list[Job]:
    """What every process does: look at its own counts, leave them to the others, and learn what other nodes have revoked and
    registered."""
    jobs = [
        Job("alerts", 5.0, lambda: on.running.alerts.evaluate()),
        Job("revocations", 1.0, on.foundation.revocations.refresh),
        Job("directory", 0.0, on.foundation.registry.follow),
        Job("partners", 1.0, on.bulk.follow),
        Job("channels", 1.0, on.realtime.look),
        Job("counts", 5.0, lambda: on.counts.write(on.ledger.group)),
    ]
    if on.node_metrics is not None:
        jobs.append(Job("metrics", 1.0, on.node_metrics.publish))
    return jobs


def work(on: Standing) -> list[Job]:
    """What a worker does besides."""
    lifetime = on.deployment.identity.tokens.key_lifetime
    messages = Worker(on.ledger, on.trials.clock, lambda: on.deployment.messaging, on.directory, lambda: _arrivals(on))
    on.trials.work = messages
    return [
        Job("keys", 600.0, lambda: asyncio.to_thread(on.foundation.keys.maintain, lifetime)),
        Job("expiry", 60.0, lambda: _purge(on)),
        Job("messages", messages.every, messages.round),
        Job("jobs", 2.0, lambda: _late(on)),
        Job("transfers", 2.0, on.bulk.look),
        Job("follow", 1.0, on.realtime.follow),
        Job("reach", 2.0, on.realtime.reach),
        Job("leftovers", 86_400.0, on.foundation.sweep),
        Job("fill", 15.0, lambda: _look(on)),
    ]


async def _purge(on: Standing) -> None:
    await on.ledger.purge(on.clock.now())
    await on.foundation.revocations.purge(on.clock.now())
    await on.foundation.people.purge()
    await counts.purge(on.ledger.group, on.clock.now().date())
    await on.dispatch.purge(on.deployment.outbound.keep)
    await on.exchange.purge()
    await on.bulk.purge()
    await on.realtime.trim()


async def _late(on: Standing) -> None:
    """End the jobs for whose outcome it is too late."""
    if on.deployment.exchanges:
        await on.exchange.expire_late()


async def _look(on: Standing) -> None:
    """How full inboxes and queues are, and whether the store is replicated, for the metrics."""
    await on.dispatch.look()
    await on.inboxes.look()
    on.tallies.inboxes = on.inboxes.rows
    on.tallies.store = {"": [float(await replicated(on.foundation.database))]}


def _arrivals(on: Standing) -> Arrivals | None:
    messaging = on.running.messaging
    return messaging.arrivals if messaging is not None else None
