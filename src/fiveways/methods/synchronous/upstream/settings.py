"""Where a back end is and how it is spoken to: the `target:` of an API in the deployment file."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fiveways.deployment.settings import Duration, HttpUrl, Reference, Settings, Size


class Timeouts(Settings):
    """How long each part of an exchange with the back end may take. Precise to about 50 ms."""

    connect: Duration = timedelta(seconds=1)
    """From asking for a connection until there is one: waiting for a free one, DNS, TCP, proxy and TLS together."""

    first_byte: Duration = timedelta(seconds=10)
    """From the request's last byte until the answer's header section is complete."""

    progress: Duration = timedelta(seconds=30)
    """The longest the back end may neither take nor give a byte in the middle of a body."""

    total: Duration = timedelta(seconds=60)
    """From the request's first byte until the answer's last."""


class TargetTls(Settings):
    """How TLS to the back end differs from the machine's defaults. Server certificates are always verified."""

    ca: Reference | None = None
    """PEM certificates to trust instead of the machine's: a private CA."""

    certificate: Reference | None = None
    """PEM certificate chain that Fiveways presents to the back end (mutual TLS)."""

    key: Reference | None = None
    """PEM private key of `certificate`, unencrypted."""

    server_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]+$")
    """The name to ask for (SNI) and to verify, where it is not the host of the URL."""

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if any(reference is not None and not reference.startswith("file:") for reference in (self.ca, self.certificate, self.key)):
            raise ValueError("expected file:PATH for ca, certificate and key")
        return self


class ResponseLimits(Settings):
    """How large an answer's header section (and its trailer section) may be. Bodies stream and have no limit."""

    header_bytes: Size = Field(default=64 * 1024, gt=0)
    """Bytes from the status line to the empty line."""

    header_count: int = Field(default=256, gt=0)
    """Number of header fields."""


class Target(Settings):
    """A back end, and the connections to it."""

    url: HttpUrl
    """The base URL: an API's path below its base path is appended to it as it is."""

    http: Literal["1.1", "2"] = "1.1"
    """The version of HTTP to speak: 1.1, or 2 over TLS (negotiated) or in clear text (prior knowledge)."""

    timeout: Timeouts = Timeouts()
    """Bounds on every wait."""

    tls: TargetTls | None = None
    """Private CA, client certificate, server name."""

    proxy: HttpUrl | None = None
    """An outbound proxy: a tunnel (CONNECT) for https targets, absolute-form requests for http ones."""

    connections: int = Field(default=128, gt=0)
    """The most connections open at once (with HTTP/2: requests); more requests wait for `timeout.connect`."""

    idle: Duration = timedelta(seconds=30)
    """How long an unused connection is kept: set it below what the back end keeps."""

    limits: ResponseLimits = ResponseLimits()
    """Bounds on what the back end may send."""

    @field_validator("url", "proxy")
    @classmethod
    def _authority_is_plain(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if not url.isascii() or not parts.hostname or parts.port == 0:
                raise ValueError("expected a URL with a host and perhaps a port, in ASCII")
        return url

    @field_validator("proxy")
    @classmethod
    def _proxy_in_clear(cls, proxy: str | None) -> str | None:
        if proxy is not None and (not proxy.startswith("http:") or urlsplit(proxy).path not in ("", "/")):
            raise ValueError("expected http://HOST:PORT: the proxy is spoken to in clear text, and TLS goes through it")
        return proxy

    @model_validator(mode="after")
    def _tls_needs_https(self) -> Self:
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is set but the url is not https")
        if self.http == "2" and self.tls is not None and self.tls.server_name is not None:
            raise ValueError("server_name cannot be set with http: 2, which verifies the host of the url")
        return self
