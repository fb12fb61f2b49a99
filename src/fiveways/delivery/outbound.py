"""A handler that posts deliveries over HTTP: through the guard, signed, bounded in time and in what is read of the answer.

| Answer | |
|---|---|
| 2xx | delivered |
| 408, 425, 429, 5xx, none | another attempt, after Retry-After where the receiver says it (RFC 9110 §10.2.3) |
| 3xx | a dead letter: redirects are not followed, and the target is to be mended |
| any other | a dead letter: the receiver will not take it |
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response

import fiveways
from fiveways.clock import Clock
from fiveways.delivery.addresses import Address
from fiveways.delivery.guard import Destination, Guard, Refused, Unresolved
from fiveways.delivery.queue import Delivery, GiveUp, Retry
from fiveways.signing import HEADER, Signature

AGAIN = frozenset((408, 425, 429))
"""Statuses besides 5xx after which the same request may succeed later (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""
_CLIENTS = 128
"""Addresses to which connections are kept for the next delivery."""


class Outbound:
    """Posts each delivery to its target. `secrets` says what to sign one with: several while they are changed, none for no
    signature.

    A receiver finds the delivery's id in `Idempotency-Key`, the same at every attempt, the conversation's in `X-Correlation-ID`.
    `body_limit`: bytes of an answer that are read, and thrown away, before the connection is.
    """

    def __init__(
        self,
        guard: Guard,
        clock: Clock,
        secrets: Callable[[Delivery], Sequence[bytes]],
        *,
        connect_patience: timedelta = timedelta(seconds=5),
        patience: timedelta = timedelta(seconds=30),
        body_limit: int = 64 * 1024,
        authority: bytes | None = None,
    ) -> None:
        """`patience`: for the whole of an attempt, once its name is resolved. `authority`: a certificate (PEM) that receivers'
        certificates may be issued by, besides those the machine trusts."""
        self._guard = guard
        self._clock = clock
        self._secrets = secrets
        self._connect_patience = connect_patience
        self._patience = patience.total_seconds()
        self._body_limit = body_limit
        self._authority = authority
        self._clients: OrderedDict[tuple[str, int, Address], Client] = OrderedDict()

    async def __call__(
        self, delivery: Delivery, more: Mapping[str, str] | None = None, secrets: Sequence[bytes] | None = None
    ) -> None:
        """Post a delivery, with `more` header fields; signed with `secrets`, where they are given. Raises Retry or GiveUp."""
        try:
            destination = await self._guard.destination(delivery.target)
        except Refused as error:
            raise GiveUp(f"the outbound guard: {error}") from None
        except Unresolved as error:
            raise Retry(str(error)) from None
        headers = {**await self._headers(delivery, secrets), **(more or {})}
        try:
            async with asyncio.timeout(self._patience):
                for address in destination.addresses:
                    try:
                        await self._post(destination, address, headers, delivery)
                    except (ConnectError, ConnectTimeoutError) as error:
                        if _was_connected(error):
                            raise  # the receiver may have it: another of its addresses is not asked as well
                    else:
                        return
        except TimeoutError:
            raise Retry(f"{destination.host} did not answer in time") from None
        except PyreqwestError as error:
            raise Retry(f"{destination.host} broke off ({type(error).__name__})") from None
        raise Retry(f"{destination.host} could not be connected to")

    async def close(self) -> None:
        """Close connections that are kept."""
        while self._clients:
            await self._clients.popitem()[1].close()

    async def _headers(self, delivery: Delivery, secrets: Sequence[bytes] | None) -> dict[str, str]:
        headers = {
            "Content-Type": delivery.content_type,
            "Content-Length": str(delivery.size),
            "User-Agent": f"fiveways/{fiveways.__version__}",
            "Idempotency-Key": delivery.id,
        }
        if delivery.correlation:
            headers["X-Correlation-ID"] = delivery.correlation
        known = self._secrets(delivery) if secrets is None else secrets
        if known:
            signature = Signature(known, int(self._clock.time()))
            async for piece in delivery.content():
                signature.add(piece)
            headers[HEADER] = signature.value()
        return headers

    async def _post(self, destination: Destination, address: Address, headers: dict[str, str], delivery: Delivery) -> None:
        request = self._client(destination, address).post(Url(destination.url)).headers(headers)
        async with request.body_stream(delivery.content()).streamed_read_buffer_limit(0).build_streamed() as answer:
            await _drain(answer, self._body_limit)
            _conclude(destination.host, answer, self._clock.now())

    def _client(self, destination: Destination, address: Address) -> Client:
        """A client that connects to this address and no other for this host, and follows and decodes nothing."""
        name = (destination.host, destination.port, address)
        client = self._clients.pop(name, None)
        if client is None:
            builder = ClientBuilder().no_proxy().follow_redirects(False).referer(False).error_for_status(False)
            builder = builder.gzip(False).brotli(False).zstd(False).deflate(False).pool_idle_timeout(timedelta(seconds=20))
            builder = builder.connect_timeout(self._connect_patience)
            builder = builder.resolve(destination.host, str(address), destination.port)
            if self._authority is not None:
                builder = builder.add_root_certificate_pem(self._authority)
            client = builder.build()
        self._clients[name] = client
        if len(self._clients) > _CLIENTS:
            self._clients.popitem(last=False)  # what is under way on it ends by itself
        return client


def _was_connected(error: PyreqwestError) -> bool:
    """Whether a connection was made. The error's type does not say it: one that the receiver closed when it had read the request is
    a ConnectError too."""
    causes = (getattr(error, "details", None) or {}).get("causes") or ()
    return not isinstance(error, ConnectTimeoutError) and not any(
        "client error (Connect)" in str(each["message"]) for each in causes
    )


async def _drain(answer: Response, limit: int) -> None:
    """Read the answer's body as far as `limit`, so that the connection may be used again; what is in it concerns nobody."""
    while limit > 0:
        chunk = await answer.body_reader.read_chunk()
        if chunk is None:
            return
        limit -= len(chunk)


def _conclude(host: str, answer: Response, now: datetime) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    if status in AGAIN or status >= 500:
        asked = None
        with suppress(ValueError):  # it is not in ASCII, and says nothing
            asked = retry_after(answer.get_header("retry-after"), now)
        raise Retry(f"{host} answered {status}", asked)
    if 300 <= status < 400:
        raise GiveUp(f"{host} answered {status}: redirects are not followed")
    raise GiveUp(f"{host} answered {status}")


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After field asks for: seconds, or until a date (RFC 9110 §10.2.3). None where it cannot be read."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return timedelta(seconds=int(value))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(timedelta(0), (date if date.tzinfo is not None else date.replace(tzinfo=UTC)) - now)
