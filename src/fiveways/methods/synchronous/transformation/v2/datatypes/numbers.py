"""Whole numbers, and yes or no, where FHIR wants them as such."""

from __future__ import annotations

import re

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Resource

_POSITIVE = re.compile(r"0*[1-9]\d{0,8}")


class Positive:
    """A number from one on, as FHIR's positiveInt has it."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the number."""
        said = text.strip()
        if _POSITIVE.fullmatch(said) is None:
            raise ValueError("expected a whole number from 1 on")
        element.put(into, path, int(said))

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The number."""
        value = element.get(resource, path)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


class YesOrNo:
    """A boolean, as HL7 table 0136 says it."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the boolean."""
        if text not in ("Y", "N"):
            raise ValueError("expected Y or N")
        element.put(into, path, text == "Y")

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """Y or N."""
        value = element.get(resource, path)
        return ("Y" if value else "N") if isinstance(value, bool) else ""


POSITIVE, YES_OR_NO = Positive(), YesOrNo()
