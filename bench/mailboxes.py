"""A closed-loop load on mailboxes: each connection sends a message, lists, collects and acknowledges it, and begins anew.

    python -m bench.mailboxes HOST PORT CONNECTIONS SECONDS [--only send|list]      prints one line of JSON

What is sent is MESH's protocol, version 2, as mesh-client sends it: a new token for every request. Every answer is looked at: other
content than was sent fails the run; a message that is not listed is looked for again, at most ten times; how often is counted.

How many cycles came to their end in each stretch of ten seconds is told too: a store that slows as it fills shows it there.

Each connection has a workflow of its own and lists by it, so that a list is as short for the thousandth message as for the first.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import cast

import httptools
import uvloop

SENDER, RECIPIENT = "X26ABC1", "X26ABC2"
CONTENT = bytes(range(32, 96)) * 16
"""1 KiB."""


STRETCH = 10.0
"""Seconds."""
_PATIENCE = 10
"""Lists in which a message is looked for before it is given up."""


class _Connection(asyncio.Protocol):
    def __init__(self, number: int, host: str, load: _Load, only: str) -> None:
        self._load = load
        self._only = only
        self._nonce, self._count = uuid.uuid4(), 0
        self._workflow = f"BENCH{number}"
        self._common = f"HTTP/1.1\r\nHost: {host}\r\nAccept: application/vnd.mesh.v2+json\r\n"
        self._message, self._missed = "", 0
        self._body = bytearray()
        self._asked = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status not in (200, 202) or not self._is_right():
            if status == 200 and self._asked == "list":
                self._load.unlisted += 1
                self._missed += 1
                self._asked = "send" if self._missed < _PATIENCE else ""  # list again; or let it be, and send another
            else:
                self._load.fail(f"{self._asked}: {status} {bytes(self._body[:200])!r}")
        if self._asked == (self._only or "acknowledge"):
            self._load.ended(self._began)
        if not self._load.running and (self._only or self._asked in ("acknowledge", "")):
            self._load.over()
            self._transport.close()
        else:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.running:
            self._load.fail(f"the connection was lost: {exc}")

    def _is_right(self) -> bool:
        match self._asked:
            case "send":
                self._message = json.loads(self._body)["message_id"]
            case "list":
                return bool(self._only) or self._message in json.loads(self._body)["messages"]
            case "collect":
                return self._body == CONTENT
        return True

    def _next(self) -> None:
        self._asked = self._only or {"": "send", "send": "list", "list": "collect", "collect": "acknowledge"}.get(
            self._asked, "send"
        )
        box = f"/messageexchange/{RECIPIENT}/inbox"
        match self._asked:
            case "send":
                self._began, self._missed = time.perf_counter(), 0
                fields = (
                    f"Mex-To: {RECIPIENT}\r\nMex-WorkflowID: {self._workflow}\r\nMex-LocalID: {self._nonce.hex}{self._count}\r\n"
                )
                self._ask("POST", f"/messageexchange/{SENDER}/outbox", SENDER, fields + "Content-Type: text/plain\r\n", CONTENT)
            case "list" if self._only:
                self._began = time.perf_counter()
                self._ask("GET", box, RECIPIENT)
            case "list":
                self._ask("GET", f"{box}?workflow_filter={self._workflow}", RECIPIENT)
            case "collect":
                self._ask("GET", f"{box}/{self._message}", RECIPIENT)
            case "acknowledge":
                self._ask("PUT", f"{box}/{self._message}/status/acknowledged", RECIPIENT)

    def _ask(self, method: str, target: str, mailbox: str, fields: str = "", content: bytes = b"") -> None:
        head = f"{method} {target} {self._common}Authorization: {self._token(mailbox)}\r\n{fields}"
        if method != "GET":
            head += f"Content-Length: {len(content)}\r\n"
        self._body.clear()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(f"{head}\r\n".encode() + content)

    def _token(self, mailbox: str) -> str:
        self._count += 1
        stamp = f"{datetime.now(UTC):%Y%m%d%H%M}"
        text = f"{mailbox}:{self._nonce}:{self._count}:password:{stamp}"
        return f"NHSMESH {mailbox}:{self._nonce}:{self._count}:{stamp}:{hmac.digest(b'TestKey', text.encode(), 'sha256').hex()}"


class _Load:
    def __init__(self, connections: int) -> None:
        self.cycles: list[float] = []
        self.by_stretch: list[int] = []
        self._started = time.perf_counter()
        self.unlisted = 0
        """Lists without a message whose sending had been answered: it is asked again."""
        self.running = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = connections

    def ended(self, began: float) -> None:
        """A cycle has come to its end."""
        now = time.perf_counter()
        self.cycles.append(now - began)
        stretch = int((now - self._started) / STRETCH)
        self.by_stretch += [0] * (stretch + 1 - len(self.by_stretch))
        self.by_stretch[stretch] += 1

    def over_time(self, stretches: int) -> list[float]:
        """Cycles a second in each stretch."""
        return [count / STRETCH for count in (self.by_stretch + [0] * stretches)[:stretches]]

    def over(self) -> None:
        """A connection has done its last."""
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """End the run."""
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))


async def _run(asked: argparse.Namespace) -> dict[str, float | list[float]]:
    load, loop = _Load(asked.connections), asyncio.get_running_loop()
    started = time.perf_counter()
    for number in range(asked.connections):
        await loop.create_connection(partial(_Connection, number, asked.host, load, asked.only), asked.host, asked.port)
    await asyncio.wait([load.done], timeout=asked.seconds)
    load.running = False
    await asyncio.wait_for(load.done, 30)
    elapsed = time.perf_counter() - started
    ordered = sorted(load.cycles)
    return {
        "messages": len(ordered),
        "unlisted": load.unlisted,
        "per_second": len(ordered) / elapsed,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "over_time": load.over_time(int(asked.seconds / STRETCH)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--only", choices=["send", "list"], default="")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_run(parser.parse_args()))))
