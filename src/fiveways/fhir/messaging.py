"""Whether content is a FHIR message: a Bundle of type `message` whose first entry is a MessageHeader (FHIR R4, Messaging).

JSON and XML are told apart by how they begin, whatever a sender called them, and are read to their end: what breaks off is no
message. XML with a DOCTYPE is refused where it begins (FHIR has no use for one), so that there are no entities to be expanded.
"""

from __future__ import annotations

import codecs
import re
from typing import Final
from xml.parsers import expat

import msgspec

NAMESPACE: Final = "http://hl7.org/fhir"
DEEPEST: Final = 200
"""Elements within each other; FHIR's own nest a tenth of that."""
_PIECE: Final = 256 * 1024
_BEGINNING: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*([{<])")


class NotAMessage(Exception):
    """Content is not a FHIR message; the text says in what it is not, and nothing of what it says."""


class _Resource(msgspec.Struct):
    resourceType: str = ""  # noqa: N815


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Bundle(msgspec.Struct):
    resourceType: str = ""  # noqa: N815
    type: str = ""
    entry: list[_Entry] = msgspec.field(default_factory=list)


_bundle: Final = msgspec.json.Decoder(_Bundle)


def require_message(content: bytes | bytearray) -> None:
    """Raise NotAMessage where `content` is not a FHIR message. Takes no more memory than a few copies of its entries' outlines."""
    begins = _BEGINNING.match(content)
    first = begins[1] if begins is not None else b""
    if first == b"{":
        _json(content)
    elif first == b"<":
        _Xml().read(content)
    else:
        raise NotAMessage("the content is neither JSON nor XML")


def _json(content: bytes | bytearray) -> None:
    try:
        _must_be_utf8(content)
        bundle = _bundle.decode(memoryview(content)[3:] if content.startswith(codecs.BOM_UTF8) else content)
    except msgspec.ValidationError:
        raise NotAMessage("the JSON is not a Bundle of resources") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotAMessage("the content is not well-formed JSON") from None
    except RecursionError:
        raise NotAMessage("the JSON is nested too deeply") from None
    header = bundle.entry[0].resource if bundle.entry else None
    _require(bundle.resourceType, bundle.type, header.resourceType if header is not None else "")


def _must_be_utf8(content: bytes | bytearray) -> None:
    """Raise UnicodeDecodeError where it is not (RFC 8259 §8.1): what the decoder passes over, it does not look at."""
    if content.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), _PIECE):
        decoder.decode(content[start : start + _PIECE], start + _PIECE >= len(content))


def _require(resource: str, kind: str, first: str) -> None:
    if resource != "Bundle":
        raise NotAMessage("the content is not a Bundle")
    if kind != "message":
        raise NotAMessage("the Bundle is not of type message")
    if first != "MessageHeader":
        raise NotAMessage("the first entry of the Bundle is not a MessageHeader")


class _Xml:
    """Reads XML to its end and notes what stands at `Bundle`, `Bundle/type/@value` and `Bundle/entry[1]/resource/*`.

    Once that is known only the depth is watched: what is open takes memory, and there may be a million elements to come.
    """

    def __init__(self) -> None:
        self._path: list[str] = []
        self._depth = 0
        self._entered = False
        """Whether the first entry is over."""
        self._resource = self._first = ""
        self._kind: str | None = None
        self._parser = expat.ParserCreate(namespace_separator="|")
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, content: bytes | bytearray) -> None:
        """Raise NotAMessage where the content is none."""
        try:
            for start in range(0, len(content), _PIECE):
                self._parser.Parse(bytes(content[start : start + _PIECE]), False)
            self._parser.Parse(b"", True)
        except expat.ExpatError:
            raise NotAMessage("the content is not well-formed XML") from None
        _require(self._resource, self._kind or "", self._first)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition("|")
        path = self._path
        path.append(local if namespace == NAMESPACE else f"|{name}")
        depth = len(path)
        if depth > DEEPEST:
            raise NotAMessage("the XML is nested too deeply")
        if depth == 1:
            self._resource = path[0]
        elif depth == 2 and path[1] == "type":
            self._kind = attributes.get("value", "") if self._kind is None else ""
        elif depth == 4 and not self._entered and path[1:3] == ["entry", "resource"]:
            self._first = path[3] if not self._first else "several"

    def _end(self, name: str) -> None:
        path = self._path
        if len(path) == 2 and path[1] == "entry":
            self._entered = True
            if self._kind is not None:
                self._parser.StartElementHandler = self._deeper
                self._parser.EndElementHandler = self._shallower
        path.pop()
        self._depth = len(path)

    def _deeper(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotAMessage("the XML is nested too deeply")

    def _shallower(self, name: str) -> None:
        self._depth -= 1


def _refuse_doctype(name: str, system_id: str | None, public_id: str | None, has_internal_subset: bool) -> None:
    raise NotAMessage("the XML has a DOCTYPE")
