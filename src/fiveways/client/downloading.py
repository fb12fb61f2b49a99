"""An answer's body into a file: whole or not at all, and durable; memory does not grow with it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import IO

from pyreqwest.response import Response

from fiveways.client.answer import Answer
from fiveways.client.caller import Read, answer
from fiveways.client.content import PIECE
from fiveways.client.errors import TooLarge
from fiveways.client.landing import settle
from fiveways.client.transport import Pairs, pieces, whole


def into(target: Path, ids: Pairs, patience: timedelta, largest: int | None, other: int) -> Read:
    """Read a 2xx into `target`, waiting no longer than `patience` for each piece of it; of any other answer up to `other` bytes."""

    async def read(response: Response, bound: asyncio.Timeout) -> Answer:
        if not 200 <= response.status < 300:
            return answer(response, ids, await whole(response, other))
        part = target.with_name(f".{target.name}.part")
        file = await asyncio.to_thread(part.open, "wb")
        try:
            size, waiting = 0, bytearray()
            async for piece in pieces(response):
                bound.reschedule(asyncio.get_running_loop().time() + patience.total_seconds())
                size += len(piece)
                if largest is not None and size > largest:
                    raise TooLarge(f"the answer ({response.status}) has more than {largest} bytes")
                waiting += piece
                if len(waiting) >= PIECE:
                    await asyncio.to_thread(file.write, waiting)
                    waiting = bytearray()
            bound.reschedule(None)
            await asyncio.to_thread(_finish, file, waiting, part, target)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise
        found = answer(response, ids, b"")
        return Answer(found.status, found.headers, b"", found.request_id, found.correlation_id, target)

    return read


def _finish(file: IO[bytes], rest: bytes | bytearray, part: Path, target: Path) -> None:
    with file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    settle(target.parent)
