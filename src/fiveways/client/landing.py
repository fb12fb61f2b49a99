"""A message as a file with its facts beside it, put into a folder so that nobody ever sees half of one."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from fiveways.client.content import PIECE
from fiveways.client.message import Message

SIDECAR = ".mesh.json"
"""What the name of a file of facts ends with: NAME has NAME.mesh.json beside it. Nothing of this name is content."""
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


def land(message: Message, folder: Path, **besides: Any) -> Path:
    """Put a message into `folder` as `MESSAGE-ID.dat`; durable, its facts before it. Doing so again replaces it."""
    target = folder / f"{_PLAIN.sub('_', message.id)}.dat"
    write_facts(sidecar(target), {**message.about(), **besides})
    message.content.seek(0)
    put(message.content, target)
    return target


def sidecar(path: Path) -> Path:
    """The file of facts beside a file."""
    return path.with_name(path.name + SIDECAR)


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a file of facts: whole or not at all, and durable."""
    put(BytesIO(json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n"), path)


def put(content: IO[bytes], target: Path) -> None:
    """Copy `content` to `target`: whole or not at all, and durable."""
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file:
        shutil.copyfileobj(content, file, PIECE)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    settle(target.parent)


def settle(folder: Path) -> None:
    """Make durable what was renamed in a folder; Windows does so of its own accord, and opens no folders."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
