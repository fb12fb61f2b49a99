"""A closed-loop sender of HL7 v2: so many connections, each sending its next message when it has the last acknowledgement.

    python -m bench.mllp_load HOST PORT CONNECTIONS SECONDS FIRST < MESSAGE      prints one line of JSON

Each message has a control id of its own in the place of @ID@, counted from FIRST. Anything but AA fails the run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count
from typing import cast

import uvloop


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._got = b""
        self._id = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        load = self._load
        self._id = b"B%09d" % next(load.numbers)
        self._sent = time.perf_counter()
        self._transport.write(load.message.replace(b"@ID@", self._id))

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._got.endswith(b"\x1c\r"):
            return
        load = self._load
        load.latencies.append(time.perf_counter() - self._sent)
        if b"\rMSA|AA|" + self._id not in self._got:
            load.failed += 1
        self._got = b""
        if load.running:
            self._send()
            return
        load.open -= 1
        self._transport.close()
        if not load.open:
            load.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.running:
            self._load.failed += 1
            self._load.open -= 1


class _Load:
    def __init__(self, message: bytes, connections: int, first: int) -> None:
        self.message = b"\x0b" + message + b"\x1c\r"
        self.numbers = count(first)
        self.latencies: list[float] = []
        self.failed = 0
        self.open = connections
        self.running = True
        self.done = asyncio.Event()


async def _run(host: str, port: int, connections: int, seconds: float, message: bytes, first: int) -> dict[str, float]:
    load = _Load(message, connections, first)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(load), host, port)
    await asyncio.sleep(seconds)
    load.running = False
    await asyncio.wait_for(load.done.wait(), 10)
    elapsed = time.perf_counter() - started
    ordered = sorted(load.latencies)
    return {
        "messages": len(ordered),
        "failed": load.failed,
        "per_second": len(ordered) / elapsed,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    sent = sys.stdin.buffer.read()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    host, port, connections, seconds, first = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4]), int(sys.argv[5])
    print(json.dumps(runner.run(_run(host, port, connections, seconds, sent, first))))
