"""What clients may call files, and where a path leads: arithmetic on text below a root that nothing leads out of."""

from __future__ import annotations

from typing import Final

from fiveways.methods.bulk.tree import Refused

LONGEST_NAME: Final = 255
"""Bytes of a name, as UTF-8."""
LONGEST_PATH: Final = 4096
"""Bytes of a path as a client sends it."""


def absolute(sent: bytes) -> str:
    """Where a path leads that a client has sent; '' and relative ones start at the root. `..` at the root stays there.

    Names are kept as they are sent, composed (NFC) or not. Raises Refused for what is too long, not UTF-8, or has control
    characters in it.
    """
    if len(sent) > LONGEST_PATH:
        raise Refused(f"The path is longer than {LONGEST_PATH} bytes")
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        raise Refused("Names must be UTF-8") from None
    if not text.isprintable() and any(_control(letter) for letter in text):
        raise Refused("Names must not have control characters in them")
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            if len(part) > LONGEST_NAME // 4 and len(part.encode()) > LONGEST_NAME:
                raise Refused(f"A name is longer than {LONGEST_NAME} bytes")
            parts.append(part)
    return "/" + "/".join(parts)


def _control(letter: str) -> bool:
    """C0, DEL, C1, and what turns the direction of writing or breaks a line: a listing would show another name than there is."""
    point = ord(letter)
    return point < 32 or 127 <= point < 160 or 0x2028 <= point <= 0x202E or 0x2066 <= point <= 0x2069
