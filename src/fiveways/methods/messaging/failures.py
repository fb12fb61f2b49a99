"""Who learns of a message that failed: its sender, and whom its workflow names besides (A45)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fiveways.methods.messaging.reports import Report


def for_all(report: Report, told: Iterable[str]) -> list[Report]:
    """A report for its recipient, and the same for each mailbox of `told`: each is told once."""
    return [msgspec.structs.replace(report, recipient=mailbox) for mailbox in dict.fromkeys((report.recipient, *told))]
