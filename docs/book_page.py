"""The book's page: which statement is answered where, what shows it, and what is due, from `book.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from reference_pages import stacked, table

from fiveways.platform.model import Deployment

Kind = Literal["setting", "rule", "command", "page", "code", "advice"]
Due = Literal["console", "fhir"]

CHAPTERS = (
    ("What synchronous calls are for", "S1", "S24"),
    ("Repeats and idempotency", "S25", "S29"),
    ("The gateway", "S30", "S36"),
    ("Patterns and pass-through", "S37", "S43"),
    ("Orchestration and FHIR http", "S44", "S56"),
    ("The transformation façade", "S57", "S60"),
    ("The wrapper façade and its debt", "S61", "S71"),
    ("What asynchronous exchange is", "A1", "A16"),
    ("Providers that take their time", "A17", "A36"),
    ("Messaging through mailboxes", "A37", "A47"),
    ("HTTP exchange", "A48", "A69"),
    ("Bulk transfer", "B1", "B22"),
    ("Real time", "R1", "R8"),
)
"""What the statements are about, in their order: the first and the last of each."""

WORDS: Mapping[Due, str] = {"console": "With the console", "fhir": "With FHIR's paradigms"}
"""When what is due comes."""


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement: what it asks, what answers it, what shows that it does; or with what it will be answered."""

    asks: str
    how: str = ""
    answer: list[dict[Kind, str]] = []
    test: str | list[str] = []
    due: Due | None = None
    missing: str = ""

    @property
    def answers(self) -> Iterator[tuple[Kind, str]]:
        """What answers it, each with its kind."""
        for each in self.answer:
            yield from each.items()

    @property
    def tests(self) -> list[str]:
        """What shows it: a file, or `file::name`."""
        return [self.test] if isinstance(self.test, str) else self.test


def statements(docs: Path) -> dict[str, Statement]:
    """All of them, by id."""
    return msgspec.convert(tomllib.loads((docs / "book.toml").read_text()), dict[str, Statement])


def book(docs: Path) -> str:
    """A table for each chapter."""
    known = statements(docs)
    order = list(known)
    parts = []
    for title, first, last in CHAPTERS:
        rows = [_row(each, known[each]) for each in order[order.index(first) : order.index(last) + 1]]
        head = ("Statement", "What it asks, in our words", "Where it is answered", "What shows it")
        parts.append(f"## {title}: {first} to {last}\n\n{stacked(head, rows)}")
    return "\n\n".join(parts)


def due(docs: Path) -> str:
    """What is due, and with what it comes."""
    rows = [
        (each, statement.asks, f"{statement.missing}{' (the rest is there)' if statement.answer else ''}", WORDS[statement.due])
        for each, statement in statements(docs).items()
        if statement.due is not None
    ]
    return table(("Statement", "What it asks", "What is not there", "When it comes"), rows)


def counted(docs: Path) -> str:
    """How many are answered, in a sentence."""
    known = statements(docs).values()
    part = sum(each.due is not None and bool(each.answer) for each in known)
    none = sum(not each.answer for each in known)
    return f"Of its {len(known)} statements {len(known) - part - none} are answered, {part} in part, and {none} not yet."


def setting(path: str) -> tuple[str, dict[str, Any]]:
    """The model that a dotted path into the deployment file ends in, and what it says of the setting.

    A `*` is a name that the deployment chooses, `[]` one of a list. LookupError where there is no such setting.
    """
    at = [("Deployment", _schema())]
    for step in re.findall(r"\[\]|[^.\[\]]+", path):
        at = [found for model, each in at for found in _below(model, each, step)]
        if not at:
            raise LookupError(f"{path}: the deployment file has no {step} there")
    return next(_resolved(*at[0])) if path.endswith(("*", "]")) else at[0]


@cache
def _schema() -> dict[str, Any]:
    return Deployment.model_json_schema(by_alias=True)


def _below(model: str, here: dict[str, Any], step: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a step leads to from one place: several, where several kinds of value may stand there."""
    for name, each in _resolved(model, here):
        if step == "[]":
            if "items" in each:
                yield name, each["items"]
        elif step == "*":
            inner = each.get("additionalProperties")
            for value in [*each.get("patternProperties", {}).values(), *([inner] if isinstance(inner, dict) else [])]:
                yield name, value
        elif step in each.get("properties", {}):
            yield name, each["properties"][step]


def _resolved(model: str, here: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a place may be: references followed, alternatives apart."""
    if "$ref" in here:
        name = here["$ref"].rpartition("/")[2]
        yield from _resolved(name, _schema()["$defs"][name])
    elif inner := [each for key in ("anyOf", "oneOf", "allOf") for each in here.get(key, ())]:
        for each in inner:
            yield from _resolved(model, each)
    else:
        yield model, here


def _row(name: str, statement: Statement) -> tuple[str, str, str, str]:
    said = [statement.how] if statement.how else []
    said += [_link(kind, where) for kind, where in statement.answers]
    if statement.due is not None:
        said.append(f"[due](#what-is-due): {statement.missing}")
    shown = "<br>".join(_test(each) for each in statement.tests)
    return name, statement.asks, "; ".join(said), shown or "nothing yet"


def _link(kind: Kind, where: str) -> str:
    match kind:
        case "setting":
            return f"[`{where}`](reference/deployment-file.md#{setting(where)[0].lower()})"
        case "rule":
            return f"lint rule [{where}](reference/lint-rules.md#{where.lower()})"
        case "command":
            return f"[`fiveways {where}`](reference/command-line.md#fiveways-{where.replace(' ', '-')})"
        case "page":
            return f"[{_heading(where)}]({where})"
        case "advice":
            return f"advice [{where}](advisor.md#{where.lower()})"
        case "code":
            return f"`{where.removeprefix('src/fiveways/')}`"


def _heading(where: str) -> str:
    """What a page, or the section of it that is meant, is called."""
    file, _, anchor = where.partition("#")
    for title, given in headings((Path(__file__).parent / file).read_text()):
        if given == anchor or not anchor:
            return title
    raise LookupError(f"{where}: no such heading")


def headings(page: str) -> Iterator[tuple[str, str]]:
    """The headings of a page, each with the anchor that the site's builder gives it."""
    plain = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    for title in re.findall(r"^#+ (.+)$", plain, flags=re.MULTILINE):
        words, _, given = title.partition(" { #")
        yield words, given.removesuffix(" }") or _anchor(words)


def _anchor(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _test(where: str) -> str:
    """A test, by its name in words, and where it stands: a path that may be broken, as it is longer than a cell is wide."""
    file, _, name = where.partition("::")
    path = file.removeprefix("tests/").replace("/", "/<wbr>").replace("_", "_<wbr>")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words}<br><small>{path}</small>" if words else f"<small>{path}</small>"
