"""The operator looks at transfers, receipts and reports, mends what was set aside, and runs errands, beside the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fiveways.clock import Clock, SystemClock
from fiveways.delivery.engine import Deliveries
from fiveways.errors import FivewaysError
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.bulk.errands.errands import Errands
from fiveways.methods.bulk.errands.moving import Progress, Report
from fiveways.methods.bulk.quarantine import Quarantine
from fiveways.methods.bulk.reporting import Reporting
from fiveways.methods.bulk.service import Transfer
from fiveways.methods.bulk.settings import PartnerSettings
from fiveways.platform.bulk import Bulk, Prepared
from fiveways.platform.deliveries import outbound
from fiveways.platform.desk import account, desk
from fiveways.platform.foundation import node_name
from fiveways.platform.model import load
from fiveways.security.keys import PlatformKeys
from fiveways.store.bus import LocalBus
from fiveways.store.payloads import open_payloads


class NoTransfer(FivewaysError):
    """There is no such transfer, or it has not what is asked for."""


class TransferDesk:
    """Transfers of a deployment, in the name of the operator's account."""

    def __init__(self, bulk: Bulk, prepared: Prepared) -> None:
        self._bulk = bulk
        self._prepared = prepared
        self.quarantine = Quarantine(bulk.transfers, bulk.contents, bulk.examining, bulk.releasing, bulk.working, account())
        self.reporting = Reporting(bulk.transfers)

    async def list(self, feed: str, state: str, most: int) -> Sequence[Any]:
        """Transfers, newest first."""
        return await self._bulk.transfers.list(feed, state, most)

    async def show(self, id: str) -> tuple[Transfer, Sequence[Any]]:  # noqa: A002
        """A transfer and what happened to it. Raises NoTransfer."""
        return await self.found(id), await self._bulk.transfers.history(id)

    async def found(self, id: str) -> Transfer:  # noqa: A002
        """A transfer. Raises NoTransfer."""
        transfer = await self._bulk.transfers.find(id)
        if transfer is None:
            raise NoTransfer(f"there is no transfer {id}")
        return transfer

    async def receipt(self, id: str) -> str:  # noqa: A002
        """A transfer's signed receipt. Raises NoTransfer where there is none yet."""
        transfer = await self.found(id)
        if not transfer.receipt:
            raise NoTransfer(f"{id} is {transfer.state}: there is no receipt before it is judged")
        return transfer.receipt

    async def run(self, name: str, progress: Progress) -> Report:
        """Run an errand now."""
        return await self.errands.run_now(name, progress)

    @property
    def errands(self) -> Errands:
        """The deployment's errands."""
        return self._prepared.errands

    def agreement(self, feed: str) -> Any:
        """What is agreed of a feed. Raises NoTransfer where the deployment has none of the name any more."""
        agreement = self._prepared.agreements.by_feed.get(feed)
        if agreement is None:
            raise NoTransfer(f"{feed} is no feed of the deployment file any more")
        return agreement

    async def partners(self) -> dict[str, str]:
        """Partners and where they are said: in the deployment file, or registered."""
        await self._bulk.registered.follow()
        said = dict.fromkeys(self._prepared.deployment.partners, "deployment file")
        return {**dict.fromkeys(self._bulk.registered.partners, "registered"), **said}

    async def register(self, name: str, settings: PartnerSettings | None) -> None:
        """Register a partner, change it, or (None) remove it. Raises NoTransfer where the deployment file has the name."""
        if name in self._prepared.deployment.partners:
            raise NoTransfer(f"{name} is a partner of the deployment file: change it there")
        known = await self.partners()
        if settings is None and name not in known:
            raise NoTransfer(f"there is no partner {name}")
        if settings is not None and settings.organisation not in self._prepared.deployment.organisations:
            raise NoTransfer(f"{settings.organisation} is none of organisations: in the deployment file")
        await self._bulk.registered.put(name, settings, account())
        await self._bulk.tell_partner(name, "removed" if settings is None else "registered", account())

    async def rewrap(self) -> int:
        """Wrap the keys of files with the key that wraps now; how many."""
        return await self._bulk.contents.rewrap()


@asynccontextmanager
async def transfer_desk(file: Path, data: Path, node: str = "", clock: Clock | None = None) -> AsyncIterator[TransferDesk]:
    """The transfers of a deployment that has run, whether or not it is running; FivewaysError where it has not."""
    clock = clock or SystemClock()
    deployment, _ = load(file)
    async with desk(file, data, node, clock) as at:
        payloads = open_payloads(deployment.store.payloads or f"file://{data / 'payloads'}")
        deliveries = Deliveries(at.group, payloads, LocalBus(), clock, node_name(node))
        keys = await asyncio.to_thread(
            PlatformKeys.open, data / "keys" / "platform", clock, lead=deployment.identity.tokens.key_lead
        )
        post = outbound(deployment.outbound, file.parent, clock, lambda _: [])
        made: list[Prepared] = []
        bulk = Bulk(
            deliveries, at.audit, Pseudonyms.open(data), keys, data, file.parent,
            prepared=lambda: made[0], outbound=lambda: post, messages=lambda: None,
        )  # fmt: skip
        try:
            made.append(bulk.prepare(deployment))
            bulk.taken_up()
            yield TransferDesk(bulk, made[0])
        finally:
            await post.close()
            await payloads.close()
