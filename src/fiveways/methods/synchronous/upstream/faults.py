"""What goes wrong between Fiveways and a back end. Each fault knows how far the request had got."""

from __future__ import annotations

from typing import Literal

from fiveways.errors import Fault, ProviderFaulty, ProviderTimeout, ProviderUnavailable, ProviderUnreachable

Phase = Literal["pool", "connect", "proxy", "tls", "request", "first_byte", "body", "total"]
"""Where an exchange was: waiting for a connection; opening it (TCP, proxy, TLS); sending; waiting for the answer; receiving it.

`total` is the bound over the whole exchange, wherever it was.
"""


class UpstreamFault(Fault):
    """Mixed into the provider's faults. `reached` says whether any byte of the request may have got to the back end:

    where it is False, repeating the request is safe whatever its method (RFC 9110 §9.2.2).
    """

    def __init__(self, diagnostics: str, *, phase: Phase, reached: bool) -> None:
        super().__init__(diagnostics)
        self.phase: Phase = phase
        self.reached = reached


class UpstreamUnreachable(UpstreamFault, ProviderUnreachable):
    """No connection could be made."""


class UpstreamTimeout(UpstreamFault, ProviderTimeout):
    """A bound of `Timeouts` has passed."""


class UpstreamFaulty(UpstreamFault, ProviderFaulty):
    """The back end broke off, or sent what is not HTTP."""


class UpstreamBusy(UpstreamFault, ProviderUnavailable):
    """All connections were in use for as long as a request may wait for one."""
