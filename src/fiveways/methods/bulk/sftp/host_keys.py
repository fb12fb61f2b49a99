"""The server's own keys: made on first start, kept, and the same for every process that starts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncssh

from fiveways.errors import StoreError
from fiveways.store.syncing import sync_folder

_KINDS: Final[tuple[tuple[str, str, dict[str, int]], ...]] = (
    ("ssh_host_ed25519_key", "ssh-ed25519", {}),
    ("ssh_host_rsa_key", "ssh-rsa", {"key_size": 3072}),
)
"""File, algorithm, and what it is made with. The second is for clients that do not know the first."""


def host_keys(folder: Path) -> list[asyncssh.SSHKey]:
    """The keys in the folder, which is made where there is none; each key that is missing is made and kept (0600) beside its public
    half. Whatever several processes do at once, all end with the same keys. Takes some tenths of a second where one is made.

    Raises StoreError where a file cannot be read or written, or holds no key.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = []
        for file, algorithm, made_with in _KINDS:
            path = folder / file
            if not path.exists():
                _make(path, algorithm, made_with)
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            keys.append(asyncssh.import_private_key(path.read_bytes()))
    except OSError as error:
        raise StoreError(f"host keys in {folder}: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise StoreError(f"host keys in {folder}: a file there holds no key: {error}") from None
    return keys


def _make(path: Path, algorithm: str, made_with: dict[str, int]) -> None:
    """Make a key, unless another process was faster: a link appears whole, and only where there is nothing yet."""
    key = asyncssh.generate_private_key(algorithm, "fiveways", **made_with)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(key.export_private_key())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    path.with_name(f"{path.name}.pub").write_bytes(key.export_public_key())
    sync_folder(path.parent)
