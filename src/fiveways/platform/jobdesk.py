"""The operator looks at jobs and ends them, beside the running platform: through the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fiveways.clock import Clock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.queue import Delivery, GiveUp, Retry
from fiveways.errors import FivewaysError
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.exchange import callback
from fiveways.methods.exchange.conclusion import Conclusion
from fiveways.methods.exchange.service import Job, Jobs
from fiveways.methods.exchange.working import AGAIN
from fiveways.platform.deliveries import outbound
from fiveways.platform.desk import Desk, account, desk
from fiveways.platform.foundation import node_name
from fiveways.store.bus import LocalBus
from fiveways.store.payloads import Payloads, keep, open_payloads

_PING: Final = b'{"event":"ping"}'


class NoJob(FivewaysError):
    """There is no such job, or it cannot be ended so."""


class JobDesk:
    """Jobs of a deployment, in the name of the operator's account."""

    def __init__(self, at: Desk, payloads: Payloads, base: Path, node: str, clock: Clock) -> None:
        """`base`: the deployment file's folder."""
        self._base = base
        self._deployment = at.deployment
        self._audit = at.audit
        self._clock = clock
        self._jobs = Jobs(Deliveries(at.group, payloads, LocalBus(), clock, node_name(node)), clock)

    async def list(self, api: str, state: str, most: int) -> Sequence[Any]:
        """Jobs, newest first."""
        return await self._jobs.list(api, state, most)

    async def show(self, id: str) -> tuple[Job, Sequence[Any]]:  # noqa: A002
        """A job and what happened to it. Raises NoJob."""
        return await self._found(id), await self._jobs.history(id)

    async def complete(self, id: str, status: int, content_type: str, body: bytes) -> None:  # noqa: A002
        """Give a job its outcome. Raises NoJob where it is not waiting for one."""
        job = await self._found(id)
        if status in (202, *AGAIN):
            raise NoJob(f"status {status} says: ask again; it is no outcome")
        settings = self._deployment.exchanges.get(job.api)
        if settings is None:
            raise NoJob(f"{job.api} is no exchange of the deployment file any more")
        headers = [(b"content-type", content_type.encode("latin-1"))]
        kept = await keep(self._jobs.deliveries.payloads, body)
        if not await Conclusion(job.api, settings, self._jobs)(job, status, headers, kept, account()):
            raise NoJob(f"{id} is {job.state}: it is not waiting for an outcome")
        await self._told("job.completed", job, {"status": status})

    async def cancel(self, id: str, reason: str) -> None:  # noqa: A002
        """End a job without an outcome. Raises NoJob where it has ended so already."""
        job = await self._found(id)
        if not await self._jobs.cancel(job, account(), reason):
            raise NoJob(f"{id} is {job.state}")
        await self._told("job.cancelled", job, {"reason": reason})

    async def ping(self, api: str, consumer: str) -> str:
        """Call a consumer's receiver, signed as every call is, with nothing to tell; where it was. Raises NoJob with what went
        wrong."""
        settings = self._deployment.exchanges.get(api)
        receiver = settings.callback.consumers.get(consumer) if settings is not None and settings.callback is not None else None
        if receiver is None:
            raise NoJob(f"{consumer} is not called back for {api}")
        secrets = [secret.resolve(self._base) for secret in receiver.secrets]
        post = outbound(self._deployment.outbound, self._base, self._clock, lambda _: secrets)
        ping = Delivery(
            id=new_id(), queue=callback.queue_of(api), key="", target=receiver.url, content_type="application/json",
            size=len(_PING), correlation="", at=self._clock.now(), attempt=1, content=_ping,
        )  # fmt: skip
        try:
            await post(ping, {callback.EVENT: "ping"})
        except (Retry, GiveUp) as error:
            raise NoJob(f"{receiver.url}: {error}") from None
        finally:
            await post.close()
        return receiver.url

    async def _found(self, id: str) -> Job:  # noqa: A002
        job = await self._jobs.find(id)
        if job is None:
            raise NoJob(f"there is no job {id}")
        return job

    async def _told(self, kind: str, job: Job, details: dict[str, Any]) -> None:
        said = {"by": "operator", "account": account(), "api": job.api, **details}
        event = AuditEvent(
            at=micros(self._clock),
            kind=kind,
            id=new_id(),
            application=job.application,
            correlation_id=job.correlation,
            details=said,
        )
        await self._audit.durable(event)


async def _ping() -> AsyncIterator[bytes]:
    yield _PING


@asynccontextmanager
async def job_desk(file: Path, data: Path, node: str = "", clock: Clock | None = None) -> AsyncIterator[JobDesk]:
    """The jobs of a deployment that has run, whether or not it is running; FivewaysError where it has not.

    A running platform calls back who is to be called back within a second.
    """
    clock = clock or SystemClock()
    async with desk(file, data, node, clock) as at:
        payloads = open_payloads(at.deployment.store.payloads or f"file://{data / 'payloads'}")
        try:
            yield JobDesk(at, payloads, file.parent, node, clock)
        finally:
            await payloads.close()
