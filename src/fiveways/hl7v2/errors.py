"""What can be wrong with a message before anybody knows what it says."""

from __future__ import annotations

from fiveways.errors import FivewaysError


class MalformedMessage(FivewaysError):
    """It cannot be read as HL7 v2; the message says where and why, and holds none of its values."""


class UnknownCharacterSet(MalformedMessage):
    """MSH-18 names a character set that is not known here, or the bytes are not of it."""
