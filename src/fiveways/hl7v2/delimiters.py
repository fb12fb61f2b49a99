"""The characters that take a message apart: each message says its own, in its first fields (HL7 v2.9 §2.5.4)."""

from __future__ import annotations

from typing import NamedTuple

from fiveways.hl7v2.errors import MalformedMessage

_MOST = 5


class Delimiters(NamedTuple):
    """Between fields, components, repetitions and sub-components; what begins an escape; and, from 2.7 on, what marks a value that
    was cut off ('' where the message names none). `escape` and `subcomponent` are '' in messages that name neither."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    encoding_characters: str = "^~\\&"
    """As MSH-2 has them."""

    @classmethod
    def of(cls, header: str) -> Delimiters:
        """Those that a header segment (MSH, FHS, BHS) says; MalformedMessage where it says none that could be told apart.

        An escape character that stands there twice is one: there are senders whose own source code had to escape it.
        """
        field = header[3:4]
        said = header[4:].partition(field)[0] if field else ""
        encoding_characters = said
        said = said.replace("\\\\", "\\")
        if not field or field.isalnum() or field in "\r\n" or not 1 <= len(said) <= _MOST:
            raise MalformedMessage(f"{header[:3]}-1 and {header[:3]}-2 name no delimiters")
        if len({field, *said}) != len(said) + 1 or any(each.isalnum() or each.isspace() for each in said):
            raise MalformedMessage(f"{header[:3]}-2 names one delimiter twice, or letters")
        component, repetition, escape, subcomponent, truncation = (said[n : n + 1] for n in range(_MOST))
        return cls(field, component, repetition, escape, subcomponent, truncation, encoding_characters)


STANDARD = Delimiters()
"""Those that the standard recommends."""
