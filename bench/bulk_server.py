"""The SFTP server over a folder, without the platform: what `bench.bulk` measures.

python -m bench.bulk_server PORT FOLDER PUBLIC_KEY_FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from tests.acceptance.bulk.sftp.folder_tree import FolderTree

from fiveways.clock import SystemClock
from fiveways.methods.bulk.sftp.host_keys import host_keys
from fiveways.methods.bulk.sftp.partners import resolve
from fiveways.methods.bulk.sftp.server import SftpListener
from fiveways.methods.bulk.sftp.sessions import Event, Session
from fiveways.methods.bulk.sftp.settings import Access, SftpSettings


async def main(port: int, folder: Path, key: Path) -> None:
    """Serve until it is ended."""
    partner = resolve("trust", Access(keys=(f"file:{key}",)), Path("/"))
    tree = FolderTree(folder / "files", quota=2**40)

    async def record(event: Event, partner: str, address: str, session: Session | None, details: dict[str, str | int]) -> None:
        """Nobody asks."""

    listener = SftpListener(
        ("127.0.0.1", port), SftpSettings(), host_keys=host_keys(folder / "keys"), accounts=lambda: {"trust": partner},
        tree=lambda name, session: tree, record=record, clock=SystemClock(),
    )  # fmt: skip
    await listener.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
