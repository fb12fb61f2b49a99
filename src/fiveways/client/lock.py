"""One process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fiveways.client.errors import AlreadyListening

if sys.platform == "win32":
    import msvcrt

    def _hold(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _hold(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file in the block; a process that ends, however it does, lets go of it. Raises AlreadyListening if it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _hold(descriptor)
        except (BlockingIOError, PermissionError):
            raise AlreadyListening(f"another process is at work here: it holds {path}") from None
        yield
    finally:
        os.close(descriptor)
