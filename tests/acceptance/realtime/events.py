"""Server-Sent Events, read as the specification says (HTML, §9.2.6), on a connection of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.acceptance.realtime.conftest import Estate


@dataclass
class Event:
    """An event, with the id that its reader has after it."""

    name: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        """Its data."""
        return json.loads(self.data)


@dataclass
class Reading:
    """A response that has events."""

    response: httpx.Response
    comments: int = 0
    retry: int = 0
    last_id: str = ""
    over: bool = False
    """Whether the server has ended it."""
    _events: Iterator[Event] = field(init=False)

    def __post_init__(self) -> None:
        self._events = self._parsed()

    def next(self) -> Event:
        """The event that comes next."""
        return next(self._events)

    def all(self) -> list[Event]:
        """All that come until the server ends it."""
        return list(self._events)

    def said(self, count: int) -> list[Any]:
        """What the next messages say, and nothing that is no message among them."""
        events = [self.next() for _ in range(count)]
        assert [event.name for event in events] == ["message"] * count
        return [event.json["data"] for event in events]

    def _parsed(self) -> Iterator[Event]:
        name, data = "", list[str]()
        for line in self._lines():
            if not line:
                if data:
                    yield Event(name or "message", "\n".join(data), self.last_id)
                name, data = "", []
                continue
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not key:
                self.comments += 1
            elif key == "id":
                self.last_id = value
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "retry":
                self.retry = int(value)
        self.over = True

    def _lines(self) -> Iterator[str]:
        """Lines, which end at a line feed here; and not at whatever else Unicode ends lines at."""
        rest = b""
        for piece in self.response.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.decode()


@contextmanager
def reading(
    estate: Estate, channel: str, application: str = "ward", *, last: str = "", headers: dict[str, str] | None = None,
    seconds: float = 10, **params: str,
) -> Iterator[Reading]:  # fmt: skip
    """The events of a channel, from the moment at which they are: `joined` has been told."""
    sent = {**estate.served.bearer(application), **({"Last-Event-ID": last} if last else {}), **(headers or {})}
    with httpx.Client(timeout=seconds, trust_env=False) as client:
        with client.stream("GET", f"{estate.events}/channels/{channel}/events", headers=sent, params=params) as response:
            assert response.status_code == 200, response.read()
            made = Reading(response)
            assert made.next().name == "joined"
            yield made
