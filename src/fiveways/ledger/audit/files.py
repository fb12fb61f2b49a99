"""What a chain keeps outside the database, in `{data}/audit/`:

`<chain>.head`      the signed head, rewritten in place after each commit (one block of 512 bytes, so never half)
`<chain>.segments`  a signed line for each sealed segment and each removal; every line is on disk before it counts
`<chain>.accepted`  the number of the newest event accepted, durable or not: a mapped page, which outlives the process
`<chain>.lock`      held (flock) by the process whose chain it is
"""

from __future__ import annotations

import base64
import fcntl
import mmap
import os
import re
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fiveways.errors import StoreError
from fiveways.ledger.audit.chain import GENESIS, Head, Line, digest_of, holds, read_line
from fiveways.store.syncing import sync_folder

_BLOCK = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ChainFiles:
    """The files of one chain, open for its owner. Use `claim`."""

    def __init__(self, folder: Path, chain: str, lock: int) -> None:
        self.folder = folder
        self.chain = chain
        self._lock = lock
        self._head = os.open(folder / f"{chain}.head", os.O_RDWR | os.O_CREAT, 0o600)
        self._segments = os.open(folder / f"{chain}.segments", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        counter = os.open(folder / f"{chain}.accepted", os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(counter).st_size < 8:
            os.ftruncate(counter, 8)
        self._map = mmap.mmap(counter, 8)
        os.close(counter)
        self.accepted = memoryview(self._map).cast("Q")

    @classmethod
    def claim(cls, folder: Path, node: str) -> ChainFiles:
        """The files of the first free chain of `node`, `node-2`, `node-3`, …; nobody else's until closed."""
        if not _NAME.fullmatch(node):
            raise StoreError(f"a node's name is made of letters, digits, dot, hyphen and underscore: {node!r}")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(1, 1000):
            chain = node if number == 1 else f"{node}-{number}"
            lock = os.open(folder / f"{chain}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return cls(folder, chain, lock)
        raise StoreError(f"a thousand processes already write the audit of {node}")

    def write_head(self, head: Head, *, sync: bool = False) -> None:
        """Put the head in place of the one before."""
        block = base64.b64encode(msgspec.json.encode(head))
        os.pwrite(self._head, block.ljust(_BLOCK - 1) + b"\n", 0)
        if sync:
            os.fsync(self._head)
            sync_folder(self.folder)

    def append(self, line: bytes) -> None:
        """Add a line to the segments; on disk when this returns."""
        os.write(self._segments, line + b"\n")
        os.fsync(self._segments)

    def mend(self) -> None:
        """Cut off a last line that a power cut left incomplete: it never counted."""
        text = (self.folder / f"{self.chain}.segments").read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.ftruncate(self._segments, whole)

    def close(self) -> None:
        """Let go of everything, the lock last."""
        self.accepted.release()
        self._map.flush()
        self._map.close()
        for descriptor in (self._head, self._segments, self._lock):
            os.close(descriptor)


def read_head(folder: Path, chain: str, key: Ed25519PublicKey) -> Head | None:
    """The chain's signed head; None if it is not there or its signature does not hold."""
    path = folder / f"{chain}.head"
    for _ in range(5):  # it may be rewritten while it is being read
        try:
            head = msgspec.json.decode(base64.b64decode(path.read_bytes()[:_BLOCK].strip(), validate=True), type=Head)
        except (OSError, ValueError, msgspec.DecodeError):
            head = None
        if head is not None and head.chain == chain and holds(key, head.signature, head.message()):
            return head
    return None


def read_segments(folder: Path, chain: str, key: Ed25519PublicKey) -> tuple[list[Line], list[bytes], str | None]:
    """The chain's lines as far as they are good, a digest for each, and what is wrong with the next one, if there is."""
    try:
        text = (folder / f"{chain}.segments").read_bytes()
    except FileNotFoundError:
        return [], [], None
    lines: list[Line] = []
    digests: list[bytes] = []
    for number, raw in enumerate(text.split(b"\n")[:-1], start=1):
        line = read_line(raw, key)
        if line is None or line.chain != chain:
            return lines, digests, f"line {number} of its segments file is not signed by this node"
        if line.number != number or bytes.fromhex(line.previous) != (digests[-1] if digests else GENESIS):
            return lines, digests, f"line {number} of its segments file does not follow the one before"
        lines.append(line)
        digests.append(digest_of(raw))
    return lines, digests, None


def chains_in(folder: Path) -> list[str]:
    """The chains that have files here."""
    names = {path.stem for suffix in ("head", "segments", "accepted") for path in folder.glob(f"*.{suffix}")}
    return sorted(names)
