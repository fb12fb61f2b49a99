"""What every answer of an exchange says of its end: it is a transitional step (A50), and consumers are told in good time."""

from __future__ import annotations

from datetime import UTC, datetime, time
from email.utils import format_datetime

from fiveways.clock import Clock
from fiveways.methods.exchange.settings import Transitional
from fiveways.types import Headers


class Announcement:
    """The header fields of one exchange: Deprecation (RFC 9745), Sunset (RFC 8594) and a link, once the day is near."""

    def __init__(self, transitional: Transitional, clock: Clock) -> None:
        self._clock = clock
        ends = datetime.combine(transitional.retire_by, time.max, UTC).replace(microsecond=0)
        begins = ends - transitional.announce
        self._begins = begins
        self._fields: Headers = [
            (b"deprecation", b"@%d" % begins.timestamp()),
            (b"sunset", format_datetime(ends, usegmt=True).encode()),
        ]
        if transitional.link is not None:
            self._fields.append((b"link", b'<%b>; rel="deprecation"; type="text/html"' % transitional.link.encode()))

    def fields(self) -> Headers:
        """What is to be said now: nothing, as long as the day is far."""
        return self._fields if self._clock.now() >= self._begins else []
