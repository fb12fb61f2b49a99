"""Tracing: a server span per interaction, parent of the back end's, when OpenTelemetry is configured (W3C Trace Context).

Without it a consumer's `traceparent` goes on to the back end untouched.
"""

from __future__ import annotations

from typing import Any

from fiveways.types import Handler, Interaction, Outcome


class Tracing:
    """Makes spans with an OpenTelemetry tracer and propagator (of the `otel` extra)."""

    def __init__(self, provider: Any, tracer: Any, propagator: Any) -> None:
        self._provider = provider
        self._tracer = tracer
        self._propagator = propagator

    def flush(self) -> None:
        """Send what has been collected; returns when it is sent, or after 5 seconds."""
        self._provider.force_flush(5000)

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Run the interaction inside a span; the back end is given that span as its parent."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        sent = {
            "traceparent": (interaction.correlation.traceparent or b"").decode(),
            "tracestate": dict(interaction.headers).get(b"tracestate", b"").decode("latin-1"),
        }
        with self._tracer.start_as_current_span(
            f"{interaction.method} {interaction.api}", context=self._propagator.extract(sent), kind=SpanKind.SERVER
        ) as span:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            kept = [header for header in interaction.headers if header[0] not in (b"traceparent", b"tracestate")]
            interaction.headers = kept + [(name.encode(), value.encode()) for name, value in carrier.items()]
            outcome = await handler(interaction)
            span.set_attributes(
                {
                    "http.request.method": interaction.method,
                    "http.response.status_code": outcome.status,
                    "fiveways.api": interaction.api,
                    "fiveways.interaction": interaction.name,
                    "fiveways.application": interaction.consumer.application,
                    "fiveways.message_id": interaction.id,
                }
            )
            if outcome.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return outcome
