"""Sessions that a back end keeps by cookies, one for each consumer: its cookies end here, and are presented again here (RFC 6265).

They are kept in this process: another process, or another node, opens a session of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import Request

from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, Settings
from fiveways.types import Consumer, Headers

OWNS = frozenset((b"cookie",))


class SessionSettings(Settings):
    """Sessions of consumers at a back end that keeps them by cookies."""

    idle: Duration = timedelta(minutes=30)
    """After how long without a request a consumer's session is forgotten here."""
    most: int = Field(default=10_000, ge=1)
    """How many are kept; past it, that which was used longest ago is forgotten."""


class Sessions:
    """The cookies of each consumer. An anonymous caller of an open API has none: nobody gets another's session."""

    def __init__(self, settings: SessionSettings, url: str, clock: Clock) -> None:
        """`url`: the target's, which cookies are for."""
        self._idle = settings.idle.total_seconds()
        self._most = settings.most
        self._origin = "/".join(url.split("/")[:3])
        self._clock = clock
        self._jars: OrderedDict[tuple[str, str, str], tuple[float, CookieJar]] = OrderedDict()

    def fields(self, consumer: Consumer, target: bytes) -> Headers:
        """The cookies of a consumer for a request to `target` (path and query)."""
        jar = self._jar(consumer)
        if jar is None:
            return []
        request = Request(self._origin + target.decode("latin-1"))  # noqa: S310 - never sent
        jar.add_cookie_header(request)
        cookie = request.get_header("Cookie")
        return [(b"cookie", cookie.encode("latin-1"))] if cookie else []

    def keep(self, consumer: Consumer, target: bytes, headers: Headers) -> Headers:
        """An answer's header fields without its cookies, which are kept for the consumer."""
        set_ = [value for name, value in headers if name == b"set-cookie"]
        if not set_:
            return headers
        key = _key(consumer)
        if key is not None:
            jar = self._jar(consumer)
            if jar is None:
                jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrict))
                while len(self._jars) >= self._most:
                    self._jars.popitem(last=False)
            jar.extract_cookies(_Answer(set_), Request(self._origin + target.decode("latin-1")))  # type: ignore[arg-type]  # noqa: S310
            self._jars[key] = (self._clock.monotonic(), jar)
        return [field for field in headers if field[0] != b"set-cookie"]

    def _jar(self, consumer: Consumer) -> CookieJar | None:
        key = _key(consumer)
        known = self._jars.pop(key, None) if key is not None else None
        if known is None or key is None:
            return None
        now = self._clock.monotonic()
        if now - known[0] > self._idle:
            return None
        self._jars[key] = (now, known[1])
        return known[1]


def _key(consumer: Consumer) -> tuple[str, str, str] | None:
    return (consumer.application, consumer.issuer, consumer.subject) if consumer.application else None


class _Answer:
    """An answer as the cookie jar wants to see it."""

    def __init__(self, cookies: list[bytes]) -> None:
        self._said = Message()
        for cookie in cookies:
            self._said["Set-Cookie"] = cookie.decode("latin-1")

    def info(self) -> Message:
        """Its header section."""
        return self._said
