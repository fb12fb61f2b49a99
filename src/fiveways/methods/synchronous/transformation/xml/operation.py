"""An operation, ready to be used: its tables, XPaths and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.xml.asking import Template
from fiveways.methods.synchronous.transformation.xml.coverage import Nodes
from fiveways.methods.synchronous.transformation.xml.document import Element, make
from fiveways.methods.synchronous.transformation.xml.kinds import Resource
from fiveways.methods.synchronous.transformation.xml.paths import Path
from fiveways.methods.synchronous.transformation.xml.settings import OperationSettings, XmlSide
from fiveways.methods.synchronous.transformation.xml.table_settings import Tables
from fiveways.methods.synchronous.transformation.xml.tables import Table


class Message:
    """A message in XML, and what is said in it."""

    def __init__(self, said: XmlSide, tables: Tables, namespaces: Mapping[str, str]) -> None:
        """ValueError where a name or an XPath is none."""
        prefix, colon, local = said.root.rpartition(":")
        if colon and prefix not in namespaces:
            raise ValueError(f"found the prefix {prefix} in {said.root!r}, expected one of namespaces")
        self.root = f"{{{namespaces[prefix]}}}{local}" if colon else local
        self.name = etree.QName(self.root) if self.root else None
        self.action = said.action
        self._namespaces = dict(namespaces)
        self._table: Table | None = tables.get(said.table) if said.table else None
        self._each = Path(said.each, namespaces) if said.each else None
        self._count = Path(said.count, namespaces) if said.count else None
        if self._each is not None and self._table is None:
            raise ValueError(f"{said.each} repeats, and no table says what it is")

    @property
    def repeats(self) -> bool:
        """Whether it says any number of the same."""
        return self._each is not None

    def read(self, root: Element, coverage: Coverage) -> list[Resource]:
        """What it says, each resource on its own."""
        if self._table is None:
            return []
        if self._each is None:
            made = self._table.resource(root, coverage)
            return [made] if made else []
        seen = Nodes(coverage, root)
        found = []
        for node in self._each.elements(root):
            seen.pass_through(self._each, node)
            made = {}
            self._table.read(node, made, seen)
            if made:
                found.append(made)
        for each in self._count.find(root) if self._count is not None else ():
            seen.look(self._count, each)
        seen.rest(root)
        return found

    def write(self, resources: list[Resource], coverage: Coverage) -> Element:
        """A message that says them. ValueError where an XPath cannot be made."""
        prefixes: dict[str | None, str] = dict(self._namespaces.items())
        root = make(self.root, prefixes)
        if self._table is not None:
            for resource in resources:
                node = self._each.add(root) if self._each is not None else root
                self._table.element(resource, node, coverage)
        if self._count is not None:
            self._count.put(self._count.reach(root), str(len(resources)))
        return root


@dataclass(frozen=True, slots=True)
class Failing:
    """How a back end says in an answer that there is none."""

    path: Path
    text: Path | None
    not_found: frozenset[str]
    invalid: frozenset[str]


class Operation:
    """One thing that can be asked."""

    def __init__(self, said: OperationSettings, tables: Tables, namespaces: Mapping[str, str]) -> None:
        """ValueError where something of it cannot be made."""
        try:
            self.name = said.name
            self.status = said.status
            self.fhir = said.fhir
            self.http = said.http
            self.fhir_path = Template(said.fhir.path)
            self.http_path = Template(said.http.path)
            self.request = Message(said.request, tables, namespaces)
            self.response = Message(said.response, tables, namespaces)
            self.failing = [
                Failing(
                    Path(each.xpath, namespaces),
                    Path(each.text, namespaces) if each.text else None,
                    frozenset(each.not_found),
                    frozenset(each.invalid),
                )
                for each in said.errors
            ]
        except ValueError as error:
            raise ValueError(f"operation {said.name}: {error}") from None
