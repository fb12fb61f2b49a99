"""One process of a consumer with many open jobs: what it takes to have them, and to ask after each of them twice a minute.

    python -m bench.exchange_polling JOBS SECONDS        prints one line of JSON

The other side is a process of its own that accepts everything and is never done.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.gateway import free_port
from fiveways.client import Fiveways, Ledger

EVERY = 30
"""Seconds after which the other side wants to be asked again."""
OTHER_SIDE = """
import asyncio, sys

async def answer(reader, writer):
    number = 0
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            length = [line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:")]
            if length:
                await reader.readexactly(int(length[0].partition(b":")[2]))
            fields = b"Retry-After: %d\\r\\nX-Progress: at work\\r\\n" % int(sys.argv[2])
            if head.startswith(b"POST"):
                fields += b"Content-Location: /jobs/%d-%d\\r\\n" % (id(writer), number)
                number += 1
            writer.write(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 0\\r\\n" + fields + b"\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""


async def measured(url: str, jobs: int, seconds: float, folder: Path) -> dict[str, float]:
    """The figures. Memory is in bytes, shares are of one core."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        async with Fiveways(url, ledger=ledger) as five:
            await _submitted(five, 100)
            before, cpu, started_at = _resident(), time.process_time(), time.monotonic()
            made = await _submitted(five, jobs)
            submitting = (time.process_time() - cpu) / jobs
            took = time.monotonic() - started_at
            waiting = asyncio.create_task(_awaited(five, made))
            await asyncio.sleep(EVERY)  # until all are being asked after
            memory = (_resident() - before) / jobs
            cpu, started_at = time.process_time(), time.monotonic()
            await asyncio.sleep(seconds)
            share = (time.process_time() - cpu) / (time.monotonic() - started_at)
            waiting.cancel()
    return {
        "jobs": jobs, "asked_every_s": EVERY, "bytes_a_job": round(memory), "share_of_a_core": round(share, 4),
        "submitted_per_second": round(jobs / took), "cpu_us_a_submission": round(submitting * 1e6),
    }  # fmt: skip


async def _submitted(five: Fiveways, number: int) -> list[object]:
    made: list[object] = []
    for _ in range(0, number, 50):
        made += await asyncio.gather(*(five.submit("POST", "/score", {"n": 1}) for _ in range(50)))
    return made


async def _awaited(five: Fiveways, jobs: list[object]) -> None:
    async for _ in five.outcomes(jobs):  # type: ignore[arg-type]
        pass


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Measure, and print."""
    port = free_port()
    with (
        subprocess.Popen([sys.executable, "-c", OTHER_SIDE, str(port), str(EVERY)]) as other,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            time.sleep(1)
            print(json.dumps(asyncio.run(measured(f"http://127.0.0.1:{port}", int(sys.argv[1]), float(sys.argv[2]), Path(folder)))))
        finally:
            other.terminate()


if __name__ == "__main__":
    main()
