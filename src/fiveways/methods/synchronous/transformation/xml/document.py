"""XML documents from elsewhere, read so that they can do no harm, and written.

What has a DOCTYPE is refused where it begins: there are no entities to be expanded, and nothing is fetched. Size, depth, and the
numbers of elements and attributes are bounded before a tree is built. The encoding is settled first, once, so that whoever reads
after that reads the same text (RFC 7303 §3: a byte order mark, then the media type's charset, then the declaration).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from lxml import etree

Element = etree._Element  # noqa: SLF001 (lxml has no other name for it)
"""An element of a document."""


class XmlRefused(ValueError):
    """A document that is not read; the text says why, and nothing of what the document says."""


class XmlTooLarge(XmlRefused):
    """A document that is over one of the limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may have."""

    size: int = 8 * 2**20
    """Bytes, as received."""
    depth: int = 100
    """Elements within each other."""
    elements: int = 100_000
    attributes: int = 64
    """Of one element, declarations of namespaces among them."""
    name: int = 256
    """Characters of a name, that of its namespace included."""


LIMITS: Final = Limits()
_BOMS: Final = ((codecs.BOM_UTF32_LE, ""), (codecs.BOM_UTF32_BE, ""), (codecs.BOM_UTF8, "utf-8"),
                (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
_READ: Final = re.compile(r"utf-8|ascii|utf-16(-[lb]e)?|iso8859-(\d|1[013-6])|cp125\d")
"""Encodings that are read, as Python calls them: no others mean one thing only."""
_DECLARED: Final = re.compile(
    rb"<\?xml[ \t\r\n][^>]{0,200}?encoding[ \t\r\n]{0,9}=[ \t\r\n]{0,9}"
    rb"[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']"
)
_DECLARATION: Final = re.compile(r"<\?xml[ \t\r\n][^>]*?\?>")


def parse(content: bytes, charset: str = "", limits: Limits = LIMITS) -> Element:
    """The root of a document. `charset`: what the media type says. Raises XmlRefused.

    Comments and processing instructions say nothing here, and are left out.
    """
    if len(content) > limits.size:
        raise XmlTooLarge(f"the XML is longer than {limits.size} bytes")
    text = _decoded(content, charset)
    declaration = _DECLARATION.match(text)
    if declaration is not None:
        # Blanks in its place: lines and columns stay what they are.
        text = "".join("\n" if each == "\n" else " " for each in declaration[0]) + text[declaration.end() :]
    plain = text.lstrip("\ufeff").encode()
    _Bounds(limits).check(plain)
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True, recover=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(plain.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise XmlRefused("the XML is not well-formed") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused("the XML has a DOCTYPE")
    return root


def make(tag: str, prefixes: Mapping[str | None, str] | None = None) -> Element:
    """A new root. `prefixes` of namespaces: None is the one without."""
    return etree.Element(tag, nsmap=prefixes)  # type: ignore[arg-type]  # lxml takes None for a prefix


def serialize(root: Element) -> bytes:
    """A document in UTF-8, with its declaration."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def charset_of(content_type: str) -> str:
    """The charset that a media type names, '' where it names none."""
    match = re.search(r";\s*charset\s*=\s*\"?([^\s\";]+)", content_type, re.IGNORECASE)
    return match[1] if match is not None else ""


def _decoded(content: bytes, charset: str) -> str:
    encoding, start = _encoding(content, charset)
    try:
        known = codecs.lookup(encoding).name
    except LookupError:
        known = ""
    if not _READ.fullmatch(known):
        raise XmlRefused("the XML is in an encoding that is not read here")
    if known == "utf-16":
        known = "utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"
    try:
        return content[start:].decode(known)
    except UnicodeDecodeError:
        raise XmlRefused(f"the XML is not in {known}, which it is said to be in") from None


def _encoding(content: bytes, charset: str) -> tuple[str, int]:
    """The name of the encoding, and where the text begins."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding, len(mark)
    if charset:
        return charset, 0
    if content[:4] in (b"<\x00?\x00", b"\x00<\x00?") or content[:2] in (b"<\x00", b"\x00<"):
        return "utf-16", 0
    declared = _DECLARED.match(content)
    if declared is None:
        return "utf-8", 0
    name = declared[1].decode("ascii")
    # A declaration that can be read byte by byte is not in an encoding of two bytes each.
    return ("", 0) if name.lower().startswith(("utf-16", "utf_16", "ucs", "iso-10646")) else (name, 0)


class _Bounds:
    """Reads a document to its end, and builds nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._depth = self._elements = 0
        self._parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self._parser.namespace_prefixes = False
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartNamespaceDeclHandler = self._declare
        self._declared = 0

    def check(self, content: bytes) -> None:
        """Raise XmlRefused where it is not well-formed, has a DOCTYPE, or is over a limit."""
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            raise XmlRefused(f"the XML is not well-formed ({what}) at line {error.lineno}, column {error.offset + 1}") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        limits = self._limits
        self._depth += 1
        self._elements += 1
        declared, self._declared = self._declared, 0
        if self._depth > limits.depth:
            raise XmlTooLarge(f"the XML is nested more than {limits.depth} deep")
        if self._elements > limits.elements:
            raise XmlTooLarge(f"the XML has more than {limits.elements} elements")
        if len(attributes) + declared > limits.attributes:
            raise XmlTooLarge(f"an element has more than {limits.attributes} attributes")
        if len(name) > limits.name or any(len(each) > limits.name for each in attributes):
            raise XmlTooLarge(f"a name has more than {limits.name} characters")

    def _end(self, name: str) -> None:
        self._depth -= 1

    def _declare(self, prefix: str | None, uri: str) -> None:
        self._declared += 1


def _refuse_doctype(name: str, system_id: str | None, public_id: str | None, has_internal_subset: bool) -> None:
    raise XmlRefused("the XML has a DOCTYPE")
