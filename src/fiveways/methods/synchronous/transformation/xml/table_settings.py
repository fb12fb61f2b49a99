"""Tables of XPaths as a deployment says them, in its own file or in one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, model_validator

from fiveways.deployment.settings import Settings
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.xml import kinds
from fiveways.methods.synchronous.transformation.xml.paths import Path
from fiveways.methods.synchronous.transformation.xml.tables import Constant, Ignored, Part, Row, Table, Value


class RowSettings(Settings):
    """One row: an XPath, the element of the resource that it is, and how it is said."""

    xpath: str = Field(min_length=1)
    """From the table's element on: `Name/Family`, `@sex`, `ID[@type='NHS']`."""
    path: str = ""
    """`gender`, `name[0].family`; `name[0].given[]` for each one a member of the list; `identifier[].value` for each one a member
    with this in it. None where the XML always says the same (`value`)."""
    kind: Literal["text", "date", "moment", "coded", "number", "flag"] = "text"
    table: str = ""
    """The element is said by another table; `path` is where what it says goes, or with [] the list that it is a member of."""
    map: dict[str, str] = Field(default_factory=dict)
    """coded: FHIR's codes by those of the XML; flag: 'true' or 'false' by its words."""
    system: str = ""
    """coded: names the codes of the XML, so that those that are not known are kept."""
    format: str = ""
    """date, moment: how it is written (strftime), or `hl7`; as XML does where there is none."""
    fixed: dict[str, str] = Field(default_factory=dict)
    """Elements that go with it: `{system: https://fhir.nhs.uk/Id/nhs-number}`."""
    value: str = ""
    """What the XML always says there."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if bool(self.path) == bool(self.value):
            raise ValueError("a row has a path, or the value that the XML always says")
        if self.value and (self.table or self.map or self.fixed):
            raise ValueError("a row with a value has nothing else")
        if self.kind == "coded" and not self.map:
            raise ValueError("a coded row has a map")
        for path in (*self.path.split("[]."), *self.fixed):
            if path:
                element.steps(path.removesuffix("[]"))
        return self


class TableSettings(Settings):
    """What an element is."""

    resource: str = ""
    """The type of the resource, where it is one."""
    fixed: dict[str, str] = Field(default_factory=dict)
    """What it always says."""
    rows: list[RowSettings]
    ignored: dict[str, str] = Field(default_factory=dict)
    """XPaths of what says nothing of its own, each with why."""


def read_file(path: FilePath) -> dict[str, TableSettings]:
    """The tables of a YAML file. OSError or ValueError where there are none."""
    try:
        said: Any = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path}: expected tables by their names")
    return {str(name): TableSettings.model_validate(table) for name, table in said.items()}


class Tables:
    """The tables of a deployment, by name."""

    def __init__(self, said: Mapping[str, TableSettings], namespaces: Mapping[str, str], zone: str) -> None:
        """ValueError where one of them cannot be made."""
        self._said = said
        self._namespaces = namespaces
        self._made: dict[str, Table] = {}
        self._making: list[str] = []
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"found {zone!r}, expected a time zone such as Europe/London") from None
        for name in said:
            self.get(name)

    def get(self, name: str) -> Table:
        """A table. ValueError where there is none of that name, or it is in itself."""
        if name in self._made:
            return self._made[name]
        if name not in self._said:
            raise ValueError(f"found the table {name!r}, expected one of: {', '.join(sorted(self._said))}")
        if name in self._making:
            raise ValueError(f"the table {name} is within itself")
        self._making.append(name)
        said = self._said[name]
        rows: list[Row] = []
        for number, row in enumerate(said.rows, start=1):
            try:
                rows.append(self._row(row))
            except ValueError as error:
                raise ValueError(f"tables.{name}, row {number}: {error}") from None
        rows += [Ignored(self._path(xpath), why) for xpath, why in said.ignored.items()]
        fixed = {**({"resourceType": said.resource} if said.resource else {}), **said.fixed}
        self._making.pop()
        self._made[name] = Table(name, tuple(rows), fixed)
        return self._made[name]

    def one_way(self) -> list[tuple[str, str, str]]:
        """The XPaths that can only be read: the table's name, the XPath, and why."""
        return [(name, *each) for name, table in self._made.items() for each in table.one_way]

    def _path(self, xpath: str) -> Path:
        return Path(xpath, self._namespaces)

    def _row(self, said: RowSettings) -> Row:
        xpath = self._path(said.xpath)
        if said.value:
            return Constant(xpath, said.value)
        before, several, after = said.path.partition("[]")
        if said.table:
            return Part(xpath, before, self.get(said.table), said.fixed, each=bool(several))
        kind = self._kind(said)
        return (
            Value(xpath, after.removeprefix("."), kind, said.fixed, before) if several else Value(xpath, before, kind, said.fixed)
        )

    def _kind(self, said: RowSettings) -> kinds.Kind:
        match said.kind:
            case "date":
                return kinds.Moment(self._zone, day=True) if said.format == "hl7" else kinds.Day(said.format)
            case "moment":
                return kinds.Moment(self._zone) if said.format == "hl7" else kinds.Time(self._zone, said.format)
            case "coded":
                return kinds.Coded(said.map, said.system)
            case "number":
                return kinds.Number()
            case "flag":
                words = {word: meaning == "true" for word, meaning in said.map.items()}
                return kinds.Flag(words) if words else kinds.Flag()
        return kinds.TEXT
