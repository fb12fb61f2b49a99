"""Makes what a deployment's file references lead to: key pairs of applications and partners, and secrets. What is there stays."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import RSAKey


def make_key(folder: Path, application: str) -> None:
    """A key pair for an application: its private key as PEM, and the public half as the JWKS that it registers."""
    private = folder / f"{application}.pem"
    if private.exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(private, pem)
    public = RSAKey.import_key(pem, {"kid": f"{application}-1", "use": "sig", "alg": "RS512"}).as_dict(private=False)
    (folder / f"{application}.jwks.json").write_bytes(msgspec.json.encode({"keys": [public]}))


def make_ssh_key(file: Path) -> None:
    """A key pair for a partner's SFTP client, as `ssh-keygen` makes it."""
    if file.exists():
        return
    key = ed25519.Ed25519PrivateKey.generate()
    _write(file, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.with_suffix(".pub").write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))


def make_secret(file: Path) -> None:
    """A secret of its own."""
    if not file.exists():
        _write(file, secrets.token_urlsafe(18).encode())


def _write(file: Path, content: bytes) -> None:
    """Into a file that its owner alone may read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)
