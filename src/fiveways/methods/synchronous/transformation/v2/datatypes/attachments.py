"""Documents within a value (ED), and pointers to them (RP), as FHIR's attachments."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import ALTERNATE_CODES, Context, Own, Resource, Table

_MAIN = {
    "AP": "application", "APPLICATION": "application", "AU": "audio", "AUDIO": "audio", "IM": "image", "IMAGE": "image",
    "TEXT": "text", "TX": "text", "FT": "text", "MULTIPART": "multipart", "VIDEO": "video",
}  # fmt: skip
"""Main types of media by HL7's types of data (table 0191)."""
_BY_SUBTYPE = {
    "PDF": "application/pdf", "JPEG": "image/jpeg", "JPG": "image/jpeg", "GIF": "image/gif", "PNG": "image/png",
    "TIFF": "image/tiff", "TIF": "image/tiff", "RTF": "application/rtf", "HTML": "text/html", "XML": "application/xml",
    "DICOM": "application/dicom", "OCTET-STREAM": "application/octet-stream", "BASIC": "audio/basic",
    "POSTSCRIPT": "application/postscript", "SGML": "text/sgml",
}  # fmt: skip
"""Types of media by HL7's subtypes (table 0291), where the type of data does not say more."""
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*")
_SPACE = re.compile(r"\s+")
TEXT = "text/plain; charset=utf-8"


_MOVED = {2: "the main type of media", 3: "the subtype of media", 4: "Base64"}


def media_type(kind: str, subtype: str) -> str:
    """FHIR's type of media for HL7's type of data and its subtype; '' where they name none."""
    main = _MAIN.get(kind.upper(), "")
    if main and subtype and _TOKEN.fullmatch(subtype):
        return f"{main}/{subtype.lower()}"
    known = _BY_SUBTYPE.get(subtype.upper()) or ("" if subtype else _BY_SUBTYPE.get(kind.upper(), ""))
    return known or ("text/plain" if main == "text" and not subtype else "")


def plain(text: str) -> Resource:
    """A text as an attachment."""
    return {"contentType": TEXT, "data": b64encode(text.encode()).decode()}


def text_of(attachment: Resource) -> str | None:
    """The text that an attachment holds; None where it holds another kind of document, or none."""
    kind = str(attachment.get("contentType") or "")
    if kind.replace(" ", "").lower() not in ("text/plain", "text/plain;charset=utf-8") or not attachment.get("data"):
        return None
    try:
        return b64decode(attachment["data"], validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return None


def _data(text: str, encoding: str) -> str:
    match encoding.strip().upper():
        case "A" | "ASCII":
            return b64encode(text.encode()).decode()
        case "HEX":
            return b64encode(bytes.fromhex(text)).decode()
        case "BASE64" | "":
            packed = _SPACE.sub("", text)
            try:
                b64decode(packed, validate=True)
            except binascii.Error as error:
                raise ValueError(f"expected base64: {str(error).lower()}") from error
            return packed
    raise ValueError(f"found the encoding {encoding!r}, expected A, Hex or Base64")


def _read_type(kind: str, subtype: str, attachment: Resource) -> None:
    """Put the type of media; what the two name beyond it is kept beside it."""
    known = media_type(kind, subtype)
    if known:
        attachment["contentType"] = known
    if (kind and kind.upper() not in _MAIN and kind.upper() not in _BY_SUBTYPE) or (subtype and not known):
        kept = {"url": ALTERNATE_CODES, "valueCodeableConcept": {"text": f"{kind}/{subtype}"}}
        attachment["_contentType"] = {"extension": [kept]}


def _read_ed(part: Part, into: Resource, context: Context) -> None:
    attachment: Resource = {}
    _read_type(part.get(2), part.get(3), attachment)
    encoding, text = part.get(4), part.get(5)
    if text:
        attachment["data"] = _data(text, encoding)
    if attachment:
        into["attachment"] = attachment


def _write_type(attachment: Resource, part: Part, components: tuple[int, int]) -> None:
    kept = element.get(attachment, "_contentType.extension[0].valueCodeableConcept.text")
    main, _, subtype = str(kept or attachment.get("contentType") or "").partition(";")[0].partition("/")
    for component, text in zip(components, (main, subtype), strict=True):
        if text:
            part.set(text, component)


def _write_ed(resource: Resource, part: Part, context: Context) -> None:
    attachment = resource.get("attachment") or {}
    _write_type(attachment, part, (2, 3))
    part.set("Base64", 4)
    part.set(attachment.get("data") or "", 5)


ED = Table(
    "ED",
    "Attachment",
    (
        Own(
            (2, 3, 4, 5),
            "A document: its type of media, and what it holds as base64 whatever it came as.",
            _read_ed,
            _write_ed,
            moved=_MOVED,
        ),
    ),
)


def _read_rp(part: Part, into: Resource, context: Context) -> None:
    attachment: Resource = {}
    _read_type(part.get(3), part.get(4), attachment)
    if url := part.get(1).strip():
        if _SPACE.search(url):
            raise ValueError("expected a URL")
        attachment["url"] = url
    if attachment:
        into["attachment"] = attachment


def _write_rp(resource: Resource, part: Part, context: Context) -> None:
    attachment = resource.get("attachment") or {}
    part.set(attachment.get("url") or "", 1)
    _write_type(attachment, part, (3, 4))


RP = Table(
    "RP",
    "Attachment",
    (Own((1, 3, 4), "Where a document is, and its type of media.", _read_rp, _write_rp, moved={3: _MOVED[2], 4: _MOVED[3]}),),
)
