"""Escape sequences (HL7 v2.9 §2.7): delimiters, bytes and breaks inside a value.

What is not understood stays as it is: highlighting, other character sets, and sequences of somebody's own are no less in the text
than anything else.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fiveways.hl7v2.delimiters import Delimiters

_LONGEST = 200
"""Characters of one sequence; more than that is no escape sequence but text with two escape characters in it."""


def unescape(text: str, delimiters: Delimiters) -> str:
    r"""A value as it is meant: `\F\` the field delimiter and so on, `\.br\` a line feed, `\X0D0A\` characters by their bytes."""
    if not delimiters.escape or delimiters.escape not in text:
        return text
    meanings = _meanings(delimiters)
    return _pattern(delimiters.escape).sub(lambda match: _meant(match[1], match[0], meanings), text)


def escape(value: str, delimiters: Delimiters) -> str:
    r"""A value as it stands in a message. Delimiters are escaped, line ends become `\.br\` or `\X0D\`; the rest is as it was."""
    return _special(delimiters).sub(lambda match: _escapes(delimiters)[match[0]], value)


def _meant(code: str, written: str, meanings: dict[str, str]) -> str:
    known = meanings.get(code)
    if known is not None:
        return known
    if code[:1] == "X" and len(code) % 2 == 1 and len(code) > 1:
        try:
            return bytes.fromhex(code[1:]).decode("latin-1")
        except ValueError:
            return written
    return written


@lru_cache(maxsize=64)
def _pattern(mark: str) -> re.Pattern[str]:
    quoted = re.escape(mark)
    return re.compile(f"{quoted}([^{quoted}]{{1,{_LONGEST}}}){quoted}")


@lru_cache(maxsize=64)
def _meanings(delimiters: Delimiters) -> dict[str, str]:
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
        ".br": "\n",
        **({"P": delimiters.truncation} if delimiters.truncation else {}),
    }


@lru_cache(maxsize=64)
def _escapes(delimiters: Delimiters) -> dict[str, str]:
    """Each character that must not stand in a value, and what stands for it. A delimiter that the message does not name cannot
    be escaped, and need not be."""
    mark = delimiters.escape
    if not mark:
        return {"\r": " ", "\n": " "}
    made = {meant: f"{mark}{code}{mark}" for code, meant in _meanings(delimiters).items() if meant}
    return {**made, "\r": f"{mark}X0D{mark}"}


@lru_cache(maxsize=64)
def _special(delimiters: Delimiters) -> re.Pattern[str]:
    return re.compile("[" + "".join(map(re.escape, _escapes(delimiters))) + "]")
