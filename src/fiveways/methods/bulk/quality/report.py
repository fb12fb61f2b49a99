"""The report on a delivery, for its sender and for those who take it: as JSON, as a FHIR R4 OperationOutcome, and (`page.py`) as
HTML.

It is made of what was found (`Examination`), and of what was found of earlier deliveries of the feed. It holds no value that its
column's mask does not allow, and no raw record.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any, Final

import msgspec

from fiveways.methods.bulk.quality.findings import MALFORMED, Examination, Tally

_ISSUES: Final = {
    "required": "required", "unique": "duplicate", "code": "code-invalid", "reference": "not-found", "type": "value",
    "pattern": "value", "length": "value", "range": "value", "check-digit": "value", "formula": "security",
    "too-long": "too-long", "resource": "not-supported",
}  # fmt: skip
"""FHIR's issue-type of a rule; of a record's form `structure`, of a feed's own `business-rule`."""


class Delivery(msgspec.Struct, frozen=True):
    """A file of a feed, and what was found of it."""

    feed: str
    """The feed's name."""
    transfer: str
    """The transfer's id."""
    received: datetime
    """When it came: aware, in UTC."""
    examination: Examination
    """What was found."""


class Age(msgspec.Struct, frozen=True):
    """How old the data of a column of dates is (B13)."""

    column: str
    """The column."""
    oldest: str
    """Its least value."""
    newest: str
    """Its greatest."""
    days: float
    """From its newest value to when the file came, in days; below 0 where it lies ahead."""


def ages(delivery: Delivery) -> list[Age]:
    """How old the data is, by column."""
    found = []
    for name, column in delivery.examination.columns.items():
        if column.type in ("date", "datetime") and column.least is not None and column.greatest is not None:
            newest = datetime.fromisoformat(column.greatest)
            newest = newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest
            received = delivery.received
            if column.type == "date":
                received = datetime.combine(received.date(), time.min, UTC)
            found.append(Age(name, column.least, column.greatest, (received - newest).total_seconds() / 86_400))
    return found


def label(tally: Tally) -> str:
    """What a tally counts, in a few words."""
    return tally.rule if tally.column is None else f"{tally.column}: {tally.rule}"


def json_report(delivery: Delivery, earlier: Sequence[Delivery] = ()) -> bytes:
    """The report as JSON. Of earlier deliveries: how many records, how many bad, and the null rate of each column."""
    examination = delivery.examination
    return msgspec.json.encode(
        {
            "feed": delivery.feed,
            "transfer": delivery.transfer,
            "received": delivery.received,
            "examination": {**msgspec.to_builtins(examination), "header": base64.b64encode(examination.header).decode()},
            "ages": ages(delivery),
            "earlier": [
                {
                    "transfer": each.transfer,
                    "received": each.received,
                    "verdict": each.examination.verdict,
                    "records": each.examination.records,
                    "bad": each.examination.bad,
                    "null_rates": null_rates(each.examination),
                }
                for each in earlier
            ],
        }
    )


def null_rates(examination: Examination) -> dict[str, float]:
    """Which share of the records has no value, by column."""
    return {name: each.nulls / each.records if each.records else 0.0 for name, each in examination.columns.items()}


def operation_outcome(delivery: Delivery) -> bytes:
    """The report as an OperationOutcome in JSON: an issue for each rule that was broken in a column, with how often and in which
    records first; `expression` counts records from 0, as FHIRPath does."""
    examination, issues = delivery.examination, list[dict[str, Any]]()
    if examination.fault is not None:
        details = {"text": examination.fault.code}
        issues.append({"severity": "fatal", "code": "structure", "details": details, "diagnostics": examination.fault.text})
    if examination.stopped is not None:
        issues.append({"severity": "fatal", "code": "business-rule", "diagnostics": examination.stopped})
    for tally in examination.tallies:
        code = "structure" if tally.rule in MALFORMED else "business-rule"
        first = ", ".join(str(each) for each in tally.first)
        more = "" if tally.records == len(tally.first) else ", …"
        behind = "" if tally.column is None or " + " in tally.column else f".{tally.column}"
        issues.append(
            {
                "severity": "error",
                "code": _ISSUES.get(tally.rule, code),
                "details": {"text": label(tally)},
                "diagnostics": f"{tally.records} of {examination.records} records: {first}{more}",
                "expression": [f"record[{each - 1}]{behind}" for each in tally.first],
            }
        )
    if not issues:
        text = f"{examination.records} records, and every one is good"
        issues.append({"severity": "information", "code": "informational", "diagnostics": text})
    return msgspec.json.encode({"resourceType": "OperationOutcome", "id": delivery.transfer, "issue": issues})
