"""One process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fiveways.client.errors import AlreadyListening


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file in the block; a process that ends, however it does, lets go of it. Raises AlreadyListening if it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyListening(f"another process is at work here: it holds {path}") from None
        yield
    finally:
        os.close(descriptor)
