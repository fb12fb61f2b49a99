"""Traces: a span per interaction goes to a real OTLP collector's endpoint, and is the parent of what the back end is asked."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fiveways.demo.backend import Backend
from fiveways.platform.app import app
from fiveways.platform.listeners import PlainListener
from fiveways.platform.platform import Platform

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Takes OTLP over HTTP: its URL, and the bodies it was sent."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    server.shutdown()
    server.server_close()


@pytest.mark.anyio
async def test_a_consumers_trace_goes_on_through_the_gateway(tmp_path: Path, collector: tuple[str, list[bytes]]) -> None:
    endpoint, bodies = collector
    backend = Backend()
    behind = PlainListener(("127.0.0.1", 0), backend.app)
    await behind.start()
    file = tmp_path / "deployment.yaml"
    file.write_text(
        f"telemetry: {{otlp: '{endpoint}'}}\n"
        "apis: {greet: {pattern: pass-through, at: /greet, security: [open], model: {other: greeting},"
        f" target: {{url: 'http://127.0.0.1:{behind.port}'}}}}}}\n"
    )
    platform = await Platform.open(file, tmp_path / "data")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app(platform)), base_url="http://127.0.0.1") as client:
            answer = await client.get("/greet/hello/world", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        assert answer.status_code == 200
    finally:
        await platform.close()
        await behind.stop()
    (span,) = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, SPAN, "GET greet")
    sent = backend.seen[-1][2]["traceparent"]
    assert sent == f"00-{TRACE}-{span.span_id.hex()}-01"
    attributes = {attribute.key: attribute.value for attribute in span.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["fiveways.api"].string_value == "greet"
    assert not [key for key in attributes if "path" in key or "url" in key or "query" in key]
