"""The outbound guard: where deliveries may be sent. What others may have us call must not reach into the network we stand in.

A URL passes where the allow-list has it, and its host's addresses are public or in a network that is allowed. The connection
is then made to one of the very addresses that were judged, whatever the name means a moment later (DNS rebinding). One parser
reads the URL for the judgement and for the connection: two would be of two minds about some URL.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network

from pyreqwest.http import Url

from fiveways.delivery.addresses import Address, Network, objection
from fiveways.errors import FivewaysError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, for a port. Raises OSError where they cannot be had."""
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class Refused(FivewaysError):
    """Nothing is sent there. The message says why, and no address that a name has inside our network."""


class Unresolved(FivewaysError):
    """The name's addresses could not be had just now."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that the machine's resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that may be posted to, and the addresses that may be connected to for it, in the resolver's order."""

    url: str
    host: str
    port: int
    addresses: tuple[Address, ...]


class Guard:
    """Judges URLs.

    `allow` is what may be called: a host name (`hooks.example.nhs.uk`, port and path as they like), all names below one
    (`*.example.nhs.uk`), or the start of a URL (`https://hooks.example.nhs.uk:8443/fiveways`, to whole segments of its path).
    What is not allowed is refused. `networks` are those that are not public and may be connected to all the same. Without
    `plain`, URLs are `https`. ValueError for what is none of these.
    """

    def __init__(
        self,
        allow: Sequence[str],
        networks: Sequence[str] = (),
        *,
        plain: bool = False,
        resolver: Resolver = system_resolver,
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        self._hosts = frozenset(each.lower() for each in allow if "/" not in each)
        self._starts = [_parsed(each) for each in allow if "/" in each]
        for host in self._hosts:
            if not _HOST.fullmatch(host) and not _is_address(host):
                raise ValueError(f"neither a host nor the start of a URL: {host!r}")
        self._networks: list[Network] = [ip_network(network) for network in networks]
        self._schemes = ("https", "http") if plain else ("https",)
        self._resolver = resolver
        self._patience = patience.total_seconds()

    async def destination(self, url: str) -> Destination:
        """Where a URL leads, if that is allowed. Raises Refused, or Unresolved where it cannot be known now."""
        parsed, host, port = self.judge(url)
        literal = host.strip("[]")
        addresses = (ip_address(literal),) if _is_address(literal) else await self._resolved(host, port)
        self._judge_addresses(host, addresses)
        return Destination(str(parsed), host, port, addresses)

    def judge(self, url: str) -> tuple[Url, str, int]:
        """The parts of a URL, if it is allowed as it is written: for when it is declared. Raises Refused."""
        try:
            parsed = _parsed(url)
        except ValueError as error:
            raise Refused(str(error)) from None
        host, port = parsed.host_str or "", parsed.port_or_known_default or 0
        if parsed.scheme not in self._schemes:
            raise Refused(f"only {' and '.join(self._schemes)} URLs are called, not {parsed.scheme}")
        if not self._allowed(parsed, host):
            raise Refused(f"{host} is not on the allow-list")
        if _is_address(host.strip("[]")):
            self._judge_addresses(host, (ip_address(host.strip("[]")),))
        return parsed, host, port

    def _judge_addresses(self, host: str, addresses: Sequence[Address]) -> None:
        for address in addresses:  # all: a name that has an address in here besides is nobody's mistake
            why = objection(address, self._networks)
            if why is not None:
                raise Refused(f"{host} has an address that is not the public Internet's: {why}")

    def _allowed(self, url: Url, host: str) -> bool:
        parents = (f"*.{host[at + 1 :]}" for at, letter in enumerate(host) if letter == ".")
        if host in self._hosts or host.strip("[]") in self._hosts or any(parent in self._hosts for parent in parents):
            return True
        return any(_begins(start, url) for start in self._starts)

    async def _resolved(self, host: str, port: int) -> tuple[Address, ...]:
        try:
            async with asyncio.timeout(self._patience):
                found = await self._resolver(host, port)
            addresses = tuple(ip_address(each.partition("%")[0]) for each in found)
        except (OSError, UnicodeError, ValueError) as error:
            raise Unresolved(f"{host} has no address that could be found ({type(error).__name__})") from None
        if not addresses:
            raise Unresolved(f"{host} has no address")
        return addresses


def _parsed(url: str) -> Url:
    """A URL as the client reads it. ValueError for one that is none, has credentials, or characters that parsers differ on."""
    if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", url):
        raise ValueError("a URL is of visible ASCII characters without backslashes")
    try:
        parsed = Url(url)
    except ValueError:
        raise ValueError("this is no URL") from None
    if parsed.username or parsed.password is not None or "@" in url.partition("//")[2].partition("/")[0]:
        raise ValueError("a URL must not have credentials in it")
    if not parsed.host_str:
        raise ValueError("a URL needs a host")
    if parsed.fragment is not None:
        raise ValueError("a URL that is called has no fragment")
    return parsed


def _begins(start: Url, url: Url) -> bool:
    """Whether `url` begins with `start`: the same origin, and a path below."""
    if url.origin_ascii != start.origin_ascii:
        return False
    prefix = start.path.rstrip("/")
    return url.path == prefix or url.path.startswith(f"{prefix}/") or start.path == url.path


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
