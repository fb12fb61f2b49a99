"""Reads a running platform's metrics, within bounds of time and size."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectTimeoutError, PyreqwestError, ReadTimeoutError, RequestTimeoutError

from fiveways.clock import Clock
from fiveways.linter.observed import ObservationError, Observed, parse

LIMIT: Final = 32 * 2**20
"""Bytes of metrics: some two hundred thousand lines."""
PATIENCE: Final = timedelta(seconds=15)
"""How long they may take to arrive, all in all."""


def observe(url: str, clock: Clock, patience: timedelta = PATIENCE, limit: int = LIMIT) -> Observed:
    """What the metrics at `url` say, `/metrics` where it has no path; ObservationError where they cannot be had."""
    try:
        parts = urlsplit(url)
        shown = f"--live {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ObservationError("--live: expected a URL such as http://127.0.0.1:8080/metrics")
    if parts.path in ("", "/") and not parts.query:
        url = f"{parts.scheme}://{parts.netloc}/metrics"
    try:
        body = asyncio.run(_fetched(url, patience, limit))
        return parse(body.decode("utf-8"), clock.time())
    except UnicodeDecodeError as error:
        raise ObservationError(f"{shown}: what it answers is not text") from error
    except ObservationError as error:
        raise ObservationError(f"{shown}: {error}") from error.__cause__


async def _fetched(url: str, patience: timedelta, limit: int) -> bytes:
    builder = ClientBuilder().no_proxy().follow_redirects(False).referer(False).default_cookie_store(False).timeout(patience)
    builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
    try:
        async with asyncio.timeout(patience.total_seconds()), builder.build() as client:
            async with client.get(url).header("accept", "text/plain").build_streamed() as answer:
                if answer.status != 200:
                    hint = "; /metrics answers callers on the platform's own machine only" if answer.status == 404 else ""
                    raise ObservationError(f"it answered {answer.status}{hint}")
                body = bytearray()
                while (chunk := await answer.body_reader.read_chunk()) is not None:
                    body += chunk
                    if len(body) > limit:
                        raise ObservationError(f"it answers more than {limit} bytes")
                return bytes(body)
    except (TimeoutError, ConnectTimeoutError, ReadTimeoutError, RequestTimeoutError) as error:
        raise ObservationError(f"it took longer than {patience.total_seconds():g} seconds") from error
    except (PyreqwestError, ValueError) as error:
        raise ObservationError("it cannot be reached") from error
