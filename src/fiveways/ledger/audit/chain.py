"""How events hang together: hash, signature, and the line that a segment leaves behind. Pure; no I/O.

    hash(n)  = SHA-256( link(n-1) || len(chain) || chain || n || body(n) )
    link(n)  = hash(n) || signature(n)      the signature stands on the last event of each commit, elsewhere it is empty

A signature is Ed25519 (RFC 8032) over chain, n, hash(n) and the number and digest of the segments sealed so far. So a row
cannot be changed without changing every hash after it, and no run of rows can be made, nor its end be cut off, without the
private key.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

GENESIS = bytes(32)
"""The link before the first event, and the digest before the first segment."""
_HEAD = b"fiveways audit head\0"
_SEGMENT = b"fiveways audit segment\0"
_number = struct.Struct(">Q").pack


class Head(msgspec.Struct, frozen=True):
    """The newest durable event of a chain, and how many segments were sealed before; `signature` covers all of it."""

    chain: str
    seq: int
    hash: bytes
    segments: int
    digest: bytes
    signature: bytes = b""

    def message(self) -> bytes:
        """What is signed."""
        name = self.chain.encode()
        return b"".join((_HEAD, bytes([len(name)]), name, _number(self.seq), self.hash, _number(self.segments), self.digest))

    def signed(self, key: Ed25519PrivateKey) -> Head:
        """This head with its signature."""
        return msgspec.structs.replace(self, signature=key.sign(self.message()))

    def mark(self) -> bytes:
        """The signature as it stands on the row: segments, digest, signature (104 bytes)."""
        return _number(self.segments) + self.digest + self.signature


def head_of_row(chain: str, seq: int, hash_: bytes, mark: bytes) -> Head:
    """The head that a row's mark signs."""
    return Head(chain, seq, hash_, int.from_bytes(mark[:8], "big"), mark[8:40], mark[40:])


class Segment(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="sealed"):
    """Events `first` to `last` are closed; they began after `before` and ended in `after` (links, hex)."""

    number: int
    chain: str
    first: int
    last: int
    rows: int
    before: str
    after: str
    at: int
    previous: str
    """Digest of the line before (hex)."""
    signature: str = ""


class Removal(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="removed"):
    """Retention removed everything up to `last`, `rows` events, whose link was `after`."""

    number: int
    chain: str
    last: int
    rows: int
    after: str
    at: int
    previous: str
    signature: str = ""


Line = Segment | Removal
_lines = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder()


def sign_line(line: Line, key: Ed25519PrivateKey) -> bytes:
    """The line as it goes into the file, without its line feed."""
    signature = key.sign(_SEGMENT + _encoder.encode(line)).hex()
    return _encoder.encode(msgspec.structs.replace(line, signature=signature))


def read_line(text: bytes, key: Ed25519PublicKey) -> Line | None:
    """The line, or None if it does not read or its signature does not hold."""
    try:
        line = _lines.decode(text)
        signature = bytes.fromhex(line.signature)
    except (msgspec.DecodeError, ValueError):
        return None
    unsigned = msgspec.structs.replace(line, signature="")
    return line if holds(key, signature, _SEGMENT + _encoder.encode(unsigned)) else None


def digest_of(text: bytes) -> bytes:
    """What the next line, and the head, remember of this line."""
    return hashlib.sha256(text).digest()


def holds(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether the signature is the key's over the message."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def prefix(chain: str) -> bytes:
    """The part of a hash's input that names the chain."""
    name = chain.encode()
    return bytes([len(name)]) + name


def hash_event(link: bytes, named: bytes, seq: int, body: bytes) -> bytes:
    """The hash of an event that follows `link`; `named` is `prefix(chain)`."""
    return hashlib.sha256(link + named + _number(seq) + body).digest()
