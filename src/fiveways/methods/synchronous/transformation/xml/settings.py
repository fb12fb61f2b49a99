"""What a deployment says of a legacy XML transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fiveways.deployment.settings import HttpUrl, Settings
from fiveways.methods.synchronous.transformation.xml.soap import ADDRESSING, Version
from fiveways.methods.synchronous.transformation.xml.table_settings import TableSettings, read_file


class XmlSide(Settings):
    """A message in XML: a request, or an answer."""

    root: str = ""
    """The name of its element: `p:GetPatient`. Any, of an answer that is read, where none is said."""
    table: str = ""
    """What it says. None: nothing that matters."""
    each: str = ""
    """XPath of what repeats in it, each said by the table: a searchset on the FHIR side."""
    count: str = ""
    """XPath, from the root on, where the number of what repeats is written."""
    action: str = ""
    """The SOAP action."""


class HttpSide(Settings):
    """A request as HTTP: its method, its path, and its query by the names of parameters."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "POST"
    path: str = Field(default="", pattern=r"^(/[^\s?#]*)?$")
    """Below the target's URL; `{name}` is a value of what was asked."""
    query: dict[str, str] = Field(default_factory=dict)
    """Parameters, each with the path of its value in what was asked; one without a value is left out."""


class ErrorSettings(Settings):
    """How the back end says, in an answer with a status of success, that there is none."""

    xpath: str
    """What is there only then, from the answer's root on: a code, if it has one."""
    text: str = ""
    """XPath of what it says in words."""
    not_found: list[str] = Field(default_factory=list)
    """Codes that mean that there is no such thing."""
    invalid: list[str] = Field(default_factory=list)
    """Codes that mean that the request is wrong. All others are faults of the back end."""


class OperationSettings(Settings):
    """One thing that can be asked, in the words of both sides."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,62}$")
    fhir: HttpSide
    """How it is asked in FHIR: `{method: GET, path: /Patient/{id}}`."""
    http: HttpSide = HttpSide()
    """How the XML travels."""
    request: XmlSide = XmlSide()
    response: XmlSide = XmlSide()
    errors: list[ErrorSettings] = Field(default_factory=list)
    status: int = Field(default=200, ge=200, le=299)
    """Of the answer to a FHIR consumer."""


class AddressingSettings(Settings):
    """WS-Addressing of what is sent."""

    to: str = ""
    sender: str = ""
    namespace: str = ADDRESSING


class LegacyOptions(Settings):
    """The options of the transformer `xml`."""

    consumer: Literal["fhir", "xml"]
    """Who asks: a FHIR consumer a back end of XML, or an XML consumer a back end of FHIR."""
    soap: Version | None = None
    """The XML travels in envelopes of this version."""
    addressing: AddressingSettings | None = None
    address: HttpUrl | None = None
    """Where consumers reach this API: the WSDL says so. None: no WSDL is served."""
    namespaces: dict[str, str] = Field(default_factory=dict)
    """By their prefixes in XPaths and roots, and in what is written."""
    zone: str = "Europe/London"
    """Of times that say none."""
    tables: dict[str, TableSettings] = Field(default_factory=dict)
    tables_file: str = ""
    """A YAML file with more tables, beside the deployment file."""
    operations: list[OperationSettings] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.addressing is not None and self.soap is None:
            raise ValueError("addressing is of SOAP: say soap: '1.1' or '1.2'")
        names = [each.name for each in self.operations]
        if len(set(names)) < len(names):
            raise ValueError("two operations have the same name")
        for each in self.operations:
            if self.consumer == "xml" and not (each.request.root and each.response.root):
                raise ValueError(f"operation {each.name}: what consumers send and are answered each has a root")
            if self.consumer == "fhir" and each.http.method == "POST" and not each.request.root:
                raise ValueError(f"operation {each.name}: the request has a root")
        return self

    def all_tables(self, base: Path) -> dict[str, TableSettings]:
        """The tables, those of the file among them, whose path starts from `base`."""
        return {**(read_file(base / self.tables_file) if self.tables_file else {}), **self.tables}
