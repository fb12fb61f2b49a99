"""Real time, running: channels, who is in them, and the listeners that they connect to. It stands once; what a reload changes is
`Plan`, and whom tokens are believed to be of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from fiveways.correlation import new_id
from fiveways.delivery.guard import Guard
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Delivery, GiveUp, Queue, Retry
from fiveways.errors import AccessDenied
from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.refusals import LocalIdUsed
from fiveways.methods.realtime.attachments import Attachments
from fiveways.methods.realtime.centrifugo.calls import Calls
from fiveways.methods.realtime.centrifugo.session import Means, Session, Verify
from fiveways.methods.realtime.conversation import Conversations
from fiveways.methods.realtime.hub import Hub
from fiveways.methods.realtime.metrics import RealtimeMetrics
from fiveways.methods.realtime.names import Names
from fiveways.methods.realtime.participation import Participation, Plan
from fiveways.methods.realtime.presence import Here, Presence, Present
from fiveways.methods.realtime.reaching import Reaching, Waiting, queues
from fiveways.methods.realtime.routes import LARGEST, Identify, RealtimeRoutes
from fiveways.methods.realtime.service import Channels
from fiveways.methods.realtime.settings import Reach
from fiveways.methods.realtime.sse import Events
from fiveways.methods.realtime.streams import Streams
from fiveways.methods.synchronous import contexts
from fiveways.methods.synchronous.compile import Mounted
from fiveways.methods.synchronous.rendering import as_problem
from fiveways.platform.following import Following
from fiveways.platform.foundation import Foundation
from fiveways.platform.mailboxes import Messages
from fiveways.platform.model import Deployment
from fiveways.platform.relations import Relations
from fiveways.security.tokens import TokenVerifier
from fiveways.types import Consumer

log = structlog.get_logger("fiveways.realtime")

_KNOWN = timedelta(days=15)
"""For how long a message to a mailbox is known, should it be sent again."""
_FAREWELL: Final = 3.0
"""Seconds for which clients are waited for that were sent away; whoever does not go is cut before that (`Limits.patience`)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one reading of the deployment file says of real time."""

    plan: Plan
    verify: Verify
    mounted: list[Mounted]
    secrets: Mapping[tuple[str, str], Sequence[bytes]]
    """What a kind's `reach` and `record` are signed with."""
    guard: Guard
    """Whom the platform may ask."""


class Realtime:
    """Real time, in this process."""

    def __init__(
        self,
        foundation: Foundation,
        running: Callable[[], Prepared],
        *,
        registry: CollectorRegistry,
        figures: Callable[[], dict[str, Any]],
        outbound: Callable[[], Outbound],
        messages: Callable[[], Messages | None],
    ) -> None:
        """`figures`: the platform's others, for boards. `outbound` and `messages` are what runs when they are asked for."""
        self._running = running
        self._outbound = outbound
        self._messages = messages
        self._clock = foundation.deliveries.clock
        node = f"{foundation.deliveries.node}/{new_id()[-8:]}"  # another one after each start: who was connected before is gone
        self.hub = Hub()
        self.streams = Streams(self.hub)
        self.channels = self.streams.channels = Channels(foundation.deliveries, foundation.ledger.audit, self.streams.written)
        self.presence = Presence(foundation.ledger.group, self._clock, node, lambda: running().plan.settings)
        self._relations = Relations(self._clock, lambda: running().guard)
        self.participation = Participation(self.channels, self.presence, lambda: running().plan, self._relations.ask)
        self.conversations = Conversations(self.participation)
        self.attachments = Attachments(foundation.deliveries, self.participation)
        self.reaching = Reaching(
            foundation.deliveries, lambda: running().plan.kinds, self._post, self._mail,
            lambda kind, what: running().secrets.get((kind, what), ()),
        )  # fmt: skip
        self.channels.follows = self.reaching.recorded
        self.sessions: set[Session] = set()
        self.means = Means(
            self.participation, self.streams, Calls(self.participation, self.conversations), lambda token: running().verify(token),
            node, self.sessions, set(),
        )  # fmt: skip
        self.events = Events(self.means)
        self.metrics = RealtimeMetrics(
            registry, self.hub, lambda: len(self.sessions) + len(self.events), lambda: self.channels.published
        )
        self.following = Following(
            self.channels, lambda: running().plan.kinds, lambda: {**figures(), "realtime": self.metrics.figures()}
        )
        self._hearing = ExitStack()
        self._hearing.enter_context(self.streams.hearing(foundation.deliveries.bus))

    def prepare(self, deployment: Deployment, base: Path, verifier: TokenVerifier, organisations: Mapping[str, str]) -> Prepared:
        """What `deployment`, whose file is in `base`, says, made ready. KeyError or OSError where a secret cannot be had."""
        kinds = dict(deployment.channels)
        names = Names((kind, settings.name) for kind, settings in kinds.items())
        plan = Plan(deployment.realtime, kinds, names)
        identify: Identify = contexts.bearer(verifier, organisations, self._clock)

        def verify(token: bytes) -> tuple[Consumer, float]:
            grant = verifier.verify(token, self._clock.time())
            organisation = organisations.get(grant.application)
            if organisation is None:
                raise AccessDenied("The application this token was issued to is not part of the deployment any more")
            return contexts.consumer_of(grant, organisation), grant.expires

        routes = RealtimeRoutes(self.participation, self.conversations, self.attachments, identify)
        largest = max(LARGEST, deployment.realtime.attachment)
        mounted = [Mounted("realtime", "/realtime", routes, as_problem, largest)] if kinds else []
        secrets = {
            (kind, what): [secret.resolve(base) for secret in said.secrets]
            for kind, settings in kinds.items()
            for what, said in (("reach", settings.reach), ("record", settings.record))
            if said is not None
        }
        return Prepared(plan, verify, mounted, secrets, deployment.outbound.guard())

    def taken_up(self) -> list[Queue]:
        """A reading of the deployment file is in force: whoever may not read a channel any more is told so. What is to be
        delivered."""
        self.hub.review_all()
        return queues(self.reaching) if self._running().plan.kinds else []

    async def _post(self, delivery: Delivery, headers: Mapping[str, str], secrets: Sequence[bytes]) -> None:
        await self._outbound()(delivery, headers, secrets)

    async def _mail(self, reach: Reach, mailbox: str, waiting: Waiting) -> str:
        messages = self._messages()
        if messages is None:
            raise Retry("there is no messaging just now")
        assert reach.sender is not None
        assert reach.workflow is not None
        details = Details(subject="Messages are waiting", content_type="application/json")
        draft = Draft(reach.sender, mailbox, reach.workflow, waiting.id, 1, details, "")
        body = msgspec.json.encode(waiting)

        async def content() -> AsyncIterator[bytes]:
            yield body

        try:
            return (await messages.service.send(draft, content(), None, once_within=_KNOWN)).id
        except LocalIdUsed:
            raise GiveUp("its id was used before for another message") from None

    # --- what time brings ------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Be heard of; find what the bus has not told; have those gone whose node is. StoreError where the store fails."""
        if not self._running().plan.kinds:
            return
        await self.presence.beat()
        await self.presence.settle(self._here, self._came, self._gone)
        await self.streams.look()
        await self.presence.bury(self._gone)

    def _here(self) -> Here:
        """Who is here, and is shown to be."""
        return {
            (name, session.client): session.present
            for session in self.sessions
            for name, channel in session.channels.items()
            if channel.settings.shown
        }

    async def _came(self, channel: str, present: Present) -> None:
        await self.channels.mention(self.channels.passing(channel, "arrive", present.member, present.json()))

    async def _gone(self, channel: str, present: Present) -> None:
        await self.channels.mention(self.channels.passing(channel, "depart", present.member, present.json()))

    async def reach(self) -> None:
        """Have those told for whom messages have waited for too long. StoreError where the store fails."""
        await self.reaching.look()

    async def follow(self) -> None:
        """Publish what has happened elsewhere. StoreError where the store fails."""
        await self.following.look()

    async def trim(self) -> None:
        """Let go of what is older than is kept. StoreError where the store fails."""
        for kind, settings in self._running().plan.kinds.items():
            if settings.history.length is not None or settings.history.keep is not None:
                await self.channels.trim_all(kind, settings)

    async def drain(self, seconds: float) -> None:
        """Send everybody away, to connect to another node, not all at once; and wait until they have gone."""
        leaving = [*(session.shut_down for session in self.sessions), *self.events.end()]
        random.shuffle(leaving)
        at_once = max(1, len(leaving) // 50)
        for start in range(0, len(leaving), at_once):
            if start:
                await asyncio.sleep(seconds * at_once / len(leaving))
            for leave in leaving[start : start + at_once]:
                leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                while self.sessions:
                    for session in self.sessions:  # those too who have said only now who they are
                        session.shut_down()
                    await asyncio.sleep(0.02)
        if self.means.tasks:
            await asyncio.wait(list(self.means.tasks), timeout=5)

    async def close(self) -> None:
        """Nothing more is heard."""
        self._hearing.close()
        if self.means.tasks:
            await asyncio.wait(list(self.means.tasks), timeout=5)
