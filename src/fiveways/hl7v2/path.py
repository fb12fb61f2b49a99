"""Where a value is in a message, as people write it: PID-5, PID-3[2].4.1, OBX(3)-5, PV1-7.2."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\((?P<occurrence>[1-9]\d{0,5})\))?"
    r"(?:-(?P<field>[1-9]\d{0,3})(?:\[(?P<repetition>[1-9]\d{0,4})\])?"
    r"(?:\.(?P<component>[1-9]\d{0,3})(?:\.(?P<subcomponent>[1-9]\d{0,3}))?)?)?"
)


class Path(NamedTuple):
    """Numbers begin at 1; 0 where the path ends before. `occurrence` counts the segments of that name, `repetition` those of the
    field."""

    segment: str
    occurrence: int = 1
    field: int = 0
    repetition: int = 1
    component: int = 0
    subcomponent: int = 0

    @classmethod
    def parse(cls, text: str) -> Path:
        """The path written as `text`; ValueError where it is none."""
        return _parsed(text)

    def __str__(self) -> str:
        text = self.segment + (f"({self.occurrence})" if self.occurrence > 1 else "")
        text += f"-{self.field}" if self.field else ""
        text += f"[{self.repetition}]" if self.repetition > 1 else ""
        text += f".{self.component}" if self.component else ""
        return text + (f".{self.subcomponent}" if self.subcomponent else "")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Path:
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError(f"found {text!r}, expected a path such as PID-5.1, PID-3[2].1 or OBX(2)-5")
    said = match.groupdict()
    return Path(
        said["segment"],
        int(said["occurrence"] or 1),
        int(said["field"] or 0),
        int(said["repetition"] or 1),
        int(said["component"] or 0),
        int(said["subcomponent"] or 0),
    )
