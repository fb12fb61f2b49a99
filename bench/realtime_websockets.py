"""A broadcast server with the library `websockets`, as its documentation has it: what one client says goes to all the others.

python -m bench.realtime_websockets PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

connected: set[ServerConnection] = set()


async def _handle(connection: ServerConnection) -> None:
    connected.add(connection)
    try:
        async for message in connection:
            broadcast(connected - {connection}, message)
    finally:
        connected.remove(connection)


async def _serve(port: int) -> None:
    async with serve(_handle, "127.0.0.1", port):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
