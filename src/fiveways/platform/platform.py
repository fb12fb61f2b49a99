"""The platform: a deployment file, running. Some of it stands once (store, ledger, keys); a reload swaps everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fiveways.clock import Clock, SystemClock
from fiveways.deployment.document import Document
from fiveways.errors import DeploymentError, StoreError
from fiveways.methods.exchange.longpoll import LongPolling
from fiveways.methods.synchronous.compile import Compiled
from fiveways.platform import chores
from fiveways.platform.exchanges import LARGEST, holding
from fiveways.platform.feed import Feed
from fiveways.platform.foundation import Foundation
from fiveways.platform.http1.listener import TlsFiles
from fiveways.platform.jobs import Jobs
from fiveways.platform.listeners import Listener, Listening
from fiveways.platform.making import make
from fiveways.platform.model import load
from fiveways.platform.node_metrics import Slot
from fiveways.platform.realtime_listener import RealtimeListener
from fiveways.platform.standing import Running, Standing
from fiveways.platform.telemetry import tracing
from fiveways.platform.within import Answer, Gateway, Token, Within
from fiveways.types import Headers


class Platform(Standing):
    """A deployment, running in this process."""

    def __init__(self, file: Path, data: Path, foundation: Foundation, clock: Clock, slot: Slot | None = None) -> None:
        super().__init__(file, data, foundation, clock, slot)
        self._jobs = Jobs([])
        self._retiring: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        file: Path,
        data: Path,
        *,
        clock: Clock | None = None,
        work: bool = True,
        node: str = "",
        slot: Slot | None = None,
    ) -> Platform:
        """Open the store and compile the deployment. `work`: do the work that is nobody's request here too.

        `node` names this node among those that share a store; the machine's name, where it is not given.
        `slot` is this process's place among the gateway processes of the node, where there is a supervisor over them.

        DeploymentError or StoreError where that can't be done.
        """
        clock = clock or SystemClock()
        deployment, _ = load(file)
        foundation = await Foundation.open(deployment, data, file.parent, clock, node)
        self = cls(file, data, foundation, clock, slot)
        try:
            if self.node_metrics is not None:
                await self.node_metrics.resume()
            self._running = make(self, deployment, None)
            await self._running.compiled.lasting.open()
            self._take_up(self._running)
            await self.tell_audit("deployment.loaded", details={"apis": len(deployment.apis)})
        except BaseException:
            await foundation.close()
            raise
        self._jobs = Jobs([*chores.always(self), *(chores.work(self) if work else ())])
        self._jobs.start()
        if work:
            self.dispatch.start()
        return self

    async def reload(self) -> Document:
        """Read the deployment file again and swap to it; DeploymentError, with nothing changed, where it is wrong."""
        try:
            deployment, read = load(self.file)
            old = self.running
            if deployment.store != old.deployment.store or deployment.audit != old.deployment.audit:
                raise DeploymentError(f"{self.file}: store: and audit: cannot change while running; restart to apply them")
            new = make(self, deployment, old)
            await new.compiled.lasting.open()
        except DeploymentError as error:
            await self.tell_audit("deployment.refused", details={"reason": type(error).__name__})
            raise
        self._running = new
        self._take_up(new)
        await self.tell_audit("deployment.loaded", details={"apis": len(deployment.apis)})
        await self._retire(old.compiled, new.compiled)
        return read

    def feed(self, listener: Listener, *, shared: bool = False) -> Feed:
        """What takes HL7 v2 at a listener; `shared`: other processes listen there too."""
        assert listener.api is not None
        deployment = self.deployment
        api = deployment.apis[listener.api]
        token = None
        if listener.application is not None:
            token = Token(
                listener.application, listener.api, "mllp", deployment, self.issuer(deployment), self.tell_audit, self.clock
            )
        handling = api.longest.total_seconds() + 15
        gateway: Callable[[], Gateway] = lambda: self.running.compiled.gateway  # noqa: E731
        return Feed(listener, api.at, gateway, token, self.base, self.clock, handling=handling, shared=shared)

    def sftp(self, listener: Listener, *, shared: bool = False) -> Listening:
        """What takes files at a listener; `shared`: other processes listen there too."""
        return self.bulk.listener(listener, shared=shared)

    def live(self, listener: Listener, *, shared: bool = False) -> Listening:
        """What holds real-time connections at a listener; `shared`: other processes listen there too."""
        tls = None
        if listener.certificate is not None and listener.key is not None:
            tls = TlsFiles(listener.certificate.path(self.base), listener.key.path(self.base))
        return RealtimeListener(listener.address, self.realtime, tls=tls, shared=shared)

    def long_polling(self) -> LongPolling:
        """What holds requests for outcomes at a listener."""
        within = Within(lambda: self.running.compiled.gateway, LARGEST)

        async def ask(path: str, headers: Headers, client: tuple[str, int], extensions: dict[str, Any]) -> Answer:
            return await within.ask("GET", path, headers=headers, client=client, extensions=extensions)

        return LongPolling(ask, lambda base: holding(self.deployment, base), self.exchange, self.clock)

    async def close(self) -> None:
        """Finish: no request is under way any more. Flushes and seals the audit."""
        await self._jobs.close()
        await self.dispatch.close()
        await self.realtime.close()
        if self.node_metrics is not None:
            await self.node_metrics.close()
        await self.running.compiled.gateway.close()
        await self.running.compiled.lasting.close()
        if self.unfinished:
            await asyncio.wait(self.unfinished, timeout=5)
        with suppress(StoreError):
            await self.counts.write(self.ledger.group)
        telemetry = self.deployment.telemetry
        if telemetry is not None:
            await asyncio.to_thread(tracing(telemetry).flush)
        await self.foundation.close()

    def _take_up(self, running: Running) -> None:
        """A reading of the deployment file is in force: deliveries go as it says."""
        self.dispatch.keep([*running.queues, *self.bulk.taken_up(), *self.realtime.taken_up()])

    async def _retire(self, old: Compiled, new: Compiled) -> None:
        """Close, once they are idle, the connections that the new deployment has no use for."""
        old.lasting.reload_tls(new.lasting)
        for closing in old.lasting.without(new.lasting):
            task = asyncio.create_task(closing.close())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        await old.gateway.close()
