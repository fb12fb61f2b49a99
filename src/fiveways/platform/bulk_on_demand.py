"""Bulk transfer, from when a deployment has any: what it takes is an extra, and is loaded only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Queue
from fiveways.errors import DeploymentError
from fiveways.platform.foundation import Foundation
from fiveways.platform.listeners import Listener, Listening
from fiveways.platform.mailboxes import Messages
from fiveways.platform.model import Deployment

if TYPE_CHECKING:
    from fiveways.platform.bulk import Bulk, Prepared


class BulkOnDemand:
    """Does nothing, until there is a deployment for which there is something to do."""

    def __init__(
        self,
        file: Path,
        data: Path,
        foundation: Foundation,
        *,
        prepared: Callable[[], Prepared | None],
        outbound: Callable[[], Outbound],
        messages: Callable[[], Messages | None],
    ) -> None:
        """`file`: the deployment file; `data`: the data folder. The others are what runs when they are asked for."""
        self._file = file
        self._data = data
        self._foundation = foundation
        self._prepared = prepared
        self._outbound = outbound
        self._messages = messages
        self._bulk: Bulk | None = None

    def prepare(self, deployment: Deployment) -> Prepared | None:
        """What `deployment` says of it, made ready. DeploymentError, KeyError or OSError where it refers to what cannot be had."""
        if self._bulk is None and not (deployment.partners or deployment.feeds or deployment.errands):
            return None
        if self._bulk is None:
            self._bulk = self._loaded()
        return self._bulk.prepare(deployment)

    def _loaded(self) -> Bulk:
        try:
            from fiveways.platform.bulk import Bulk  # noqa: PLC0415, RUF100 - what it takes is an extra
        except ImportError as error:
            missing = f"partners:, feeds: and errands: need a package that is not installed ({error.name}): fiveways[bulk]"
            raise DeploymentError(f"{self._file}: {missing}") from error

        def prepared() -> Prepared:
            found = self._prepared()
            assert found is not None
            return found

        stands = self._foundation
        return Bulk(
            stands.deliveries, stands.ledger.audit, stands.ledger.pseudonyms, stands.keys, self._data, self._file.parent,
            prepared=prepared, outbound=self._outbound, messages=self._messages,
        )  # fmt: skip

    def taken_up(self) -> list[Queue]:
        """A reading of the deployment file is in force; what is to be delivered."""
        if self._bulk is None:
            return []
        self._bulk.taken_up()
        return self._bulk.queues

    def listener(self, listener: Listener, *, shared: bool) -> Listening:
        """What partners connect to, of a deployment that has some; `shared`: other processes listen there too."""
        assert self._bulk is not None
        return self._bulk.listener(listener, shared=shared)

    @property
    def late(self) -> Mapping[tuple[str, str], str]:
        """Feeds of which a file is late, as alerts."""
        return self._bulk.late if self._bulk is not None else {}

    async def follow(self) -> None:
        """Learn who was registered to bring and take files."""
        if self._bulk is not None:
            await self._bulk.follow()

    async def look(self) -> None:
        """Do what time brings."""
        if self._bulk is not None:
            await self._bulk.look()

    async def purge(self) -> None:
        """Forget what need not be kept any more."""
        if self._bulk is not None:
            await self._bulk.purge()
