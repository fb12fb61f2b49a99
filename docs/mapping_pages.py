"""What HL7 v2 becomes in FHIR and what comes back, from the tables that do it: one page, a section a segment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from reference_pages import table

from fiveways.methods.synchronous.transformation.v2.coverage import IGNORED, UNSAID, Field, fields
from fiveways.methods.synchronous.transformation.v2.messages import READ


def message_types(_: Path) -> str:
    """Every type and event that is read and written, with the segments that tables read of it."""
    rows = []
    for kind in sorted(READ):
        found = [each for each in fields(kind) if each.element != UNSAID]
        segments = dict.fromkeys(each.path.partition("-")[0] for each in found)
        back = sum(each.back for each in found)
        rows.append((f"`{kind}`", ", ".join(f"[{name}](#{name.lower()})" for name in segments), f"{len(found)}", f"{back}"))
    return table(("Message", "Segments", "Fields and components", "Come back"), rows)


def segments(_: Path) -> str:
    """Each segment's fields, with the element that each is."""
    known: dict[str, dict[str, Field]] = {}
    for kind in READ:
        for each in fields(kind):
            known.setdefault(each.path.partition("-")[0], {}).setdefault(each.path, each)
    return "\n\n".join(_segment(name, known[name].values()) for name in sorted(known))


def _segment(name: str, found: Iterable[Field]) -> str:
    rows = list(_rows(found))
    return f"### {name}\n\n" + table(("Field", "FHIR R4", "Comes back"), rows)


def _rows(found: Iterable[Field]) -> Iterator[tuple[str, ...]]:
    for number, parts in groupby(sorted(found, key=_order), key=lambda each: each.path.partition(".")[0]):
        mine = list(parts)
        whys = "; ".join(dict.fromkeys(each.why for each in mine if each.why))
        if mine[0].element == IGNORED:
            yield f"`{number}`", "nothing of its own", whys
            continue
        if mine[0].element == UNSAID:
            yield f"`{number}`", "not mapped", whys
            continue
        if len({each.element for each in mine}) == 1:
            places = [each.path.partition(".")[2] for each in mine]
            said = f"`{mine[0].element}`" + (f": {places[0]} to {places[-1]}" if len(mine) > 1 else "")
        else:
            common = _common([each.element for each in mine])
            below = ", ".join(f"{each.path.partition('.')[2]} `{_within(each.element, common)}`" for each in mine)
            said = f"`{common}`: {below}" if common else below
        back = "yes" if all(each.back for each in mine) else "in part" if any(each.back for each in mine) else "no"
        yield f"`{number}`", said, f"{back}: {whys}" if whys else back


def _within(element: str, common: str) -> str:
    return element.removeprefix(common).lstrip(".") or "·"


def _common(elements: list[str]) -> str:
    """The element that all of these are within."""
    steps = [each.split(".") for each in elements]
    shared = []
    for names in zip(*steps, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)


def _order(each: Field) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", each.path.partition("-")[2]))
