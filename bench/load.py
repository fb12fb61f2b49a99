"""A closed-loop load generator: so many connections, each sending its next request when it has the last answer.

    python -m bench.load HOST PORT CONNECTIONS SECONDS [STATUS] < REQUEST      prints one line of JSON

The request is sent as it is, byte for byte. Only answers with the status (200) count; anything else fails the run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import httptools
import uvloop


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, load: _Load) -> None:
        self._request = request
        self._load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        load = self._load
        load.latencies.append(time.perf_counter() - self._sent)
        if self._parser.get_status_code() != load.status:
            load.failed += 1
        if load.running:
            self._parser = httptools.HttpResponseParser(self)
            self._send()
        else:
            load.open -= 1
            self._transport.close()
            if not load.open:
                load.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.running:
            self._load.failed += 1
            self._load.open -= 1


class _Load:
    def __init__(self, connections: int, status: int) -> None:
        self.status = status
        self.latencies: list[float] = []
        self.failed = 0
        self.open = connections
        self.running = True
        self.done = asyncio.Event()


async def _run(host: str, port: int, connections: int, seconds: float, request: bytes, status: int) -> dict[str, float]:
    load = _Load(connections, status)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(request, load), host, port)
    await asyncio.sleep(seconds)
    load.running = False
    await asyncio.wait_for(load.done.wait(), 10)
    elapsed = time.perf_counter() - started
    ordered = sorted(load.latencies)
    return {
        "requests": len(ordered),
        "failed": load.failed,
        "per_second": len(ordered) / elapsed,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    sent = sys.stdin.buffer.read()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    port, connections, status = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5]) if len(sys.argv) > 5 else 200
    print(json.dumps(runner.run(_run(sys.argv[1], port, connections, float(sys.argv[4]), sent, status))))
