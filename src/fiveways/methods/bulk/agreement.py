"""What is agreed of a feed's files, applied to their names, and what their senders say of them: manifests, digests, trailers.

A manifest is JSON: `{"files": [{"name": "a.csv", "size": 12, "sha256": "…", "records": 3}]}`; of each file only its
name has to be there. A digest beside a file has the form of `sha256sum`: the digest in hexadecimal, two spaces, the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

import msgspec

from fiveways.methods.bulk.settings import FeedSettings

Role = Literal["data", "manifest", "marker", "sidecar"]
LARGEST_MANIFEST: Final = 8 * 2**20
"""Bytes of a manifest."""
MOST_LISTED: Final = 1000
"""Files of one manifest."""
LARGEST_SIDECAR: Final = 64 * 1024
"""Bytes of a digest beside a file."""
LONGEST_TRAILER: Final = 64 * 1024
"""Bytes at the end of a file among which its last line is looked for."""
_LARGEST: Final = 2**53
_LENGTHS: Final = {"sha256": 64, "blake3": 64}

_Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]


class Disagreement(ValueError):
    """What a sender says cannot be read, or contradicts itself; the text is for its people."""


class Listed(msgspec.Struct, frozen=True):
    """A file, as a manifest has it."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[^/\x00-\x1f\x7f]{1,255}\Z")]
    size: _Count | None = None
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | None = None
    blake3: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | None = None
    records: _Count | None = None


class Manifest(msgspec.Struct, frozen=True):
    """Which files belong together, and what is in them."""

    files: Annotated[list[Listed], msgspec.Meta(min_length=1, max_length=MOST_LISTED)]


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sender says of a file."""

    size: int | None = None
    sha256: str | None = None
    blake3: str | None = None
    records: int | None = None
    said_by: tuple[str, ...] = ()
    """By what: `manifest`, `sidecar`, `marker`, `trailer`."""
    together: tuple[str, ...] = ()
    """The files of its manifest, which are complete together."""
    unreadable: str = ""
    """Why what was said cannot be read."""
    heard: tuple[str, ...] = ()
    """The contents of the files that said so, by which it is known what was heard already."""

    def also(self, other: Claims) -> Claims:
        """Both. Raises Disagreement where they contradict each other."""
        both: dict[str, object] = {}
        for name in ("size", "sha256", "blake3", "records"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine != theirs:
                raise Disagreement(f"two things are said of its {name}")
            both[name] = mine if mine is not None else theirs
        said, heard = (tuple(dict.fromkeys(each)) for each in ((*self.said_by, *other.said_by), (*self.heard, *other.heard)))
        return msgspec.structs.replace(
            self, **both, said_by=said, together=self.together or other.together, unreadable=self.unreadable or other.unreadable,
            heard=heard,
        )  # fmt: skip


def combined(first: Claims, second: Claims) -> Claims:
    """What is said in two ways; where they contradict each other, that is what is said."""
    try:
        return first.also(second)
    except Disagreement as reason:
        heard = tuple(dict.fromkeys((*first.heard, *second.heard)))
        return msgspec.structs.replace(first, unreadable=str(reason), heard=heard)


encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Claims).decode
_manifest: Final = msgspec.json.Decoder(Manifest).decode


def decode(claims: bytes | None) -> Claims:
    """Claims as a row has them."""
    return _decode(claims) if claims else Claims()


class Agreement:
    """What is agreed of one feed."""

    def __init__(self, feed: str, settings: FeedSettings) -> None:
        self.feed = feed
        self.settings = settings
        self.folder = settings.folder or f"/{feed}"
        complete = settings.complete_when
        self._manifest = complete.manifest
        self._trailer = re.compile(complete.trailer) if complete.trailer is not None else None
        self._sequence = re.compile(settings.sequence) if settings.sequence is not None else None
        before, _, behind = (complete.marker or "").partition("{name}")
        self._marker = (before, behind) if complete.marker is not None else None
        digest = settings.digest
        self._sidecar = f".{digest.algorithm}" if digest is not None and digest.said_by == "sidecar" else None

    def role(self, name: str) -> tuple[Role, str] | None:
        """What a file of this name is to the feed, and the name of the file that it is about; None where it is nothing to it."""
        if self._manifest is not None and fnmatchcase(name, self._manifest):
            return "manifest", ""
        if self._marker is not None:
            before, behind = self._marker
            about = name[len(before) : len(name) - len(behind)]
            if name.startswith(before) and name.endswith(behind) and len(name) > len(before) + len(behind) and self._is_data(about):
                return "marker", about
        if self._sidecar is not None and name.endswith(self._sidecar) and self._is_data(about := name.removesuffix(self._sidecar)):
            return "sidecar", about
        return ("data", name) if self._is_data(name) else None

    def _is_data(self, name: str) -> bool:
        """As in a shell, a name that begins with a dot is meant only by a pattern that does: it is some client's temporary one."""
        return fnmatchcase(name, self.settings.files) and (not name.startswith(".") or self.settings.files.startswith("."))

    def sequence(self, name: str) -> int | None:
        """A file's number in the feed's sequence. Raises Disagreement where its name should have one and has not."""
        if self._sequence is None:
            return None
        match = self._sequence.search(name)
        number = match["sequence"] if match is not None else ""
        if not number or not number.isascii() or not number.isdigit() or len(number) > 18:
            raise Disagreement("its name has no number where the feed's sequence is")
        return int(number)

    def manifest(self, content: bytes) -> dict[str, Claims]:
        """What a manifest says of each file. Raises Disagreement."""
        try:
            said = _manifest(content)
        except msgspec.ValidationError as error:
            raise Disagreement(f"the manifest is not as agreed: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Disagreement("the manifest is not JSON") from None
        names = [file.name for file in said.files]
        if len(set(names)) < len(names):
            raise Disagreement("the manifest lists a file twice")
        strange = [name for name in names if not self._is_data(name) or self.role(name) != ("data", name)]
        if strange:
            raise Disagreement("the manifest lists files that are not of this feed")
        together = tuple(names)
        return {
            file.name: Claims(
                file.size, _lower(file.sha256), _lower(file.blake3), file.records, said_by=("manifest",), together=together
            )
            for file in said.files
        }

    def sidecar(self, content: bytes, about: str) -> Claims:
        """What a digest beside a file says. Raises Disagreement."""
        assert self.settings.digest is not None
        algorithm = self.settings.digest.algorithm
        text = content.decode("utf-8", "replace").strip("\r\n \t\ufeff")
        match = re.fullmatch(r"\\?([0-9a-fA-F]++)(?:[ \t]++\*?(.*))?", text)
        if match is None or len(match[1]) != _LENGTHS[algorithm]:
            raise Disagreement(f"the digest beside it is not one of {algorithm}, in hexadecimal")
        if match[2] and match[2].rpartition("/")[2] != about:
            raise Disagreement("the digest beside it is that of another file")
        said = match[1].lower()
        return Claims(
            sha256=said if algorithm == "sha256" else None, blake3=said if algorithm == "blake3" else None, said_by=("sidecar",)
        )

    def trailer(self, end: bytes) -> Claims:
        """What a file's last line says; `end`: the last bytes of it. Raises Disagreement where there is no trailer."""
        assert self._trailer is not None
        line = end.rstrip(b"\r\n").rpartition(b"\n")[2].decode("utf-8", "replace").strip("\r")
        match = self._trailer.fullmatch(line)
        if match is None:
            raise Disagreement("its last line is not the trailer that was agreed: it is not complete")
        number = match.groupdict().get("records")
        if number is None:
            return Claims(said_by=("trailer",))
        if not number.isascii() or not number.isdigit() or len(number) > 15:
            raise Disagreement("its trailer has no number where that of its records should be")
        return Claims(records=int(number), said_by=("trailer",))

    @property
    def has_trailer(self) -> bool:
        """Whether its files end with a trailer."""
        return self._trailer is not None


def _lower(digest: str | None) -> str | None:
    return digest.lower() if digest is not None else None


class Agreements:
    """The feeds of a deployment, by where their files come."""

    def __init__(self, feeds: Mapping[str, FeedSettings]) -> None:
        self.by_feed = {name: Agreement(name, settings) for name, settings in feeds.items()}
        self._by_place: dict[tuple[str, str], list[Agreement]] = {}
        for agreement in self.by_feed.values():
            self._by_place.setdefault((agreement.settings.sender, agreement.folder), []).append(agreement)

    def of(self, partner: str, folder: str, name: str) -> tuple[Agreement, Role, str] | None:
        """The feed that a file belongs to, what it is to it, and the name of the file that it is about."""
        for agreement in self._by_place.get((partner, folder), ()):
            role = agreement.role(name)
            if role is not None:
                return agreement, *role
        return None

    def folders(self, partner: str) -> list[str]:
        """The folders that a partner has for its feeds: those that it sends, and those that it collects."""
        found = [agreement.folder for agreement in self.by_feed.values() if agreement.settings.sender == partner]
        for agreement in self.by_feed.values():
            found += [to.folder or f"/{agreement.feed}" for to in agreement.settings.to if to.partner == partner]
            receipt = agreement.settings.receipt
            if receipt is not None and receipt.folder is not None and agreement.settings.sender == partner:
                found.append(receipt.folder)
        return list(dict.fromkeys(found))
