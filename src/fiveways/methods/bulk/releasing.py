"""Releasing: what goes to whom, written in the transaction of the verdict; then each batch is a delivery to its sink, made once.

Collectors find files in their folders at once: names of the content that is there already. A sink gets the good records as one
file, or in batches: ranges of that content, each behind the header that the file begins with. A batch has a name of its own, the
same at every attempt, by which a sink knows a repeat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import msgspec

from fiveways.clock import micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Step
from fiveways.delivery.queue import Delivery, GiveUp, Queue, Retry
from fiveways.errors import StoreError
from fiveways.methods.bulk import file_records, records
from fiveways.methods.bulk.agreement import Agreement, Agreements
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.service import RECEIPTS, RELEASES, Transfer, Transfers
from fiveways.methods.bulk.sinks.make import Mail, Post
from fiveways.methods.bulk.sinks.sink import Piece, Put
from fiveways.methods.bulk.states import State
from fiveways.methods.bulk.tree import Broken

_PACKED: Final = {".gz", ".zst", ".zip", ".zstd"}
_CONTENT_TYPES: Final = {
    ".csv": "text/csv", ".ndjson": "application/x-ndjson", ".json": "application/json", ".txt": "text/plain",
    ".parquet": "application/vnd.apache.parquet", ".gz": "application/gzip", ".zst": "application/zstd",
    ".zstd": "application/zstd", ".zip": "application/zip",
}  # fmt: skip


class Cut(NamedTuple):
    """A range of a content that goes by itself: `head` bytes of its beginning, then those from `start` up to `end`."""

    head: int
    start: int
    end: int
    records: int
    content: str = ""
    """The content, where it is not that of all good records."""


class Releasing:
    """Releases transfers."""

    def __init__(
        self,
        transfers: Transfers,
        contents: Contents,
        agreements: Callable[[], Agreements],
        puts: Callable[[str], Sequence[Put]],
        mail: Mail,
        post: Post,
        secrets: Callable[[str], Sequence[bytes]],
    ) -> None:
        """`puts`: what puts pieces into a feed's sinks, in their order; `mail` puts one into a mailbox, `post` posts a delivery;
        `secrets`: what a feed's receipts are signed with where they are posted."""
        self._transfers = transfers
        self._contents = contents
        self._agreements = agreements
        self._puts = puts
        self._mail = mail
        self._post = post
        self._secrets = secrets

    # --- what follows from a verdict -------------------------------------------------------------------------------------

    async def steps(
        self, agreement: Agreement, transfer: Transfer, content: str, cuts: Mapping[int, Sequence[Cut]], *, more: int = 0
    ) -> list[Step]:
        """What writes a release down: names for collectors, and promises for sinks. `more`: which release of mended records it is,
        from 1; 0 is that of the file. Raises StoreError."""
        found = await self._contents.find(content)
        steps: list[Step] = []
        for to in agreement.settings.to:
            name = called(transfer.name, more, unpacked=content != transfer.content)
            steps += await self._named(to.partner, to.folder or f"/{agreement.feed}", name, transfer, found)
        for number, sink in enumerate(agreement.settings.deliver_to):
            whole = [Cut(0, 0, found.size, transfer.records)]
            pieces = cuts.get(number, whole) if sink.batches is not None else whole
            first = 1 + await self._last_batch(transfer.id, number) if more else 1
            for at, cut in enumerate(pieces, first):
                row = {
                    "v_transfer": transfer.id, "v_sink": number, "v_number": at, "v_content": cut.content or content,
                    "v_head": cut.head, "v_start": cut.start, "v_end": cut.end, "v_records": cut.records, "v_delivered": 0,
                }  # fmt: skip
                promise = await self._transfers.deliveries.promise(
                    RELEASES, target=sink.where, key=f"{agreement.feed}/{number}", correlation=transfer.correlation,
                    body=msgspec.msgpack.encode((transfer.id, number, at)), id=f"{transfer.id}.{number}.{at}",
                )  # fmt: skip
                steps += [(records.add_batch, row), *promise.steps]
        return steps

    async def receipt_steps(self, agreement: Agreement, transfer: Transfer, signed: str) -> list[Step]:
        """What brings the receipt to the sender. Raises StoreError."""
        agreed = agreement.settings.receipt
        if agreed is None:
            return []
        steps: list[Step] = []
        if agreed.folder is not None:
            content = await self._contents.small(new_id(), signed.encode())
            steps += content.steps
            steps += await self._named(transfer.partner, agreed.folder, f"{transfer.name}.receipt.jws", transfer, content.content)
        for kind, wanted in (("mailbox", agreed.mailbox), ("http", agreed.http)):
            if wanted is not None:
                promise = await self._transfers.deliveries.promise(
                    RECEIPTS, target=str(agreed.http) if kind == "http" else kind, key=f"{agreement.feed}/{kind}",
                    body=signed.encode(), content_type="application/jose", correlation=transfer.correlation,
                    envelope=agreement.feed.encode(),
                )  # fmt: skip
                steps += promise.steps
        return steps

    async def _named(self, partner: str, folder: str, name: str, transfer: Transfer, content: Content) -> list[Step]:
        """A name by which a partner sees a content; another one, where it has a file of its own under that."""
        rows = await self._transfers.ask(file_records.find_name, b_partner=partner, b_folder=folder, b_name=name)
        if rows and (rows[0][3] is None or not rows[0][7]):
            name = f"{transfer.id}.{name}"[:255]
        row = {
            "v_partner": partner, "v_folder": folder, "v_name": name, "v_content": content.id, "v_size": content.size,
            "v_modified": int(self._transfers.clock.time()), "v_partial": 0, "v_released": transfer.id,
        }  # fmt: skip
        above, _, last = folder.rpartition("/")
        into = {**row, "v_folder": above, "v_name": last, "v_content": None, "v_size": 0, "v_released": ""}
        return [(file_records.add_name, into), (file_records.put_name, row)]

    async def _last_batch(self, transfer: str, sink: int) -> int:
        rows = await self._transfers.ask(records.find_batches, b_id=transfer)
        return max((row[2] for row in rows if row[1] == sink), default=0)

    # --- batches, to sinks -----------------------------------------------------------------------------------------------

    async def __call__(self, delivery: Delivery) -> str:
        """Bring a batch to its sink. Raises Retry and GiveUp."""
        id_, sink, number = msgspec.msgpack.decode(await _body(delivery), type=tuple[str, int, int])
        try:
            return await self._brought(id_, sink, number, delivery)
        except (StoreError, Broken, OSError) as error:
            raise Retry(str(error)) from None

    async def _brought(self, id_: str, sink: int, number: int, delivery: Delivery) -> str:
        transfer = await self._transfers.find(id_)
        rows = await self._transfers.ask(records.find_batch, b_id=id_, b_sink=sink, b_number=number)
        if transfer is None or not rows:
            raise GiveUp("the transfer is not known any more")
        agreement = self._agreements().by_feed.get(transfer.feed)
        declared = agreement.settings.deliver_to if agreement is not None else ()
        if sink >= len(declared) or declared[sink].where != delivery.target:
            raise GiveUp("the feed has no such sink any more")
        content = await self._contents.find(rows[0][3])
        cut = Cut(*rows[0][4:8])
        numbered = declared[sink].batches is not None or number > 1
        piece = Piece(
            id=delivery.id, feed=transfer.feed, transfer=transfer.id, correlation=transfer.correlation, number=number,
            name=_name(transfer, content, number if numbered else 0), records=cut.records, size=cut.head + cut.end - cut.start,
            content_type=_content_type(transfer, content), read=lambda: self._range(content, cut),
        )  # fmt: skip
        said = await self._puts(transfer.feed)[sink](piece, delivery)
        await self._transfers.group.submit(
            records.delivered, {"b_id": id_, "b_sink": sink, "b_number": number, "b_at": micros(self._transfers.clock)}
        )
        left = (await self._transfers.ask(records.count_undelivered, b_id=id_))[0][0]
        everyone = not left and agreement is not None and not agreement.settings.to
        if everyone and transfer.state in (State.RELEASED, State.PART_RELEASED):
            await self._transfers.happens(transfer, "collect", reason="it was brought to every sink")
        return said

    async def _range(self, content: Content, cut: Cut) -> AsyncIterator[bytes]:
        for start, end in ((0, cut.head), (cut.start, cut.end)):
            if start < end:
                async for piece in self._contents.pieces(content, start, end):
                    yield piece

    # --- receipts, to senders --------------------------------------------------------------------------------------------

    async def send_receipt(self, delivery: Delivery) -> str:
        """Bring a receipt to its sender. Raises Retry and GiveUp."""
        agreement = self._agreements().by_feed.get(delivery.envelope.decode())
        agreed = agreement.settings.receipt if agreement is not None else None
        if delivery.target != "mailbox":
            if agreement is None:
                raise GiveUp("there is no such feed any more")
            await self._post(delivery, {"Fiveways-Feed": agreement.feed}, self._secrets(agreement.feed))
            return "posted"
        if agreement is None or agreed is None or agreed.mailbox is None:
            raise GiveUp("the feed sends no receipts to a mailbox any more")
        piece = Piece(
            id=delivery.id, feed=agreement.feed, transfer="", correlation=delivery.correlation, number=0, name="receipt.jws",
            records=0, size=delivery.size, content_type=delivery.content_type, read=delivery.content,
        )  # fmt: skip
        return str(await self._mail(agreed.mailbox, piece))


def called(name: str, more: int, *, unpacked: bool) -> str:
    """What a released file is called: as its original, where that is what it is; of mended records with their number behind."""
    if unpacked and PurePosixPath(name).suffix in _PACKED:
        name = name.removesuffix(PurePosixPath(name).suffix)
    if not more:
        return name
    path = PurePosixPath(name)
    return f"{path.name.removesuffix(''.join(path.suffixes))}.mended-{more}{''.join(path.suffixes)}"


def _suffixes(transfer: Transfer, content: Content) -> list[str]:
    """How the name of a piece ends: as that of the original, and without what says that it is compressed where it is not."""
    suffixes = PurePosixPath(transfer.name).suffixes
    packed = suffixes[-1:] if suffixes and suffixes[-1] in _PACKED else []
    plain = suffixes[: len(suffixes) - len(packed)][-1:]
    return [*plain, *(packed if content.id == transfer.content else [])]


def _name(transfer: Transfer, content: Content, number: int) -> str:
    suffix = "".join(_suffixes(transfer, content))
    return f"{transfer.feed}-{transfer.id}{f'-{number:05}' if number else ''}{suffix}"


def _content_type(transfer: Transfer, content: Content) -> str:
    suffixes = _suffixes(transfer, content)
    return _CONTENT_TYPES.get(suffixes[-1] if suffixes else "", "application/octet-stream")


async def _body(delivery: Delivery) -> bytes:
    return b"".join([piece async for piece in delivery.content()])


def queues(releasing: Releasing) -> list[Queue]:
    """The queues of batches and of receipts."""
    batches = Queue(
        name=RELEASES, handler=releasing, attempts=2**31, patience=timedelta(days=14), longest_wait=timedelta(minutes=15),
        time_limit=timedelta(hours=2),
    )  # fmt: skip
    return [batches, replace(batches, name=RECEIPTS, handler=releasing.send_receipt, time_limit=timedelta(minutes=5))]
