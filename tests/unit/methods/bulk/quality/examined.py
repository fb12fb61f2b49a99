"""A file, examined, with all that was handed on and set aside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fiveways.methods.bulk.quality.batches import GoodRecords, Part
from fiveways.methods.bulk.quality.examination import examine
from fiveways.methods.bulk.quality.findings import BadRecord, Examination
from fiveways.methods.bulk.quality.settings import QualitySettings, StopPolicy

TODAY = date(2026, 11, 23)


@dataclass
class Found:
    """What came of a file."""

    examination: Examination
    good: bytes
    batches: list[GoodRecords]
    bad: list[BadRecord] = field(default_factory=list)

    @property
    def broken(self) -> dict[int, list[tuple[str, str | None]]]:
        """Rules and columns, by record."""
        return {each.number: [(one.rule, one.column) for one in each.breaches] for each in self.bad}

    @property
    def rules(self) -> dict[int, list[str]]:
        """Rules, by record."""
        return {each.number: [one.rule for one in each.breaches] for each in self.bad}


def settings(**said: Any) -> QualitySettings:
    """Settings as a deployment file says them."""
    return QualitySettings.model_validate(said)


def look(source: bytes | Iterable[bytes], said: QualitySettings, **options: Any) -> Found:
    """Examine it."""
    batches: list[GoodRecords] = []
    bad: list[BadRecord] = []
    found = examine(
        (source,) if isinstance(source, bytes) else source, said, good=batches.append, bad=bad.extend, **{"today": TODAY, **options}
    )
    part, good = None, b""
    for each in batches:
        part = part or Part(each.header, each.encoding)
        good += part.add(each.batch)
    if part is not None:
        good += part.end()
    return Found(found, good, batches, bad)


def stop(policy: str, percent: str = "2%") -> StopPolicy:
    """A stop policy."""
    return StopPolicy.model_validate({"policy": policy, "percent": percent})
