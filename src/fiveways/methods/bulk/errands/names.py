"""Names of files: which are taken at all, which are meant, and what a file is called while it is on its way. No I/O.

A name comes from a partner's server, and may be anything: what is not a name of a file in a folder, and what a person could not
see, is not taken.
"""

from __future__ import annotations

import hashlib
import posixpath
from fnmatch import fnmatchcase
from typing import Final

LONGEST: Final = 255
"""Bytes of a name."""


def name_of(raw: bytes) -> str | None:
    """A name as a server sends it, if it is one that is taken: UTF-8 in one part, and visible."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return None
    return name if is_name(name) else None


def is_name(name: str) -> bool:
    """Whether it is a name of a file in a folder, and each of its characters can be seen, or is a space in its middle."""
    plain = 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST and name.isprintable() and name.strip() == name
    return plain and "/" not in name and "\\" not in name and name not in (".", "..")


def is_meant(name: str, pattern: str) -> bool:
    """Whether a pattern means a name, as in a shell: a dot at the beginning is never meant by a wildcard."""
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def identity(errand: str, path: str, size: int, modified: int) -> str:
    """What a file is known by in the ledger: where it is, how large, and when it was modified. 32 hexadecimal digits."""
    return hashlib.sha256(f"{errand}\0{path}\0{size}\0{modified}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def temporary(template: str, id: str) -> str:  # noqa: A002
    """What a file is called until it is whole: the same after a restart, and of each file another."""
    return template.replace("{id}", id[:16])


def marker(template: str, name: str) -> str:
    """What the marker of a file is called."""
    return template.replace("{name}", name).replace("{stem}", posixpath.splitext(name)[0])


def below(folder: str, name: str) -> str:
    """The path of what is in a folder."""
    return posixpath.join(folder, name)


def resolved(folder: str, other: str) -> str:
    """A folder that is said relative to another."""
    return posixpath.normpath(posixpath.join(folder, other))
