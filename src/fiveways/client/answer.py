"""What came back over HTTP: status, header fields and body, with the ids under which it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Fields(Mapping[str, str]):
    """Header fields by name, in either case; what is said several times is one value with commas between (RFC 9110 §5.2)."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Fields({sorted(self._values)})"  # values may be of a patient, or a secret

    def all(self, name: str) -> list[str]:
        """Every value under a name, as it came."""
        return list(self._values.get(name.lower(), ()))

    def pairs(self) -> list[tuple[str, str]]:
        """Names in lower case, each with one value."""
        return [(name, value) for name, values in self._values.items() for value in values]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whatever its status: 4xx and 5xx are answers too."""

    status: int
    headers: Fields
    content: bytes
    request_id: str
    """X-Request-ID, as we sent it."""
    correlation_id: str
    """X-Correlation-ID, as we sent it."""
    file: Path | None = None
    """Where the body is, if it was asked for as a file; `content` is empty then."""

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON. ValueError where it is none."""
        return json.loads(self.content)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.content)} bytes, request {self.request_id})"
