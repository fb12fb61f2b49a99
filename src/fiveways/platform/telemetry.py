"""OpenTelemetry, where it is configured: spans go to an OTLP collector (the `otel` extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fiveways
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous.policies.tracing import Tracing

if TYPE_CHECKING:
    from fiveways.platform.model import Telemetry

_policies: dict[str, Tracing] = {}


def tracing(settings: Telemetry) -> Tracing:
    """The tracing policy that sends to `settings.otlp`; the same one again after a reload that did not change it."""
    key = settings.model_dump_json()
    if key not in _policies:
        _policies[key] = _make(settings)
    return _policies[key]


def _make(settings: Telemetry) -> Tracing:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError as error:
        raise DeploymentError("telemetry: needs the otel extra: pip install 'fiveways[otel]'") from error
    resource = Resource.create({"service.name": "fiveways", "service.version": fiveways.__version__})
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.sample))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp)))
    return Tracing(provider, provider.get_tracer("fiveways", fiveways.__version__), TraceContextTextMapPropagator())
