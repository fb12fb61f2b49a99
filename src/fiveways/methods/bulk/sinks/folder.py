"""A folder as a sink: a piece appears under its name whole and synced, or not at all, and never over another file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from fiveways.delivery.queue import Delivery, GiveUp
from fiveways.methods.bulk.sinks.sink import Piece
from fiveways.store.syncing import sync_folder


class FolderSink:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, piece: Piece, delivery: Delivery) -> str:
        """Write the piece there. OSError where the folder does not take it; GiveUp where another file has its name."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        temporary, final = self._folder / f".{piece.name}.{os.getpid()}.part", self._folder / piece.name
        digest = hashlib.sha256()
        file = await asyncio.to_thread(temporary.open, "wb")
        try:
            async for each in piece.read():
                digest.update(each)
                await asyncio.to_thread(file.write, each)
            made = await asyncio.to_thread(_link, file, temporary, final)
        finally:
            file.close()
            with suppress(FileNotFoundError):
                await asyncio.to_thread(temporary.unlink)
        if not made and await asyncio.to_thread(_digest, final) != digest.digest():
            raise GiveUp(f"another file is there already: {final}")
        return "written" if made else "it was there"


def _link(file: BinaryIO, temporary: Path, final: Path) -> bool:
    """Give what was written its name; False where the name is taken."""
    file.flush()
    os.fsync(file.fileno())
    try:
        os.link(temporary, final)
    except FileExistsError:
        return False
    sync_folder(final.parent)
    return True


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
