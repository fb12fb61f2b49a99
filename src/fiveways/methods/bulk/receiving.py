"""What comes, and what it is: files are told apart by what was agreed, and a transfer is complete when all is there that was (B21).

A file's arrival is a delivery to ourselves, written with its name; so that nothing that was uploaded is forgotten, whoever dies,
and the files of one feed are looked at one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from fiveways.clock import micros
from fiveways.delivery.queue import Delivery, Queue
from fiveways.errors import StoreError
from fiveways.methods.bulk import records
from fiveways.methods.bulk.agreement import (
    LARGEST_MANIFEST,
    LARGEST_SIDECAR,
    Agreement,
    Agreements,
    Claims,
    Disagreement,
    combined,
)
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.service import ARRIVALS, Transfer, Transfers, is_coming, new
from fiveways.methods.bulk.states import State
from fiveways.methods.bulk.uploads import Steps
from fiveways.methods.bulk.watch import Arrived, Visit

log = structlog.get_logger("fiveways.bulk")

_MICROS: Final = timedelta(microseconds=1)


class Receiving:
    """Watches files as they come (`watch.Watch`), and makes transfers of them."""

    def __init__(self, transfers: Transfers, contents: Contents, agreements: Callable[[], Agreements]) -> None:
        """`agreements`: the feeds of the deployment, as it is just now."""
        self._transfers = transfers
        self._contents = contents
        self._agreements = agreements
        self._beginning: dict[str, asyncio.Task[None]] = {}
        self._decode = msgspec.msgpack.Decoder(tuple[str, str, str, str, int, str]).decode

    # --- watch.Watch -----------------------------------------------------------------------------------------------------

    def largest(self, partner: str, folder: str, name: str) -> int | None:
        """How many bytes such a file may have; None is no limit."""
        found = self._agreements().of(partner, folder, name)
        if found is None:
            return None
        agreement, role, _ = found
        limits = {"data": agreement.settings.largest, "manifest": LARGEST_MANIFEST}
        return limits.get(role, LARGEST_SIDECAR)

    def begins(self, file: Arrived) -> None:
        """An upload has begun: so has a transfer, where it is the data of a feed."""
        found = self._agreements().of(file.partner, file.folder, file.name)
        if found is not None and found[1] == "data":
            task = asyncio.create_task(self._begun(found[0], file))
            self._beginning[file.content] = task
            task.add_done_callback(lambda _: self._beginning.pop(file.content, None))

    async def arrives(self, file: Arrived) -> Steps:
        """A promise to look at the file, where it belongs to a feed."""
        found = self._agreements().of(file.partner, file.folder, file.name)
        if found is None:
            return []
        if (beginning := self._beginning.get(file.content)) is not None:  # or a short upload would be taken for two transfers
            await asyncio.wait((beginning,))
        row = (file.partner, file.folder, file.name, file.content, file.size, file.correlation)
        promise = await self._transfers.deliveries.promise(
            ARRIVALS,
            target=found[0].feed,
            key=found[0].feed,
            body=msgspec.msgpack.encode(row),
            correlation=file.correlation,
            content_type="application/msgpack",
            envelope=file.content.encode(),  # by which it is known that the content is needed (`records.find_unneeded`)
        )
        return list(promise.steps)

    def arrived(self, file: Arrived) -> None:
        """It has its name."""
        if self._agreements().of(file.partner, file.folder, file.name) is not None:
            self._transfers.deliveries.wake(ARRIVALS)

    async def taken(self, transfer: str, visit: Visit) -> None:
        """A released file was read to its end by one that collects it."""
        found = await self._transfers.find(transfer)
        agreement = self._agreements().by_feed.get(found.feed) if found is not None else None
        collects = agreement is not None and any(to.partner == visit.partner for to in agreement.settings.to)
        if found is not None and collects and found.state in (State.RELEASED, State.PART_RELEASED):
            await self._transfers.happens(found, "collect", by=visit.partner)

    # --- beginning -------------------------------------------------------------------------------------------------------

    async def _begun(self, agreement: Agreement, file: Arrived) -> None:
        try:
            await self._transfer(agreement, file)
        except StoreError as error:  # its arrival will make up for it
            log.warning("the beginning of a transfer could not be written down", reason=str(error), feed=agreement.feed)

    async def _transfer(self, agreement: Agreement, file: Arrived) -> Transfer:
        """The transfer of a file: the one that its content has, or that was announced under its name, or a new one."""
        transfers = self._transfers
        known = await transfers.of_content(agreement.feed, file.content)
        if known is not None and (known.arrived or is_coming(known)):  # or it was given up, and comes all the same
            return known
        announced = await transfers.coming(agreement.feed, file.name)
        if announced is not None and announced.state is State.ANNOUNCED and announced.content is None:
            row = {
                "b_id": announced.id, "v_content": file.content, "v_arrived": 0, "v_size": 0, "v_changed": self._now(),
                "v_sequence": None,
            }  # fmt: skip
            await transfers.happens(announced, "begin", (records.know_arrival, row), by=file.partner)
            return await transfers.find(announced.id) or announced
        begun = new(agreement.feed, file.partner, file.folder, file.name, file.correlation, self._now(), content=file.content)
        await transfers.begin(begun)
        return begun

    def _now(self) -> int:
        return micros(self._transfers.clock)

    # --- arriving --------------------------------------------------------------------------------------------------------

    async def __call__(self, delivery: Delivery) -> str:
        """Look at a file that has come."""
        file = Arrived(*self._decode(b"".join([piece async for piece in delivery.content()])))
        found = self._agreements().of(file.partner, file.folder, file.name)
        if found is None:
            return "no feed wants it any more"
        agreement, role, about = found
        if role == "data":
            await self._data(agreement, file)
        elif role == "manifest":
            await self._manifest(agreement, file)
        else:
            await self._about(agreement, file, about, await self._said(agreement, file, role, about))
            await self._considered(agreement, about)
        return role

    async def _data(self, agreement: Agreement, file: Arrived) -> None:
        transfer = await self._transfer(agreement, file)
        if not is_coming(transfer):
            return  # this was looked at before
        try:
            sequence = agreement.sequence(file.name)
        except Disagreement as reason:
            sequence = None
            await self._transfers.claim(transfer, transfer.claims.also(Claims(unreadable=str(reason))))
        await self._transfers.know(
            records.know_arrival, transfer, content=file.content, arrived=1, size=file.size, changed=self._now(), sequence=sequence
        )
        await self._transfers.take_over(transfer, file.name)
        claims = (await self._transfers.find(transfer.id) or transfer).claims
        await self._considered(agreement, file.name, *claims.together)  # it may be what others have waited for

    async def _said(self, agreement: Agreement, file: Arrived, role: str, about: str) -> Claims:
        if role == "marker":
            return Claims(said_by=("marker",))
        try:
            return agreement.sidecar(await self._bytes(file), about)
        except Disagreement as reason:
            return Claims(said_by=("sidecar",), unreadable=str(reason))

    async def _about(self, agreement: Agreement, file: Arrived, about: str, claims: Claims) -> None:
        """Something is said of a file, which may have come or not; what is heard again, as somebody has died, is heard once."""
        if await self._transfers.heard(agreement.feed, about, file.content):
            return
        transfer = await self._announced(agreement, file, about)
        said = combined(transfer.claims, msgspec.structs.replace(claims, heard=(file.content,)))
        await self._transfers.claim(transfer, said)

    async def _announced(self, agreement: Agreement, file: Arrived, about: str) -> Transfer:
        transfer = await self._transfers.coming(agreement.feed, about)
        if transfer is None:
            transfer = new(agreement.feed, file.partner, file.folder, about, file.correlation, self._now())
            await self._transfers.begin(transfer, "announce")
        return transfer

    async def _manifest(self, agreement: Agreement, file: Arrived) -> None:
        try:
            said = agreement.manifest(await self._bytes(file))
        except Disagreement as reason:
            await self._unreadable(agreement, file, str(reason))
            return
        for name in said:  # all are awaited before any is known to be one of them
            if not await self._transfers.heard(agreement.feed, name, file.content):
                await self._announced(agreement, file, name)
        for name, claims in said.items():
            await self._about(agreement, file, name, claims)
        await self._considered(agreement, *said)

    async def _considered(self, agreement: Agreement, *names: str) -> None:
        """See whether the transfers of these names are complete; several are so together, or none."""
        if len(names) > 1 and not (await self._transfers.awaited(agreement.feed)).isdisjoint(names):
            return
        for name in dict.fromkeys(names):
            transfer = await self._transfers.coming(agreement.feed, name)
            if transfer is not None:
                await self.consider(agreement, transfer)

    async def _unreadable(self, agreement: Agreement, file: Arrived, reason: str) -> None:
        """A manifest that cannot be read is a transfer of its own, which comes to nothing: somebody has to know."""
        transfer = await self._transfers.of_content(agreement.feed, file.content)
        if transfer is None:
            said = msgspec.msgpack.encode(Claims(said_by=("manifest",), unreadable=reason))
            transfer = new(
                agreement.feed, file.partner, file.folder, file.name, file.correlation, self._now(),
                content=file.content, arrived=1, size=file.size, said=said,
            )  # fmt: skip
            await self._transfers.begin(transfer)
        await self._transfers.complete(transfer)

    async def _bytes(self, file: Arrived) -> bytes:
        content = await self._contents.find(file.content)
        if content.size > LARGEST_MANIFEST:
            raise Disagreement("it is too large for what it is")
        return b"".join([piece async for piece in self._contents.pieces(content)])

    # --- completion ------------------------------------------------------------------------------------------------------

    async def consider(self, agreement: Agreement, transfer: Transfer) -> bool:
        """Whether a transfer is complete, as agreed: then it is worked on."""
        if not transfer.arrived or not is_coming(transfer):
            return False
        claims, settings = transfer.claims, agreement.settings
        complete = settings.complete_when
        if complete.manifest is not None and not await self._together(agreement, transfer, claims):
            return False
        if complete.marker is not None and "marker" not in claims.said_by:
            return False
        if settings.digest is not None and settings.digest.said_by not in claims.said_by:
            return False
        if complete.still_for is not None and self._now() - transfer.changed < complete.still_for // _MICROS:
            return False
        return await self._transfers.complete(transfer)

    async def _together(self, agreement: Agreement, transfer: Transfer, claims: Claims) -> bool:
        """Whether its manifest is there, and all the files that it lists."""
        if "manifest" not in claims.said_by:
            return False
        return (await self._transfers.awaited(agreement.feed)).isdisjoint(claims.together)

    async def look(self) -> None:
        """Find what time has made complete, or has made late for good."""
        for agreement in self._agreements().by_feed.values():
            for transfer in await self._transfers.all_coming(agreement.feed):
                if await self.consider(agreement, transfer):
                    continue
                if self._now() - transfer.changed > agreement.settings.within // _MICROS:
                    await self._transfers.happens(transfer, "expire", reason=_missing(agreement, transfer))


def _missing(agreement: Agreement, transfer: Transfer) -> str:
    """What an incomplete transfer has waited for, in vain."""
    if not transfer.arrived:
        return "its upload was not finished" if transfer.content is not None else "its file has not come"
    complete, claims = agreement.settings.complete_when, transfer.claims
    if complete.manifest is not None:
        return "files of its manifest have not come" if "manifest" in claims.said_by else "no manifest names it"
    return (
        "its marker has not come" if complete.marker is not None and "marker" not in claims.said_by else "no digest came beside it"
    )


def queue(receiving: Receiving) -> Queue:
    """The queue of files that have come."""
    return Queue(
        name=ARRIVALS, handler=receiving, attempts=2**31, patience=timedelta(days=3650), longest_wait=timedelta(minutes=1),
        time_limit=timedelta(minutes=10),
    )  # fmt: skip
