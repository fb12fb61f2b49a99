"""A message on its way into a Bundle: the entries made so far, and which segments nobody has read yet.

An entry is found again by its identifier: what a message is about is updated (`PUT Patient?identifier=…`), what it only names is
made where it is not there yet (`POST` with `ifNoneExist`), and what it names and does not describe is referred to by a search
(FHIR R4 §3.1.0.7.2, conditional references).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from uuid_utils import UUID, uuid5

from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.datatypes.general import NHS_NUMBER
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Resource

_SPECIAL = re.compile(r"[\\,|$]")
"""Characters that a search value has another meaning for (FHIR R4 §3.1.1.3.4)."""
_PLAIN = re.compile(r"[\w:/.-]*\|[\w:/.-]*", re.ASCII)
"""A search value with nothing in it that would have to be quoted, but what stands between system and value."""
_NAMESPACE = UUID("6f6b7f0e-6a0c-5d0c-9b5e-2b8a0b9a4f11")
"""Of the names that entries have within a Bundle: the same message gives the same Bundle."""
_ENVELOPE = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 18))
"""Fields of MSH that say how the message travels and is to be read."""


class Reading:
    """One message, being read."""

    def __init__(self, message: Message, context: Context) -> None:
        self.message = message
        self.context = context
        self.coverage = Coverage()
        self.entries: list[Resource] = []
        self._known: dict[str, str] = {}
        self._by_url: dict[str, Resource] = {}
        self._seed = f"{message.get('MSH-4')} {message.control_id}"
        counts: Counter[str] = Counter()
        self._left: dict[int, tuple[str, Segment]] = {}
        for segment in message.segments:
            counts[segment.name] += 1
            number = counts[segment.name]
            self._left[id(segment)] = f"{segment.name}({number})" if number > 1 else segment.name, segment

    def read(self, table: SegmentTable, segment: Segment, into: Resource) -> Resource:
        """Put what a segment says into a resource, or an element of one; it is returned."""
        where, _ = self._left.pop(id(segment))
        table.read(segment, into, self.context, self.coverage, where)
        return into

    def apart(self, table: SegmentTable, segment: Segment, into: Resource) -> Coverage:
        """Put what a segment says, and count it apart: whoever takes it up adds it."""
        known, self.coverage = self.coverage, Coverage()
        try:
            self.read(table, segment, into)
            return self.coverage
        finally:
            self.coverage = known

    def where(self, segment: Segment) -> str:
        """The path of a segment that is not read yet: `OBX(2)`."""
        return self._left[id(segment)][0]

    def first(self, table: SegmentTable, into: Resource) -> bool:
        """Put what the first segment of the table's name says; False where there is none."""
        segment = self.message.segment(table.name)
        if segment is None or id(segment) not in self._left:
            return False
        self.read(table, segment, into)
        return True

    def done(self, segment: Segment) -> None:
        """Nothing more is to be read of a segment: what it says has been taken up otherwise."""
        self._left.pop(id(segment), None)

    def add(self, resource: Resource, *, named: bool = False, asked: str | None = None) -> str:
        """Make an entry; the reference to it. `named`: the message does no more than name it, so that what is there is not changed.
        What has the same identifier as an entry that is there already is that entry. `asked` is the search that finds it, where
        that is another than its identifier says; '' where nothing is to."""
        kind = resource["resourceType"]
        if asked is None:
            asked = search(resource)
        if asked and (known := self._known.get(asked)) is not None:
            return known
        request: Resource = {"method": "POST", "url": kind}
        if asked and named:
            request["ifNoneExist"] = asked.partition("?")[2]
        elif asked:
            request = {"method": "PUT", "url": asked}
        full_url = f"urn:uuid:{uuid5(_NAMESPACE, f'{self._seed} {len(self.entries) + 1}')}"
        entry: Resource = {"fullUrl": full_url, "resource": resource, "request": request}
        self.entries.append(entry)
        self._by_url[full_url] = entry
        if asked:
            self._known[asked] = full_url
        return full_url

    def find(self, resource: Resource) -> Resource | None:
        """The resource of the entry that has the same identifier as this one; None where there is none."""
        entry = self.entry(search(resource))
        return entry["resource"] if entry is not None else None

    def entry(self, asked: str) -> Resource | None:
        """The entry that a search finds; None where there is none."""
        return self._by_url.get(self._known.get(asked, ""))

    def entry_at(self, url: str) -> Resource | None:
        """The entry of a full URL; None where there is none."""
        return self._by_url.get(url)

    def finish(self) -> None:
        """Tell of the fields of segments that nobody has read."""
        for where, segment in self._left.values():
            known = _ENVELOPE if segment.name == "MSH" else frozenset()
            for number, text in enumerate(segment.fields):
                if number and text:
                    told = self.coverage.ignored if number in known else self.coverage.unmapped
                    told.append(f"{where}-{number}")
        self._left.clear()


def search(resource: Resource) -> str:
    """The search that finds a resource by its identifier: `Patient?identifier=system|value`; '' where it has none with a system.
    The NHS number goes before others."""
    best: Resource | None = None
    for each in _identifiers(resource):
        if each.get("system") and each.get("value"):
            best = best or each
            if each["system"] == NHS_NUMBER:
                best = each
                break
    if best is None:
        return ""
    asked = f"{best['system']}|{best['value']}"
    if _PLAIN.fullmatch(asked) is not None:
        asked = asked.replace("|", "%7C")
    else:
        asked = quote("|".join(_SPECIAL.sub(r"\\\g<0>", best[name]) for name in ("system", "value")), safe=":/")
    return f"{resource['resourceType']}?identifier={asked}"


def is_known(resource: Resource) -> bool:
    """Whether a resource can be found by an identifier."""
    return any(each.get("system") and each.get("value") for each in _identifiers(resource))


def _identifiers(resource: Resource) -> Sequence[Any]:
    found: Any = resource.get("identifier") or ()
    return (found,) if isinstance(found, dict) else found
