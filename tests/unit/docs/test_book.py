"""Each statement of the book has its place in docs/book.toml, and what is said to answer it, and to show that, is there."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fiveways.advisor.table import statements, table
from fiveways.linter.lint import all_rules

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CHAPTER = {"S": 71, "A": 69, "B": 22, "R": 8}
"""How many statements there are of each letter."""
STATEMENTS = [f"{letter}{number}" for letter, last in CHAPTER.items() for number in range(1, last + 1)]


@pytest.fixture(scope="module")
def docs() -> Iterator[dict[str, ModuleType]]:
    """The modules that make the pages, by name."""
    names = ("reference_pages", "book_page")
    before = sys.path.copy()
    sys.path.insert(0, str(DOCS))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:] = before
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def page(docs: dict[str, ModuleType]) -> ModuleType:
    return docs["book_page"]


@pytest.fixture(scope="module")
def book(page: ModuleType) -> dict[str, Any]:
    """The statements as they stand in the file."""
    known: dict[str, Any] = page.statements(DOCS)
    return known


def test_all_170_statements_are_there_in_their_order_and_no_other(book: dict[str, Any]) -> None:
    assert len(STATEMENTS) == 170
    assert list(book) == STATEMENTS


def test_every_statement_is_in_one_chapter_of_the_page(page: ModuleType) -> None:
    covered: list[str] = []
    for _, first, last in page.CHAPTERS:
        covered += STATEMENTS[STATEMENTS.index(first) : STATEMENTS.index(last) + 1]
    assert covered == STATEMENTS
    assert re.findall(r"^\| ([SABR]\d+) \|", page.book(DOCS), flags=re.MULTILINE) == STATEMENTS


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_answered_and_shown_or_due(book: dict[str, Any], name: str) -> None:
    statement = book[name]
    assert statement.asks
    assert bool(statement.answer) == bool(statement.tests), "an answer has a test, and a test is of an answer"
    assert statement.answer or statement.due, "what nothing answers is due"
    assert bool(statement.due) == bool(statement.missing), "what is due is named"
    assert all(len(each) == 1 for each in statement.answer)


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_answers_a_statement_is_there(docs: dict[str, ModuleType], book: dict[str, Any], name: str) -> None:
    for kind, where in book[name].answers:
        assert exists(docs, kind, where), f"{kind} {where}"


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_shows_a_statement_is_there(book: dict[str, Any], name: str) -> None:
    for where in book[name].tests:
        assert is_test(where), where


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_rule_that_rests_on_a_statement_is_among_its_answers(book: dict[str, Any], name: str) -> None:
    said = {where for kind, where in book[name].answers if kind == "rule"}
    assert {rule.id for rule in all_rules() if name in rule.statements} <= said


def test_the_advisor_says_it_in_the_same_words(book: dict[str, Any]) -> None:
    assert {name: book[name].asks for name in statements()} == statements()


def exists(docs: dict[str, ModuleType], kind: str, where: str) -> bool:
    """Whether there is what is said to answer."""
    match kind:
        case "setting":
            try:
                return bool(docs["book_page"].setting(where))
            except LookupError:
                return False
        case "rule":
            return where in {rule.id for rule in all_rules()}
        case "advice":
            return where in {rule.rule for rule in table().rules}
        case "command":
            return f"fiveways {where}" in {name for name, _ in docs["reference_pages"].commands()}
        case "page":
            file, _, anchor = where.partition("#")
            if not (DOCS / file).is_file():
                return False
            return not anchor or anchor in {each for _, each in docs["book_page"].headings((DOCS / file).read_text())}
        case _:
            return where.startswith("src/") and (ROOT / where).is_file()


def is_test(where: str) -> bool:
    """Whether it is a file of tests, or a test of it."""
    file, _, name = where.partition("::")
    if not (file.startswith("tests/") and (ROOT / file).is_file()):
        return False
    return bool(named_in(file)) if not name else name in named_in(file)


@cache
def named_in(file: str) -> set[str]:
    """The names of a file's tests."""
    defined = ast.parse((ROOT / file).read_text()).body
    functions = (each.name for each in defined if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {name for name in functions if name.startswith("test_")}


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("setting", "apis.*.patern"), ("setting", "apis.pattern"), ("setting", "apis.*.pattern.more"),
        ("setting", "feeds.*.to.partner"),
        ("rule", "GW99"), ("advice", "D20"), ("command", "bulk receipts"), ("command", "bulk"),
        ("page", "methods/none.md"), ("page", "client.md#nowhere"), ("code", "src/fiveways/none.py"), ("code", "pyproject.toml"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_noticed(docs: dict[str, ModuleType], kind: str, where: str) -> None:
    assert not exists(docs, kind, where)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("programme", "Deployment"), ("apis.*.need.intent", "Need"), ("feeds.*.to[].partner", "Collector"),
        ("workflows.*", "WorkflowSettings"),
        ("errands.*.done", "Pull"), ("apis.*.operations[].deduplicate.by", "Deduplicate"),
    ],
)  # fmt: skip
def test_a_setting_is_found_in_the_model_whose_it_is(page: ModuleType, path: str, model: str) -> None:
    assert page.setting(path)[0] == model


@pytest.mark.parametrize("where", ["tests/none.py", "docs/generate.py", "tests/unit/docs/test_book.py::test_none"])
def test_a_test_that_is_not_there_is_noticed(where: str) -> None:
    assert not is_test(where)


def test_what_is_due_is_on_the_page(page: ModuleType, book: dict[str, Any]) -> None:
    listed = re.findall(r"^\| ([SABR]\d+) \|", page.due(DOCS), flags=re.MULTILINE)
    assert listed == [name for name, statement in book.items() if statement.due]
    part = sum(bool(book[name].answer) for name in listed)
    whole = len(STATEMENTS) - len(listed)
    assert page.counted(DOCS) == (f"Of its 170 statements {whole} are answered, {part} in part, and {len(listed) - part} not yet.")
