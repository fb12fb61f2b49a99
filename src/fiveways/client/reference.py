"""What FHIR content says of itself and of the message that it answers (R4 MessageHeader, §2.4), in JSON or XML.

Only the header is made into objects: JSON is read where it lies (a file is mapped, not loaded), XML until its first entry ends.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import IO, Any
from xml.parsers import expat

import msgspec

_PIECE = 64 * 1024
_NAMESPACE = "http://hl7.org/fhir"
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Reference:
    """A FHIR message: `ids` it may be called by, the id of the message it `answers` ('' if none), and with which `code`.

    Ids are in lower case, without `urn:uuid:`. What an answer quotes is the request's MessageHeader.id (R4) or Bundle.identifier
    (R5), so that both count. `code` is ok, transient-error or fatal-error.
    """

    ids: tuple[str, ...] = ()
    answers: str = ""
    code: str = ""


def reference_of(content: IO[bytes]) -> Reference | None:
    """What FHIR message is in `content`, from its beginning; None where there is none. Leaves `content` at its beginning."""
    content.seek(0)
    start = content.read(_PIECE).removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)[:1]
    content.seek(0)
    try:
        if start == b"{":
            return _of_json(content)
        return _of_xml(content) if start == b"<" else None
    except (msgspec.MsgspecError, expat.ExpatError, UnicodeError, _NotRead):
        return None
    finally:
        content.seek(0)


def plain(value: str) -> str:
    """An id as it is compared."""
    return value.strip().lower().removeprefix("urn:uuid:")


# --- JSON -------------------------------------------------------------------------------------------------------------------


class _Identifier(msgspec.Struct):
    value: str = ""


class _Response(msgspec.Struct):
    identifier: str | _Identifier = ""
    code: str = ""


class _Resource(msgspec.Struct, rename={"kind": "resourceType"}):
    kind: str = ""
    id: str = ""
    response: Any = None


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Bundle(msgspec.Struct, rename={"kind": "resourceType"}):
    kind: str = ""
    identifier: _Identifier | None = None
    entry: list[_Entry] = []


_bundle = msgspec.json.Decoder(_Bundle)


def _of_json(content: IO[bytes]) -> Reference | None:
    mapped = _mapped(content)
    if mapped is None:
        bundle = _bundle.decode(content.read().removeprefix(b"\xef\xbb\xbf"))
    else:
        with mapped:
            bundle = _bundle.decode(mapped)
    header = bundle.entry[0].resource if bundle.entry else None
    if bundle.kind != "Bundle" or header is None or header.kind != "MessageHeader":
        return None
    response = msgspec.convert(header.response or {}, _Response)
    answers = response.identifier if isinstance(response.identifier, str) else response.identifier.value
    return _made(header.id, bundle.identifier.value if bundle.identifier else "", answers, response.code)


def _mapped(content: IO[bytes]) -> mmap.mmap | None:
    """The content as its file has it; None where it is in memory anyway."""
    try:
        return mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None


def _made(id_: str, identifier: str, answers: str, code: str) -> Reference:
    ids = tuple(dict.fromkeys(found for each in (id_, identifier) if (found := plain(each))))
    return Reference(ids, plain(answers), code)


# --- XML --------------------------------------------------------------------------------------------------------------------


class _NotRead(Exception):
    """Content that is not looked into: a document type could have entities that grow without end."""


class _Header:
    """Collects what the header says while a parser goes through a Bundle."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self.done = False
        self.found: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._path.append(local if namespace == _NAMESPACE else f"{namespace} {local}")
        self.done = self.done or self._path[0] != "Bundle"
        if not self.done and "value" in attributes:
            self.found.setdefault("/".join(self._path[1:]), attributes["value"])

    def end(self, _: str) -> None:
        if self._path == ["Bundle", "entry", "resource", "MessageHeader"]:
            self.found["whole"] = "yes"
        if self._path == ["Bundle", "entry"]:
            self.done = True
        self._path.pop()


def _of_xml(content: IO[bytes]) -> Reference | None:
    parser, header = expat.ParserCreate(namespace_separator=" "), _Header()
    parser.StartElementHandler = header.start
    parser.EndElementHandler = header.end
    parser.StartDoctypeDeclHandler = _refuse
    while not header.done and (piece := content.read(_PIECE)):
        parser.Parse(piece)
    found, below = header.found, "entry/resource/MessageHeader"
    if "whole" not in found:
        return None
    answers = found.get(f"{below}/response/identifier") or found.get(f"{below}/response/identifier/value", "")
    return _made(found.get(f"{below}/id", ""), found.get("identifier/value", ""), answers, found.get(f"{below}/response/code", ""))


def _refuse(*_: object) -> None:
    raise _NotRead
