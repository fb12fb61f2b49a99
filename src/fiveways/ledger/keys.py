"""Keys that stay on this node, in files only their owner can read, made when first needed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fiveways.errors import StoreError
from fiveways.store.syncing import sync_folder


def secret(path: Path, size: int = 32) -> bytes:
    """The random key in `path`, `size` bytes, made if it is not there."""
    key = _read_or_make(path, lambda: secrets.token_bytes(size))
    if len(key) != size:
        raise StoreError(f"{path} does not hold a key of {size} bytes")
    return key


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in `path` (PEM, PKCS #8), made if it is not there; its public half is put beside it as `.pub`."""

    def make() -> bytes:
        return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    key = load_pem_private_key(_read_or_make(path, make), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path} does not hold an Ed25519 key")
    public = path.with_suffix(".pub")
    if not public.exists():
        public.write_bytes(public_pem(key.public_key()))
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """A public key from PEM. Raises StoreError if it is not an Ed25519 one."""
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise StoreError("not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError("not an Ed25519 public key")
    return key


def _read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(make())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first: its key is the key
                os.link(temporary, path)
        finally:
            temporary.unlink()
        sync_folder(path.parent)
    return path.read_bytes()
