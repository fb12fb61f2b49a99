"""TLS to a back end: its certificate is always verified, and ours is presented where it asks for one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

from fiveways.methods.synchronous.upstream.settings import TargetTls


def client_context(tls: TargetTls | None, base: Path, protocols: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """A context for `tls`, its files relative to `base`; OSError (ssl.SSLError among them) where a file is of no use. `protocols`:
    what is offered by ALPN."""
    context = ssl.create_default_context(cafile=tls.ca.path(base) if tls is not None and tls.ca is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if tls is not None:
        present(context, tls, base)
    return context


def present(context: ssl.SSLContext, tls: TargetTls, base: Path) -> None:
    """Have a context present the certificate of `tls`, as its file is now; OSError where that is of no use."""
    if tls.certificate is not None and tls.key is not None:
        context.load_cert_chain(tls.certificate.path(base), tls.key.path(base))


def close_is_authentic(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer's end of a connection is the peer's own: over TLS it has sent close_notify (RFC 8446 §6.1).

    The event loops do not agree on telling; the TLS object does know: after close_notify it reads as at its end, otherwise as
    waiting for more.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
