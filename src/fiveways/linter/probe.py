"""Tries whether back ends can be reached without the gateway, from where it is run (`fiveways check --probe`): GW01, seen (S34).

Each back end is connected to, and asked by HEAD where it speaks HTTP, which changes nothing. Of what it answers one line is read. A
back end that refuses whoever has no client certificate is not reached.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from fiveways.deployment.document import Loc
from fiveways.platform.model import Deployment

RULE: Final = "GW01"
PATIENCE: Final = timedelta(seconds=3)
"""How long a back end has to take a connection, and again to answer."""
AT_ONCE: Final = 32
"""Back ends that are tried at the same time."""
_LINE: Final = 256
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? ([1-5]\d\d)(?: |\r|\n|$)")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_PORTS: Final = {"http": 80, "https": 443}


def reached(deployment: Deployment, patience: timedelta = PATIENCE) -> Iterator[tuple[Loc, str]]:
    """Where each back end stands that answers, and what was seen of it."""
    places: dict[str, list[Loc]] = {}
    for name, api in deployment.apis.items():
        if api.target is not None:
            places.setdefault(api.target.url, []).append(("apis", name, "target", "url"))
        elif api.mllp is not None:
            scheme = "tcp" if api.mllp.tls is None else "tls"
            places.setdefault(f"{scheme}://{api.mllp.address}", []).append(("apis", name, "mllp", "address"))
    seen = asyncio.run(_all(list(places), patience.total_seconds()))
    for url, said in seen.items():
        for loc in places[url]:
            yield loc, said


async def _all(urls: list[str], patience: float) -> dict[str, str]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def tried(url: str) -> str:
        async with turns:
            return await _try(url, patience)

    seen = await asyncio.gather(*map(tried, urls))
    return {url: said for url, said in zip(urls, seen, strict=True) if said}


async def _try(url: str, patience: float) -> str:
    """What is seen of a back end, for people; '' where it is not reached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port, limit=_LINE)
    except (OSError, ValueError):  # TimeoutError is one of them; and names that cannot be looked up
        return ""
    try:
        if parts.scheme == "tcp":
            return f"seen from here: {host}:{port} takes connections from whoever asks"
        head = _head(host, parts.path) if parts.scheme in _PORTS else b""
        return await _ask(reader, writer, host, head, parts.scheme in ("https", "tls"), patience)
    finally:
        writer.transport.abort()


def _head(host: str, path: str) -> bytes:
    lines = (f"HEAD {path or '/'} HTTP/1.1", f"Host: {host}", "User-Agent: fiveways-check", "Connection: close", "", "")
    return "\r\n".join(_UNPRINTABLE.sub("", line) for line in lines).encode("ascii")


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, head: bytes, tls: bool, patience: float
) -> str:
    line = b""
    try:
        async with asyncio.timeout(patience):
            if tls:
                await writer.start_tls(_unverified(), server_hostname=host)
            writer.write(head)
            await writer.drain()
            with suppress(asyncio.LimitOverrunError, asyncio.IncompleteReadError):
                line = await reader.readuntil(b"\n")
    except TimeoutError:
        return f"seen from here: {host} takes connections from whoever asks, and answers nothing"
    except (OSError, ValueError):  # SSLError is one of them: nobody without a certificate, or a name that is not its own
        return ""
    status = _STATUS.match(line)
    if status is not None:
        return f"seen from here: {host} answers requests that do not come from the gateway, with {status[1].decode()}"
    return f"seen from here: {host} takes connections from whoever asks, and breaks them off" if not tls or line else ""


def _unverified() -> ssl.SSLContext:
    """Whatever certificate it shows: the question is whether it answers, and nothing is told to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
