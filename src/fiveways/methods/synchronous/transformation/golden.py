"""Golden files: what a transformer is to make of requests and answers, in a folder, to be looked at and kept under version control.

A case is the files that share a name:

    NAME.request.EXT     what the consumer sends: the body of a POST; or with .http, a request line, fields, an empty line, the body
    NAME.asked.EXT       what the back end is asked: the body of a POST; with method and path before it where it is something else
    NAME.answered.EXT    what the back end answers: the body of a 200; or with .http, a status line, fields, an empty line, the body
    NAME.response.EXT    what the consumer is answered

The first is needed, the others are compared where they are there. A clock stands still meanwhile, and ids are those of the case.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fiveways.clock import Clock, ManualClock
from fiveways.correlation import new_id
from fiveways.errors import Fault, FivewaysError
from fiveways.fhir.outcome import operation_outcome
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Transformer

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_TYPES = {
    ".hl7": "application/hl7-v2", ".json": "application/fhir+json", ".xml": "application/xml", ".txt": "text/plain",
}  # fmt: skip


class NoGolden(FivewaysError):
    """A folder has no case that could be tested, or a file of one cannot be read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not what is made. `diff`: lines, as `diff -u` has them; '' where the file is not there."""

    file: Path
    diff: str
    made: bytes
    missing: bool = False


def clock() -> Clock:
    """The clock of golden files."""
    return ManualClock(NOW)


def cases(folder: Path) -> list[Path]:
    """The requests in a folder. Raises NoGolden where there are none."""
    found = sorted(file for file in folder.glob("*.request.*") if file.is_file())
    if not found:
        raise NoGolden(f"{folder} has no NAME.request.EXT")
    return found


def differences(transformer: Transformer, request: Path) -> Iterator[Difference]:
    """What a case's files have otherwise than the transformer makes it."""
    name = request.name.partition(".request.")[0]
    asked = _request(request, name)
    answered_file = next(iter(sorted(request.parent.glob(f"{name}.answered.*"))), None)
    try:
        said = transformer.ask(asked)
        if isinstance(said, Answered):
            yield from _compared(request, name, "response", said.content)
            return
        yield from _compared(request, name, "asked", _written(said))
        if answered_file is None:
            return
        response = transformer.answer(asked, _answer(answered_file))
    except Fault as fault:
        refused = transformer.refuse(asked, fault)
        response = refused or Answered(fault.status, "application/fhir+json", operation_outcome(fault, new_id()))
    yield from _compared(request, name, "response", response.content)


def _written(said: Asked) -> bytes:
    """What the back end is asked: the body, where all else is as in most requests; else with method, path and query before it."""
    if said.method == "POST" and not said.path and not said.query:
        return said.content
    query = f"?{urlencode(said.query)}" if said.query else ""
    return f"{said.method} {said.path}{query}\n\n".encode() + said.content


def _compared(request: Path, name: str, role: str, made: bytes) -> Iterator[Difference]:
    file = next(iter(sorted(request.parent.glob(f"{name}.{role}.*"))), None)
    if file is None:
        yield Difference(request.with_name(f"{name}.{role}{_extension(made)}"), "", made, missing=True)
        return
    expected, found = _lines(file.read_bytes()), _lines(made)
    if expected != found:
        diff = difflib.unified_diff(expected, found, file.name, "made now", lineterm="")
        yield Difference(file, "\n".join(diff), made)


def _lines(content: bytes) -> list[str]:
    """A content as lines, so that what is the same in JSON is the same here."""
    try:
        document: Any = json.loads(content, parse_float=str)  # 72.50 is not 72.5
    except (ValueError, RecursionError):
        return content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    if isinstance(document, dict) and document.get("resourceType") == "OperationOutcome":
        document.pop("id", None)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).split("\n")


def _extension(content: bytes) -> str:
    start = content.lstrip()[:1]
    return {b"{": ".json", b"<": ".xml", b"M": ".hl7"}.get(start, ".txt")


def _request(file: Path, name: str) -> Asked:
    content = file.read_bytes()
    if file.suffix != ".http":
        return Asked("POST", "", {}, _TYPES.get(file.suffix, "application/octet-stream"), _body(file.suffix, content), id=name)
    line, fields, body = _http(file, content)
    try:
        method, target = line.split()[:2]
    except ValueError:
        raise NoGolden(f"{file}: expected a request line such as GET /Patient?identifier=1") from None
    path, _, query = target.partition("?")
    return Asked(method, path, dict(parse_qsl(query, keep_blank_values=True)), fields.get("content-type", ""), body, fields, name)


def _answer(file: Path) -> Answered:
    content = file.read_bytes()
    if file.suffix != ".http":
        return Answered(200, _TYPES.get(file.suffix, "application/octet-stream"), _body(file.suffix, content))
    line, fields, body = _http(file, content)
    status = line.removeprefix("HTTP/1.1").split()[:1]
    if not status or not status[0].isdigit():
        raise NoGolden(f"{file}: expected a status line such as 404 Not Found")
    return Answered(int(status[0]), fields.get("content-type", ""), body, fields)


def _http(file: Path, content: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, *fields = head.decode("utf-8").split("\n")
    named = dict(field.split(":", 1) for field in fields if ":" in field)
    return line, {name.strip().lower(): value.strip() for name, value in named.items()}, body


def _body(suffix: str, content: bytes) -> bytes:
    """A message as it is on the wire: an editor ends its segments with line feeds, and the last with one too many."""
    return content.replace(b"\r\n", b"\r").replace(b"\n", b"\r") if suffix == ".hl7" else content
