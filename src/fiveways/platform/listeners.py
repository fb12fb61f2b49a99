"""Where Fiveways listens: sockets, TLS, and which server speaks on each (docs/decisions/0003).

Plain HTTP/1.1, and TLS with client certificates, are spoken in the platform's own loop (`http1/`): no thread is crossed, and the
certificate can be seen. Granian speaks HTTP/2, and TLS where no client certificate has to be known.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import structlog
from pydantic import AfterValidator, Field, model_validator

from fiveways.deployment.settings import Duration, Name, Reference, Settings, Size
from fiveways.platform.http1.listener import DRAIN_PATIENCE, Http1Listener, TlsFiles

if TYPE_CHECKING:
    from granian.server.embed import Server

log = structlog.get_logger("fiveways.listeners")

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def _real_port(value: str) -> str:
    if not 0 < int(value.rpartition(":")[2]) < 65536:
        raise ValueError("expected a port from 1 to 65535")
    return value


HostPort = Annotated[
    str,
    Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", examples=["127.0.0.1:8080"]),
    AfterValidator(_real_port),
]
"""Address and port: 127.0.0.1:8080."""


class ClientCertificates(Settings):
    """Which client certificates a listener takes."""

    ca: Reference
    """PEM certificates of the authorities trusted to issue them (file:…)."""
    required: bool = False
    """Whether a client without one is turned away in the handshake."""


class Listener(Settings):
    """A socket. It serves plain HTTP or, with a certificate, HTTPS; or it takes HL7 v2 over MLLP for an API, or files over SFTP;
    or people and dashboards are connected to channels there, in real time."""

    http: HostPort | None = None
    """Plain HTTP/1.1 and HTTP/2 (prior knowledge) at this address. For loopback, or behind a TLS terminator."""
    https: HostPort | None = None
    """HTTPS at this address: HTTP/1.1 and HTTP/2 by ALPN; HTTP/1.1 only where client certificates are asked for."""
    long_poll: bool = False
    """Whether requests for outcomes are held here, and nothing else is answered: for exchanges with `long_poll`."""
    mllp: HostPort | None = None
    """HL7 v2 over MLLP at this address; over TLS where there is a certificate."""
    api: Name | None = None
    """The API that messages are given to, with POST at its base path: a transformation that takes HL7 v2."""
    application: Name | None = Field(default=None, alias="as")
    """The application that sends over MLLP: the API takes its signed-jwt. Default: who the client certificate says."""
    idle: Duration = timedelta(hours=1)
    """How long a connection over MLLP may be quiet."""
    largest: Size = 10 * 2**20
    """The largest message over MLLP."""
    sftp: HostPort | None = None
    """SFTP at this address, for `partners:`."""
    realtime: HostPort | None = None
    """WebSockets and Server-Sent Events at this address, for `channels:`; over TLS where there is a certificate."""
    certificate: Reference | None = None
    """PEM certificate chain (file:…)."""
    key: Reference | None = None
    """PEM private key of the certificate (file:…)."""
    client_certificates: ClientCertificates | None = None
    """Client certificates that identify applications."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(each is not None for each in (self.http, self.https, self.mllp, self.sftp, self.realtime)) != 1:
            raise ValueError("expected one of http, https, mllp, sftp and realtime")
        self._mllp_has_what_it_needs()
        if self.long_poll and self.http is None and self.https is None:
            raise ValueError("long_poll is for http and https")
        if self.https is not None and (self.certificate is None or self.key is None):
            raise ValueError("https needs certificate and key")
        if (self.http is not None or self.sftp is not None) and (self.certificate or self.key or self.client_certificates):
            raise ValueError("certificates belong to https")
        if self.realtime is not None and (self.client_certificates or (self.certificate is None) != (self.key is None)):
            raise ValueError("realtime over TLS needs certificate and key, and asks for no client certificates")
        return self

    def _mllp_has_what_it_needs(self) -> None:
        if self.mllp is None:
            if self.api is not None or self.application is not None:
                raise ValueError("api: and as: are for mllp:")
            return
        if self.api is None:
            raise ValueError("mllp needs api:, the transformation that messages are given to")
        if (self.certificate is None) != (self.key is None) or (self.client_certificates and self.certificate is None):
            raise ValueError("TLS needs certificate and key")
        if self.application is None and self.client_certificates is None:
            raise ValueError("mllp needs as:, the application that sends; or client_certificates: that say which")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = (self.http or self.https or self.mllp or self.sftp or self.realtime or "").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """Its base URL as a client on the same machine would write it."""
        if self.sftp is not None:
            return f"sftp://{self.sftp}"
        if self.realtime is not None:
            return f"{'wss' if self.certificate else 'ws'}://{self.realtime}"
        if self.mllp is not None:
            return f"{'mllps' if self.certificate else 'mllp'}://{self.mllp}"
        return f"{'http' if self.http else 'https'}://{self.http or self.https}"


class Listening(Protocol):
    """A server on a socket."""

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken or a file cannot be read."""
        ...

    def reload(self) -> None:
        """Take up new certificate files without dropping what is under way."""
        ...

    async def stop(self) -> None:
        """Take no more requests and wait for those under way."""
        ...


def listen(listener: Listener, app: Asgi, base: Path, *, shared: bool = False) -> Listening:
    """The server for a listener; `base` is the deployment file's folder. `shared`: other processes listen there too."""
    if listener.https is None:
        return PlainListener(listener.address, app, shared=shared)
    assert listener.certificate is not None
    assert listener.key is not None
    certificate, key = listener.certificate.path(base), listener.key.path(base)
    clients = listener.client_certificates
    if clients is None:
        return GranianListener(listener.address, app, certificate, key, shared=shared)
    tls = TlsFiles(certificate, key, clients.ca.path(base), clients.required)
    return Http1Listener(listener.address, app, tls=tls, shared=shared)


class PlainListener(Http1Listener):
    """Plain HTTP/1.1, and HTTP/2 with prior knowledge: that is spoken by Granian, behind, from the first connection that asks."""

    def __init__(self, address: tuple[str, int], app: Asgi, *, shared: bool = False) -> None:
        self._granian: GranianListener | None = None
        self._starting = asyncio.Lock()
        self.clients: dict[int, tuple[str, int]] = {}
        super().__init__(address, app, http2=self, shared=shared)

    async def address(self) -> tuple[str, int]:
        """Where HTTP/2 is spoken for us: a port of loopback."""
        async with self._starting:
            if self._granian is None:
                with socket.create_server(("127.0.0.1", 0)) as probe:
                    behind = probe.getsockname()[:2]
                granian = GranianListener(behind, self._as_client)
                await granian.start()
                self._granian = granian
            return self._granian.address

    async def _as_client(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["client"] = self.clients.get(int(scope["client"][1]), scope["client"])
        await self.app(scope, receive, send)

    async def stop(self) -> None:
        """Take no more requests and wait for those under way."""
        if self._granian is not None:
            await self._granian.stop()
        await super().stop()


class GranianListener:
    """Granian, embedded in this process's loop: HTTP/1.1 and HTTP/2, with TLS where it is given a certificate."""

    def __init__(
        self, address: tuple[str, int], app: Asgi, certificate: Path | None = None, key: Path | None = None, *, shared: bool = False
    ) -> None:
        self.address = address
        self._app = app
        self._certificate = certificate
        self._key = key
        self._shared = shared
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken or a file cannot be read."""
        host, port = self.address
        if self._certificate is not None and self._key is not None:
            # Granian reads the files in its own thread and says little: look first.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self._certificate, self._key)
        if not self._shared:
            must_be_free(host, port)
        from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415, RUF100 - only who listens waits for it
        from granian.http import HTTP1Settings, HTTP2Settings  # noqa: PLC0415, RUF100
        from granian.server.embed import Server  # noqa: PLC0415, RUF100

        self._server = Server(
            self._counted,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto,
            websockets=False,
            backlog=2048,
            backpressure=4096,
            http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=128 * 1024),
            http2_settings=HTTP2Settings(max_headers_size=64 * 1024, max_concurrent_streams=256),
            log_enabled=False,
            ssl_cert=self._certificate,
            ssl_key=self._key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._task = asyncio.get_running_loop().create_task(self._server.serve(), name=f"listener {host}:{port}")
        await self._answering(host, port)

    async def _answering(self, host: str, port: int) -> None:
        """Granian says nothing when it is ready: knock until it opens."""
        assert self._task is not None
        for _ in range(500):
            if self._task.done():
                error = self._task.exception()
                raise OSError(f"cannot listen on {host}:{port}: {str(error).splitlines()[0] if error else 'it ended'}")
            try:
                _, writer = await asyncio.open_connection(host if host not in ("0.0.0.0", "::") else None, port)  # noqa: S104
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return
        raise OSError(f"{host}:{port} does not answer")

    def reload(self) -> None:
        """Take up new certificate files without dropping what is under way."""
        if self._server is not None and self._certificate is not None:
            self._server.reload()  # type: ignore[no-untyped-call]

    async def stop(self) -> None:
        """Take no more requests and wait for those under way, up to `DRAIN_PATIENCE`.

        Granian would wait for connections too, and one of HTTP/2 stays open for as long as its client likes.
        """
        if self._server is None or self._task is None:
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(DRAIN_PATIENCE):
                await self._idle.wait()
                await asyncio.wait([self._task], timeout=1)
        except TimeoutError:
            log.warning("requests were cut off", under_way=self._under_way)
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _counted(self, scope: Any, receive: Any, send: Any) -> None:
        self._under_way += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


def must_be_free(host: str, port: int) -> None:
    """OSError where something listens there: sockets that are to be shared (SO_REUSEPORT) would silently share with it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
