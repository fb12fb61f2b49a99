"""Reports of quality control: made of what was found of a transfer, and of those before it in the same feed."""

from __future__ import annotations

from typing import Literal

from fiveways.clock import moment_of
from fiveways.errors import FivewaysError
from fiveways.methods.bulk import records
from fiveways.methods.bulk.quality.findings import unpacked
from fiveways.methods.bulk.quality.page import EARLIER, html
from fiveways.methods.bulk.quality.report import Delivery, json_report, operation_outcome
from fiveways.methods.bulk.service import Transfer, Transfers

Form = Literal["html", "json", "operation-outcome"]


class NotExamined(FivewaysError):
    """A transfer's records were not looked at, or not yet."""


class Reporting:
    """Reports of transfers."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers

    async def report(self, transfer: Transfer, form: Form) -> bytes:
        """A transfer's report. Raises NotExamined."""
        if transfer.examination is None:
            raise NotExamined(f"{transfer.id} is {transfer.state}: its records were not examined")
        delivery = _delivery(transfer.feed, transfer.id, transfer.at, transfer.examination)
        if form == "operation-outcome":
            return operation_outcome(delivery)
        rows = await self._transfers.ask(records.find_earlier, b_feed=transfer.feed, b_id=transfer.id, b_most=EARLIER)
        earlier = [_delivery(transfer.feed, *row) for row in reversed(rows)]
        return json_report(delivery, earlier) if form == "json" else html(delivery, earlier).encode()


def _delivery(feed: str, transfer: str, at: int, examination: bytes) -> Delivery:
    return Delivery(feed, transfer, moment_of(at), unpacked(examination))
