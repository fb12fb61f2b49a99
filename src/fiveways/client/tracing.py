"""A client span for each request, and `traceparent` on it, where OpenTelemetry is installed; otherwise nothing.

Who exports spans is for the program to say (a tracer provider); without one there is nothing to export, and a context that the
program has is passed on all the same. Paths are left out of spans: they may name patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import fiveways
from fiveways.client.origins import Place

if TYPE_CHECKING:
    from types import ModuleType

Pairs = list[tuple[str, str]]


@contextmanager
def traced(method: str, place: Place) -> Iterator[tuple[Pairs, Callable[[int], None]]]:
    """Header fields to add, and what is to be told the answer's status."""
    api = _api() if place.own else None
    if api is None:
        yield [], lambda _: None
        return
    host = urlsplit(place.url)
    said = {"http.request.method": method, "server.address": host.hostname or "", "url.scheme": host.scheme}
    if host.port is not None:
        said["server.port"] = str(host.port)
    tracer = api.get_tracer("fiveways.client", fiveways.__version__)
    with tracer.start_as_current_span(method, kind=api.SpanKind.CLIENT, attributes=said) as span:
        carried: dict[str, str] = {}
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        def status(answered: int) -> None:
            span.set_attribute("http.response.status_code", answered)
            if answered >= 400:
                span.set_status(api.StatusCode.ERROR)

        TraceContextTextMapPropagator().inject(carried)
        yield list(carried.items()), status


@cache
def _api() -> ModuleType | None:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace
