"""`fiveways serve --processes`: one process per role, several for the gateway if asked, all under one that keeps them running.

The supervisor holds no socket and serves nothing. It passes SIGHUP on, starts again what died (waiting longer each time), and
on SIGTERM stops all and waits for them to drain.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from fiveways.platform.node_metrics import Slot

log = structlog.get_logger("fiveways.supervisor")

LONGEST_WAIT = 30.0


class Supervisor:
    """Runs `fiveways serve` children: `roles` lists the role of each. `note` is told the children's process ids. In `folder`
    they leave each other what they have counted."""

    def __init__(
        self,
        arguments: list[str],
        roles: list[str],
        folder: Path,
        ready: Callable[[], None],
        note: Callable[[Iterable[int]], None],
    ) -> None:
        self._arguments = arguments
        self._roles = roles
        gateways = [number for number, role in enumerate(roles) if role == "gateway"]
        beside = [number for number, role in enumerate(roles) if role != "gateway"][:1]
        self._slots = {number: Slot(folder, place, len(gateways)) for place, number in enumerate((*gateways, *beside))}
        self._ready = ready
        self._note = note
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Keep the children running until a signal says stop; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._tell, signal.SIGHUP)
        started = [asyncio.Event() for _ in self._roles]
        keepers = [asyncio.create_task(self._keep(n, role, started[n])) for n, role in enumerate(self._roles)]
        announce = asyncio.create_task(self._announce(started))
        codes = await asyncio.gather(*keepers)
        announce.cancel()
        return max(codes)

    async def _announce(self, started: list[asyncio.Event]) -> None:
        for event in started:
            await event.wait()
        self._ready()

    async def _keep(self, number: int, role: str, started: asyncio.Event) -> int:
        """Start a child again whenever it dies; a child that was never ready is not tried again."""
        wait = 0.5
        while True:
            code, was_ready = await self._once(number, role, started)
            if self._stopping.is_set():
                return 0
            if not was_ready:
                log.error("could not start", role=role, exit_code=code)
                self._stop()
                return code or 1
            log.error("died; starting again", role=role, exit_code=code, wait=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _once(self, number: int, role: str, started: asyncio.Event) -> tuple[int, bool]:
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "fiveways", "serve", *self._arguments, "--role", role, "--child", str(writer)]
        if number in self._slots:
            command += ["--slot", str(self._slots[number])]
        child = await asyncio.create_subprocess_exec(*command, pass_fds=(writer,))
        os.close(writer)
        self._children[number] = child
        self._note([each.pid for each in self._children.values()])
        if self._stopping.is_set():
            child.send_signal(signal.SIGTERM)
        ready = await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        if ready:
            started.set()
        code = await child.wait()
        del self._children[number]
        return code, bool(ready)

    def _tell(self, number: int) -> None:
        for child in self._children.values():
            child.send_signal(number)

    def _stop(self) -> None:
        self._stopping.set()
        self._tell(signal.SIGTERM)


def arguments(file: Path, data: Path, http: str | None, node: str) -> list[str]:
    """The arguments that every child shares."""
    shared = [str(file), "--data", str(data)]
    return shared + (["--http", http] if http is not None else []) + (["--node", node] if node else [])
