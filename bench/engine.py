"""What promises are measured beside: an engine that commits each message to PostgreSQL singly, and then answers 202.

    python -m bench.engine PORT POSTGRES-URL

It is written as one would be written: Starlette on Granian, asyncpg with a prepared statement, one message after another.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TABLE = "CREATE TABLE IF NOT EXISTS messages (id text PRIMARY KEY, at double precision, content_type text, body bytea)"
_INSERT = "INSERT INTO messages VALUES ($1, $2, $3, $4)"


class Engine:
    """The application. A message has its commit to itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._one = asyncio.Lock()
        self.app = Starlette(routes=[Route("/{rest:path}", self._take, methods=["POST", "PUT"])], lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute(_TABLE)
        self._insert = await self._connection.prepare(_INSERT)
        yield
        await self._connection.close()

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        async with self._one:
            await self._insert.fetch(str(uuid4()), time.time(), request.headers.get("content-type", ""), body)
        return Response(status_code=202)


async def _main(port: int, url: str) -> None:
    await Server(Engine(url).app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False).serve()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
