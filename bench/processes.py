"""Processes under measurement: started, pinned to a core or not, their CPU read from /proc, stopped at the end."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


class Program:
    """A program, with whatever processes it starts; pinned to `core` where one is given."""

    def __init__(self, command: Sequence[str], core: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        def pin() -> None:
            if core is not None:
                os.sched_setaffinity(0, {core})

        self._name = Path(command[0]).name
        self._process = subprocess.Popen(
            list(command),
            preexec_fn=pin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of the program and its children so far."""
        return sum(_cpu(pid) for pid in _tree(self._process.pid))

    def resident(self) -> int:
        """Bytes of resident memory of the program and its children."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in _tree(self._process.pid))

    def answers(self, port: int, patience: float = 20.0) -> None:
        """Return once something listens on the port; RuntimeError where the program dies or takes too long."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._name} ended with exit code {self._process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self._name} does not answer on port {port}")

    def stop(self) -> None:
        """End it gracefully, and surely."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def machine() -> dict[str, object]:
    """What a result says of the machine that it was measured on."""
    processor = platform.processor() or platform.machine()
    return {"processor": processor, "cores": os.cpu_count(), "python": platform.python_version()}
