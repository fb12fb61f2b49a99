"""Passwords of partners, as the deployment file has them: a hash that tells nothing of them (scrypt, RFC 7914)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_COST, _BLOCK, _PARALLEL = 2**15, 8, 3
"""Some 0.2 s and 32 MiB for each guess."""
_MEMORY: Final = 2**27
HASH: Final = r"^scrypt:(\d{1,2}):(\d{1,2}):(\d{1,2}):([A-Za-z0-9+/]{22}==):([A-Za-z0-9+/]{43}=)$"
"""How a hash is written: scrypt, the cost as a power of two, block size, parallelism, salt and key (base64)."""
_LONGEST: Final = 1024
"""Characters of a password that is compared."""
_threads: Final = ThreadPoolExecutor(2, "passwords")


def hashed(password: str) -> str:
    """A password as the deployment file has it: each time with another salt."""
    salt = os.urandom(16)
    key = _derive(password, salt, _COST, _BLOCK, _PARALLEL)
    return f"scrypt:{_COST.bit_length() - 1}:{_BLOCK}:{_PARALLEL}:{b64encode(salt).decode()}:{b64encode(key).decode()}"


def checked(value: str) -> str:
    """A hash that can be compared with, or ValueError."""
    match = re.fullmatch(HASH, value)
    if match is None or not (14 <= int(match[1]) <= 17 and 8 <= int(match[2]) <= 16 and 1 <= int(match[3]) <= 8):
        raise ValueError("expected what `fiveways bulk password` says: scrypt:…")
    return value


NOBODYS: Final = (
    f"scrypt:{_COST.bit_length() - 1}:{_BLOCK}:{_PARALLEL}:{b64encode(bytes(16)).decode()}:{b64encode(bytes(32)).decode()}"
)
"""What is compared with where there is no password: whoever guesses is not told by the time that it takes."""


async def matches(password: str, hash_: str) -> bool:
    """Whether it is the password, in constant time, beside the event loop; two at a time at most."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _matches, password, hash_)


def _matches(password: str, hash_: str) -> bool:
    match = re.fullmatch(HASH, hash_)
    if match is None or len(password) > _LONGEST:
        return False
    key = _derive(password, b64decode(match[4]), 2 ** int(match[1]), int(match[2]), int(match[3]))
    return hmac.compare_digest(key, b64decode(match[5]))


def _derive(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY * 4, dklen=32)
