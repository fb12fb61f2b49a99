"""The connection to a back end: pooled, strict, streaming; one attempt per request."""

from fiveways.methods.synchronous.upstream.faults import (
    Phase,
    UpstreamBusy,
    UpstreamFault,
    UpstreamFaulty,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fiveways.methods.synchronous.upstream.message import UpstreamAnswer, UpstreamRequest
from fiveways.methods.synchronous.upstream.settings import ResponseLimits, Target, TargetTls, Timeouts
from fiveways.methods.synchronous.upstream.upstream import Upstream

__all__ = [
    "Phase",
    "ResponseLimits",
    "Target",
    "TargetTls",
    "Timeouts",
    "Upstream",
    "UpstreamAnswer",
    "UpstreamBusy",
    "UpstreamFault",
    "UpstreamFaulty",
    "UpstreamRequest",
    "UpstreamTimeout",
    "UpstreamUnreachable",
]
