"""What was set aside: a person looks at bad records, mends or drops them, and sends the mended ones again (B16).

Mended records are checked by the same rules as their file was, and against what was released of it; those that are good now are
released as further batches of the same transfer, whose count adds up again. Who did it and why is in the audit.
"""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from fiveways.clock import micros, moment_of
from fiveways.delivery.engine import Step
from fiveways.errors import FivewaysError
from fiveways.methods.bulk import records
from fiveways.methods.bulk.agreement import Agreement
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.examining import Examining
from fiveways.methods.bulk.quality.batches import Part
from fiveways.methods.bulk.quality.findings import Breach, unpacked
from fiveways.methods.bulk.quality.mending import Rechecked, recheck
from fiveways.methods.bulk.quality.settings import QualitySettings
from fiveways.methods.bulk.releasing import Releasing
from fiveways.methods.bulk.service import RECEIPTS, RELEASES, Transfer, Transfers, Verdict
from fiveways.methods.bulk.uploads import Upload
from fiveways.methods.bulk.working import Working

AT_ONCE: Final = 10_000
"""Mended records that are sent again at a time."""
_breaches: Final = msgspec.json.Decoder(tuple[Breach, ...]).decode


class NotMended(FivewaysError):
    """A record is not set aside, or cannot be mended so."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A record that was set aside."""

    record: int
    line: int
    state: str
    breaches: tuple[Breach, ...]
    by: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class Resubmitted:
    """What came of sending mended records again."""

    released: int
    refused: Mapping[int, tuple[Breach, ...]]
    """Those that still break rules, by their numbers."""
    left: int
    """Records that are still set aside."""


class Quarantine:
    """What was set aside of transfers, in somebody's name."""

    def __init__(
        self, transfers: Transfers, contents: Contents, examining: Examining, releasing: Releasing, working: Working, by: str
    ) -> None:
        self._transfers = transfers
        self._contents = contents
        self._examining = examining
        self._releasing = releasing
        self._working = working
        self._by = by

    async def aside(self, transfer: Transfer, state: str = "", after: int = 0, most: int = 100) -> list[Aside]:
        """What was set aside of a transfer, by record."""
        rows = await self._transfers.ask(records.find_aside, b_id=transfer.id, b_after=after, b_reason=state, b_most=most)
        return [Aside(row[1], row[2], row[6], _breaches(row[3]), row[7], row[8], row[9]) for row in rows]

    async def raw(self, transfer: Transfer, record: int) -> bytes:
        """A record as it is now: as it came, or as it was mended. It holds what it holds: patients' data. Raises NotMended."""
        content, row = await self._found(transfer, record)
        return self._examining.opened(content, record, bytes(row[5] if row[5] is not None else row[4]))

    async def mend(
        self, transfer: Transfer, agreement: Agreement, record: int, changes: Mapping[str, str], raw: bytes | None, why: str
    ) -> None:
        """Mend a record: give columns other values, or all of it other bytes. Raises NotMended."""
        content, row = await self._found(transfer, record)
        if row[6] not in ("open", "mended"):
            raise NotMended(f"record {record} is {row[6]}")
        settings = agreement.settings.records
        if settings is None:
            raise NotMended("the feed says nothing of its records any more")
        now = raw if raw is not None else await self.raw(transfer, record)
        if changes:
            now = changed(now, changes, settings, self._header(transfer))
        sealed = self._examining.sealed(content, record, now)
        await self._change(transfer, record, str(row[6]), "mended", sealed, why)

    async def drop(self, transfer: Transfer, record: int, why: str) -> None:
        """Give a record up: it is not going to be released. Raises NotMended."""
        _, row = await self._found(transfer, record)
        if row[6] not in ("open", "mended"):
            raise NotMended(f"record {record} is {row[6]}")
        await self._change(transfer, record, str(row[6]), "dropped", row[5], why)

    async def resubmit(self, transfer: Transfer, agreement: Agreement, why: str) -> Resubmitted:
        """Check the mended records of a transfer again, and release those that are good. Raises NotMended."""
        settings = agreement.settings.records
        if settings is None or transfer.good is None or transfer.content is None:
            raise NotMended("nothing of this transfer was released that they could be added to")
        asked = {"b_id": transfer.id, "b_after": 0, "b_reason": "mended", "b_most": AT_ONCE}
        mended = await self._transfers.ask(records.find_aside, **asked)
        if not mended:
            raise NotMended("no record is mended: see `fiveways bulk quarantine list`")
        content, good = await self._contents.find(transfer.content), await self._contents.find(transfer.good)
        before = await self._transfers.ask(records.find_aside, **{**asked, "b_reason": "released", "b_most": 2**31 - 1})
        raws = [self._examining.opened(content, row[1], bytes(row[5])) for row in mended]
        earlier = [self._examining.opened(content, row[1], bytes(row[5])) for row in before]
        found = await self._rechecked(transfer, settings, good, raws, earlier)
        refused = {row[1]: breaches for row, breaches in zip(mended, found.breaches, strict=True) if breaches}
        released = [row[1] for row in mended if row[1] not in refused]
        left = transfer.set_aside - len(released)
        now = micros(self._transfers.clock)
        steps: list[Step] = [
            (
                records.change_aside,
                self._row(transfer, row[1], "mended", "open" if row[1] in refused else "released", row[5], why, now),
            )
            for row in mended
        ]
        for number, breaches in refused.items():
            said = {"b_id": transfer.id, "b_record": number, "v_reasons": msgspec.json.encode(breaches)}
            steps.append((records.know_reasons, said))
        if found.good is not None:
            rounds = 1 + len({row[9] for row in before})
            steps += await self._release(transfer, agreement, found, rounds)
        if released:
            await self._count(transfer, agreement, content, len(released), left, steps, why)
        else:
            await self._transfers.group.transact(*steps)
        return Resubmitted(len(released), refused, left)

    # --- within ----------------------------------------------------------------------------------------------------------

    async def _rechecked(
        self, transfer: Transfer, settings: QualitySettings, good: Content, raws: Sequence[bytes], earlier: Sequence[bytes]
    ) -> Rechecked:
        loop, stop = asyncio.get_running_loop(), threading.Event()

        def released() -> Iterator[bytes]:
            yield from self._examining.source(good, loop, stop)
            yield b"".join(raw.rstrip(b"\r\n") + b"\n" for raw in earlier)

        def work() -> Rechecked:
            return recheck(
                raws, settings.model_copy(update={"compression": "none"}), released(), today=moment_of(transfer.at).date(),
                header=self._header(transfer), base=self._examining.base, scratch=self._examining.scratch,
                feeds=lambda feed, column: self._examining.released(feed, column, loop, stop),
            )  # fmt: skip

        return await asyncio.to_thread(work)

    async def _release(self, transfer: Transfer, agreement: Agreement, found: Rechecked, rounds: int) -> list[Step]:
        assert found.good is not None
        part = Part(found.good.header, found.good.encoding)
        upload = Upload.ours(self._contents)
        await upload.add(part.add(found.good.batch) + part.end())
        counted = replace(transfer, records=found.good.records)
        return await self._releasing.steps(agreement, counted, await upload.keep(), {}, more=rounds)

    async def _count(
        self, transfer: Transfer, agreement: Agreement, content: Content, released: int, left: int, steps: list[Step], why: str
    ) -> None:
        happening = "resubmit" if left else "mend"
        verdict = Verdict(
            happening=happening, reasons=transfer.reasons, records=transfer.records, accepted=transfer.accepted + released,
            set_aside=left, good=transfer.good,
        )  # fmt: skip
        signed = await self._working.receipt(transfer, content, transfer.claims, verdict)
        row = {"b_id": transfer.id, "v_accepted": verdict.accepted, "v_set_aside": left, "v_receipt": signed}
        steps = [*steps, *await self._releasing.receipt_steps(agreement, transfer, signed)]
        done = await self._transfers.happens(
            transfer, happening, (records.know_mended, row), *steps, by=self._by, reason=why, details={"released": released}
        )
        if not done:
            raise NotMended("somebody else has changed the transfer meanwhile: look again")
        for queue in (RELEASES, RECEIPTS):
            self._transfers.deliveries.wake(queue)

    async def _found(self, transfer: Transfer, record: int) -> tuple[Content, Any]:
        rows = await self._transfers.ask(records.find_one_aside, b_id=transfer.id, b_record=record)
        if not rows or transfer.content is None:
            raise NotMended(f"record {record} of {transfer.id} is not set aside")
        return await self._contents.find(transfer.content), rows[0]

    async def _change(self, transfer: Transfer, record: int, before: str, state: str, mended: bytes | None, why: str) -> None:
        row = self._row(transfer, record, before, state, mended, why, micros(self._transfers.clock))
        if not (await self._transfers.group.submit(records.change_aside, row)).rowcount:
            raise NotMended(f"somebody else has changed record {record} meanwhile: look again")
        await self._transfers.tell(transfer, f"record_{state}", self._by, {"record": record, "reason": why})

    def _row(
        self, transfer: Transfer, record: int, before: str, state: str, mended: bytes | None, why: str, now: int
    ) -> dict[str, Any]:
        return {
            "b_id": transfer.id, "b_record": record, "b_from": before, "v_mended": mended, "v_state": state, "b_by": self._by,
            "v_why": why, "b_at": now,
        }  # fmt: skip

    def _header(self, transfer: Transfer) -> bytes:
        return unpacked(transfer.examination).header if transfer.examination is not None else b""


def changed(raw: bytes, changes: Mapping[str, str], settings: QualitySettings, header: bytes) -> bytes:
    """A record with other values in some columns. Raises NotMended."""
    if settings.format == "csv":
        return _csv(raw, changes, settings, header)
    if settings.format == "fixed":
        return _fixed(raw, changes, settings)
    try:
        said = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise NotMended("the record is no JSON object: give all of it (--raw)") from None
    for name, value in changes.items():
        try:
            said[name] = msgspec.json.decode(value)
        except msgspec.MsgspecError:
            said[name] = value
    return msgspec.json.encode(said) + b"\n"


def _csv(raw: bytes, changes: Mapping[str, str], settings: QualitySettings, header: bytes) -> bytes:
    how: dict[str, Any] = {
        "delimiter": settings.delimiter, "quotechar": settings.quote or None, "escapechar": settings.escape or None,
        "doublequote": not settings.escape, "quoting": csv.QUOTE_MINIMAL if settings.quote else csv.QUOTE_NONE,
    }  # fmt: skip
    names = next(csv.reader([header.decode("utf-8", "replace").rstrip("\r\n")], **how), []) if header else list(settings.columns)
    values = next(csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""), **how), [])
    if len(values) != len(names):
        raise NotMended(f"the record has {len(values)} values for {len(names)} columns: give all of it (--raw)")
    for name, value in changes.items():
        if name not in names:
            raise NotMended(f"there is no column {name}: expected one of {', '.join(names)}")
        values[names.index(name)] = value
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n" if raw.endswith(b"\r\n") else "\n", **how).writerow(values)
    return out.getvalue().encode()


def _fixed(raw: bytes, changes: Mapping[str, str], settings: QualitySettings) -> bytes:
    line = raw.decode("utf-8", "replace").rstrip("\r\n")
    for name, value in changes.items():
        column = settings.columns.get(name)
        if column is None or column.start is None or column.width is None:
            raise NotMended(f"there is no column {name}: expected one of {', '.join(settings.columns)}")
        if len(value) > column.width:
            raise NotMended(f"{name} has room for {column.width} characters")
        at = column.start - 1
        line = f"{line[:at]:<{at}}{value:<{column.width}}{line[at + column.width :]}"
    return line.encode() + b"\n"
