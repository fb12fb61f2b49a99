"""Character sets: what MSH-18 says is how the bytes are read and written (HL7 table 0211)."""

from __future__ import annotations

import codecs
from typing import Final

from fiveways.hl7v2.errors import UnknownCharacterSet

NAMES: Final = {
    "": "utf-8",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "8859/1": "iso-8859-1",
    "8859/2": "iso-8859-2",
    "8859/3": "iso-8859-3",
    "8859/4": "iso-8859-4",
    "8859/5": "iso-8859-5",
    "8859/6": "iso-8859-6",
    "8859/7": "iso-8859-7",
    "8859/8": "iso-8859-8",
    "8859/9": "iso-8859-9",
    "8859/15": "iso-8859-15",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5",
    "KS X 1001": "euc_kr",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    "UNICODE": "utf-8",
}
"""Codecs by the names of table 0211. Where a message names none, its sender's declared one holds, or else UTF-8, which ASCII is."""

_ALIASES: Final = {
    "UTF-8": "UNICODE UTF-8", "UTF8": "UNICODE UTF-8", "UNICODE UTF8": "UNICODE UTF-8", "ISO-8859-1": "8859/1",
    "ISO8859-1": "8859/1", "ISO-8859-15": "8859/15", "LATIN1": "8859/1", "US-ASCII": "ASCII",
}  # fmt: skip
_HEAD: Final = 4096
"""Bytes in which the first segment must end for its MSH-18 to be found."""


def codec(named: str) -> str:
    """The codec of a name in MSH-18 (`8859/1`); UnknownCharacterSet where there is none of that name."""
    name = " ".join(named.upper().split())
    known = NAMES.get(_ALIASES.get(name, name))
    if known is None:
        names = ", ".join(filter(None, NAMES))
        raise UnknownCharacterSet(f"MSH-18 names a character set that is not known here; known are {names}")
    return known


def decode(content: bytes, default: str = "") -> tuple[str, str]:
    """The text of a message, and the codec that gives its bytes again; `default`: the name that holds where MSH-18 names none.

    UnknownCharacterSet where it names one that is not known, or the bytes are not of it: a message is never read with characters
    left out or made up.
    """
    for mark, name in ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return _decoded(content, name), name
    name = codec(_named(content) or default)
    return _decoded(content, name), name


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode(name)
        lossless = text.encode(name) == content
    except UnicodeError as error:
        raise UnknownCharacterSet(f"the message is not written in the character set that it names ({name})") from error
    if not lossless:
        raise UnknownCharacterSet(f"the message cannot be written again in the character set that it names ({name})")
    return text


def _named(content: bytes) -> str:
    """The first repetition of MSH-18, which is ASCII in every character set that is taken without a byte order mark."""
    head = content[:_HEAD].removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    header = head.replace(b"\n", b"\r").partition(b"\r")[0]
    if header[:3] != b"MSH" or len(header) < 5:
        return ""
    fields = header.split(header[3:4])
    repetition = header[5:6]
    return fields[17].split(repetition or b"~")[0].decode("latin-1").strip() if len(fields) > 17 else ""
