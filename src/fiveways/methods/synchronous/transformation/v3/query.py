"""What is asked about whom: FHIR's search parameters, and the parameters of a query of HL7 V3.

A simple trace wants family name, sex and date of birth, and finds one person or none; an advanced one takes fewer, and may find
several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree
from nhs_number.validate import is_valid

from fiveways.errors import InvalidValue, MissingValue
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v3.datatypes import NHS_NUMBER, V3, path, tag
from fiveways.methods.synchronous.transformation.v3.message import ADVANCED_TRACE, RETRIEVAL, SIMPLE_TRACE, Interaction
from fiveways.methods.synchronous.transformation.v3.person import SEX
from fiveways.methods.synchronous.transformation.xml.coverage import Nodes
from fiveways.methods.synchronous.transformation.xml.document import Element, make

NHS_ROOT: Final = "2.16.840.1.113883.2.1.4.1"
HISTORIC: Final = "2.16.840.1.113883.2.1.3.2.4.17.36"
_SEARCH: Final = {"family": "family", "given": "given", "birthdate": "birth", "gender": "gender", "address-postalcode": "postcode"}
_DAY: Final = re.compile(r"(?:eq)?(\d{4}(?:-\d{2}(?:-\d{2})?)?)")
_SAYS_NOTHING: Final = (
    "v:*/v:semanticsText", "v:historicDataIndicator", "v:retrievalItem", "v:person.name/v:value/@use",
    "v:person.administrativeGenderCode/v:value/@codeSystem",
)  # fmt: skip
"""What is in a query and does not say who is looked for. What was before is not in a FHIR answer, whatever is asked."""
_PATIENT: Final = re.compile(r"/Patient(?:/([^/]+))?/?")


@dataclass(frozen=True, slots=True)
class Query:
    """Who is looked for: by number, or by what is known of them (`birth` as FHIR writes a date, `gender` a code of FHIR's)."""

    number: str = ""
    family: str = ""
    given: str = ""
    birth: str = ""
    gender: str = ""
    postcode: str = ""

    @property
    def complete(self) -> bool:
        """Whether a simple trace can be made of it."""
        whole = bool(self.family and self.gender and len(self.birth) == 10)
        return whole and not any("*" in each for each in (self.family, self.given, self.postcode))

    def interaction(self, advanced: bool) -> Interaction:
        """What is sent. MissingValue where nothing can be."""
        if self.number:
            return RETRIEVAL
        if self.complete:
            return SIMPLE_TRACE
        if not advanced:
            raise MissingValue("A search is by identifier, or by family, gender and a whole birthdate, without wildcards")
        if not self.family or not self.birth:
            raise MissingValue("A search is by identifier, or by family and birthdate at least")
        return ADVANCED_TRACE


def of_fhir(method: str, where: str, asked: Mapping[str, str]) -> Query:
    """The query that a FHIR request is. InvalidValue where it cannot be asked here."""
    match = _PATIENT.fullmatch(where)
    if method not in ("GET", "HEAD") or match is None:
        raise InvalidValue("A Patient is read or searched for here, and nothing else")
    if match[1] is not None:
        if any(name != "_format" for name in asked):
            raise InvalidValue("A read has no parameters")
        return Query(number=_number(match[1]))
    said = {name: value for name, value in asked.items() if name != "_format" and value}
    for name in ("identifier", "_id"):
        if name in said:
            system, bar, number = said.pop(name).rpartition("|")
            if said:
                raise InvalidValue("A search by identifier has no other parameters")
            if bar and (system != NHS_NUMBER or name == "_id"):
                raise InvalidValue(f"An identifier is an NHS number: {NHS_NUMBER}|…")
            return Query(number=_number(number))
    for name in said:
        if name not in _SEARCH:
            raise InvalidValue(f"The parameter {name[:64]} cannot be searched by here")
    found = {_SEARCH[name]: value for name, value in said.items()}
    if birth := found.get("birth"):
        day = _DAY.fullmatch(birth)
        if day is None:
            raise InvalidValue("birthdate is one day, or a month or a year: 1980-01-02")
        found["birth"] = day[1]
    if found.get("gender", "unknown") not in SEX.written:
        raise InvalidValue("gender is one of: female, male, other, unknown")
    return Query(**found)


def to_fhir(query: Query) -> dict[str, str]:
    """The search parameters of a query."""
    if query.number:
        return {"identifier": f"{NHS_NUMBER}|{query.number}"}
    return {name: value for name, of in _SEARCH.items() if (value := getattr(query, of))}


def write(query: Query, historic: bool) -> Element:
    """The query's element in a control act. ValueError where XML cannot say a value."""
    made = make(tag("query"), {None: V3})
    if query.number:
        _value(made, "historicDataIndicator", "HistoricDataIndicator", code="1" if historic else "0", codeSystem=HISTORIC)
        _value(made, "person.id", "Person.id", root=NHS_ROOT, extension=query.number)
        _add(_add(made, "retrievalItem"), "semanticsText").text = "person.allData"
        return made
    if query.postcode:
        address = _add(made, "person.address")
        _add(address, "semanticsText").text = "Person.address"
        _add(_add(address, "value"), "postalCode").text = query.postcode
    if query.gender:
        _value(made, "person.administrativeGenderCode", "Person.administrativeGenderCode", code=SEX.written[query.gender])
    if query.birth:
        _value(made, "person.birthTime", "Person.birthTime", value=query.birth.replace("-", ""))
    name = _value(made, "person.name", "Person.name", use="L")
    if query.given:
        _add(name, "given").text = query.given
    if query.family:
        _add(name, "family").text = query.family
    return made


def read(act: Element) -> Query:
    """The query in a control act. InvalidValue where there is none that can be asked."""
    node = act.find(tag("query"))
    if node is None:
        raise InvalidValue("The control act has no query")
    coverage = Coverage()
    seen = Nodes(coverage, node)
    for each in _SAYS_NOTHING:
        for found in path(each).find(node):
            seen.ignore(path(each), found, told=False)

    def said(*xpaths: str) -> str:
        """The first that is there: any other would make the query another, and is not passed over."""
        for xpath in map(path, xpaths):
            for found in xpath.find(node)[:1]:
                seen.look(xpath, found)
                return found.text
        return ""

    number = said("v:person.id/v:value/@extension")
    if number and said("v:person.id/v:value/@root") not in (NHS_ROOT, ""):
        raise InvalidValue("person.id is an NHS number")
    sex, born = said("v:person.administrativeGenderCode/v:value/@code"), said("v:person.birthTime/v:value/@value")
    if sex and sex not in SEX.meanings:
        raise InvalidValue("person.administrativeGenderCode is not known")
    if born and not re.fullmatch(r"\d{4}(\d{2}(\d{2}(\d{2,6})?)?)?", born):
        raise InvalidValue("person.birthTime is a day: YYYYMMDD")
    query = Query(
        number=_number(number) if number else "",
        family=said("v:person.name/v:value/v:family"),
        given=said("v:person.name/v:value/v:given"),
        birth="-".join(each for each in (born[:4], born[4:6], born[6:8]) if each),
        gender=SEX.meanings.get(sex, ""),
        postcode=said("v:person.address/v:value/v:postalCode", "v:person.address/v:postalCode"),
    )
    seen.rest(node)
    if coverage.unmapped:
        raise InvalidValue(f"{coverage.unmapped[0][:128]} cannot be searched by here")
    return query


def _number(text: str) -> str:
    digits = text.replace(" ", "")
    if not is_valid(digits):
        raise InvalidValue("The NHS number is none")
    return digits


def _value(within: Element, name: str, semantics: str, /, **attributes: str) -> Element:
    parameter = _add(within, name)
    _add(parameter, "semanticsText").text = semantics
    return etree.SubElement(parameter, tag("value"), attributes)


def _add(within: Element, name: str) -> Element:
    return etree.SubElement(within, tag(name))
