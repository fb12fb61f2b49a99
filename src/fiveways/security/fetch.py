"""JSON from another server: a client's keys, an identity provider's metadata, its answer to a code.

By `https`, or by `http` from this machine alone; redirects are not followed, nothing is decompressed, and every answer has a bound
in bytes and in time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from fiveways.clock import Clock
from fiveways.errors import FivewaysError

Content = TypeVar("Content")

LIMIT = 256 * 1024
"""Bytes of an answer."""
TIMEOUT = timedelta(seconds=5)
_log = logging.getLogger(__name__)


class FetchError(FivewaysError):
    """There is no answer of use; the message says why, and holds nothing of what was sent or answered but its status."""


class Unreachable(FetchError):
    """There is no answer at all, or one that says that it is not there now (502 to 504)."""


async def fetch(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str = "",
    roots: bytes | None = None,
    timeout: timedelta = TIMEOUT,
    limit: int = LIMIT,
) -> Any:
    """What `url` answers with 200 as JSON: to GET or, where there is a `form`, to POST. FetchError otherwise.

    `roots`: PEM certificates of a private authority, trusted beside the machine's.
    """
    if not may_fetch(url):
        raise FetchError("a URL is fetched by https, or by http from a loopback address")
    builder = ClientBuilder().follow_redirects(False).timeout(timeout).default_cookie_store(False)
    builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
    if roots is not None:
        builder = builder.add_root_certificate_pem(roots)
    try:
        async with builder.build() as client:
            request = client.get(url) if form is None else client.post(url)
            request = request.header("accept", "application/json")
            if form is not None:
                request = request.header("content-type", "application/x-www-form-urlencoded").body_text(urlencode(form))
            if authorization:
                request = request.header("authorization", authorization)
            async with request.build_streamed() as response:
                if response.status != 200:
                    kind = Unreachable if response.status in (502, 503, 504) else FetchError
                    raise kind(f"{_shown(url)} answered {response.status}")
                body = bytearray()
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    body += chunk
                    if len(body) > limit:
                        raise FetchError(f"the answer of {_shown(url)} is too large")
        return json.loads(body)
    except PyreqwestError as error:
        raise Unreachable(f"{_shown(url)} cannot be reached") from error
    except (ValueError, RecursionError) as error:
        raise FetchError(f"the answer of {_shown(url)} is not JSON") from error


class Fetched(Generic[Content]):
    """What is published at a URL, kept for a while and fetched again when it has become old.

    One fetch serves all who wait for it, and no more than `burst` are made in any `refetch_after`: nobody can turn the platform
    against whoever publishes. When a fetch fails, what was fetched last serves on for `stale_for` (stale-if-error).
    """

    def __init__(
        self,
        url: str,
        read: Callable[[Any], Content],
        clock: Clock,
        *,
        keep: timedelta = timedelta(hours=1),
        refetch_after: timedelta = timedelta(seconds=30),
        burst: int = 1,
        stale_for: timedelta = timedelta(days=1),
        timeout: timedelta = TIMEOUT,
        limit: int = LIMIT,
        roots: bytes | None = None,
    ) -> None:
        """`read` makes of JSON what is kept; FivewaysError where it is not what is expected there."""
        self.url = url
        self._read = read
        self._clock = clock
        self._keep = keep.total_seconds()
        self._refetch_after = refetch_after.total_seconds()
        self._stale_for = stale_for.total_seconds()
        self._timeout = timeout
        self._limit = limit
        self._roots = roots
        self._content: Content | None = None
        self._fetched = float("-inf")
        self._failed = False
        self._tried: deque[float] = deque([float("-inf")] * burst, maxlen=burst)
        self._fetching = asyncio.Lock()

    async def get(self, enough: Callable[[Content], bool] = lambda _: True) -> Content:
        """What is published; fetched again where what is held is not `enough`. Unreachable where there is nothing to be used, or
        what is held is not enough and cannot be fetched now."""
        if not self._serves(enough):
            async with self._fetching:
                if not self._serves(enough):
                    await self._refresh()
        content = self._content
        if content is None or self._age() > self._keep + self._stale_for or (self._failed and not enough(content)):
            raise Unreachable(f"{_shown(self.url)} cannot be had")
        return content

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched

    def _serves(self, enough: Callable[[Content], bool]) -> bool:
        """Whether to answer from what is held: it is fresh and enough, or fetching was tried just now."""
        if self._content is not None and self._age() <= self._keep and enough(self._content):
            return True
        return self._clock.monotonic() - self._tried[0] < self._refetch_after

    async def _refresh(self) -> None:
        try:
            self._content = self._read(await fetch(self.url, timeout=self._timeout, limit=self._limit, roots=self._roots))
            self._fetched = self._clock.monotonic()
            self._failed = False
        except FivewaysError as error:  # what was fetched before serves on; get() says so where there is nothing
            self._failed = True
            _log.warning("what another server publishes could not be fetched", extra={"reason": str(error)})
        self._tried.append(self._clock.monotonic())  # only now: whoever came meanwhile waits for this fetch


def may_fetch(url: str) -> bool:
    """Whether keys and tokens may be fetched from `url`: over https, or http from a loopback address or `localhost`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether `host` (a name, or an address without brackets) is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(url: str) -> str:
    """A URL without its query."""
    return url.partition("?")[0]
