"""Organisations, licences and other identifiers that are a data type of their own."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import authority as of
from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import identifier
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Inner, Row, Table

_NUMBER = Table("XON", "Identifier", identifier(10, of(6), kind=7))
_OLD_NUMBER = Table("XON", "Identifier", identifier(3, of(6), kind=7))
ORGANIZATION = Table(
    "XON",
    "Organization",
    (
        Row(1, "name"),
        Inner("identifier[0]", _NUMBER, needs=10),
        Inner("identifier[0]", _OLD_NUMBER, needs=3, unless=10, moved="the identifier is written as XON.10"),
    ),
)
"""An organisation by its name, and its identifier; one in the place that it had before version 2.5 is taken too."""
LICENCE = Table("DLN", "Identifier", (Row(1, "value"), Row(2, "assigner.display"), Row(3, "period.end", MOMENT)), needs=1)
"""A driver's licence: the number, and who gives it."""
NUMBER = Table("ST", "Identifier", (Row(1, "value"),))
"""An identifier that is but a number."""
