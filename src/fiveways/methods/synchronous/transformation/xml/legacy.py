"""The transformer `xml`: legacy XML, in SOAP envelopes or without, by tables of XPaths; in front of FHIR or behind it.

A deployment names operations, each in the words of both sides, and the tables that say what is in their messages.
"""

from __future__ import annotations

from fiveways.errors import Fault
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.xml.before import Before
from fiveways.methods.synchronous.transformation.xml.behind import Behind
from fiveways.methods.synchronous.transformation.xml.operation import Operation
from fiveways.methods.synchronous.transformation.xml.settings import LegacyOptions
from fiveways.methods.synchronous.transformation.xml.table_settings import Tables


class LegacyXml:
    """Either orientation, as the options say."""

    def __init__(self, place: Place) -> None:
        """DeploymentError, ValueError or OSError where the options cannot be used."""
        options = place.read(LegacyOptions)
        tables = Tables(options.all_tables(place.base), options.namespaces, options.zone)
        operations = [Operation(each, tables, options.namespaces) for each in options.operations]
        self.one_way = tables.one_way()
        """XPaths of tables that can only be read, each with why."""
        self._before: Before | None = None
        if options.consumer == "xml":
            self._before = Before(place.name, operations, options.soap, options.addressing, options.address or "")
        self._side = self._before or Behind(operations, options.soap, options.addressing)

    def ask(self, asked: Asked) -> Asked | Answered:
        """The request, in the back end's words."""
        return self._side.ask(asked)

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """The answer, in the consumer's words."""
        return self._side.answer(asked, answered)

    def refuse(self, asked: Asked, fault: Fault) -> Answered | None:
        """A fault, in XML where the consumer speaks that."""
        return self._before.refuse(asked, fault) if self._before is not None else None
