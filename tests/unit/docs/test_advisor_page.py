"""The advisor's page says what the advisor decides by, all of it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from fiveways.advisor.table import table
from fiveways.deployment.need import Need

DOCS = Path(__file__).parents[3] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
RULES = [rule.rule for rule in table().rules]


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    """The module that makes it."""
    before = sys.path.copy()
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("advisor_page")
    finally:
        sys.path[:] = before
        for name in ("advisor_page", "drawing", "reference_pages"):
            sys.modules.pop(name, None)


def first_cells(drawn: str) -> list[str]:
    return re.findall(r"^\| (?:<a id=\"\w+\"></a>)?`?([\w-]+)`? \|", drawn, flags=re.MULTILINE)


def test_every_question_rule_facade_and_way_is_in_its_table(page: ModuleType) -> None:
    assert first_cells(page.questions(DOCS))[2:] == list(Need.model_fields)
    assert first_cells(page.rules(DOCS))[2:] == RULES
    assert re.findall(r'<a id="(\w+)">', page.rules(DOCS)) == [name.lower() for name in RULES]
    assert first_cells(page.facades(DOCS))[2:] == list(table().facades)
    assert set(first_cells(page.ways(DOCS))[2:]) == set(table().consumers)


def test_the_first_of_the_answers_is_the_one_that_is_assumed(page: ModuleType) -> None:
    said = page.questions(DOCS)
    assert "| `retrieve`, `create`, `update`," in said
    assert re.search(r"`recipient_known` .* \| `true`, `false` \| D5 \|", said)
    assert re.search(r"`trigger` .* \| `user`, `system` \| – \|", said)


def test_a_rule_says_when_it_fits_and_what_comes_with_it(page: ModuleType) -> None:
    (row,) = (line for line in page.rules(DOCS).splitlines() if "</a>D9 |" in line)
    assert "`human_actor: true`, `outcome: none or receipt` or `offline_process: true`, `outcome: none or receipt`" in row
    assert "unless information is asked for to give direct care" in row
    (row,) = (line for line in page.rules(DOCS).splitlines() if "</a>D8 |" in line)
    assert "MESSAGING, mailbox; or SYNC, task-api" in row


def test_the_drawing_is_of_the_table(page: ModuleType) -> None:
    drawing = page.diagram(DOCS)
    svg = ElementTree.fromstring(drawing)
    words = [text.text or "" for text in svg.iter(SVG + "text")]
    assert [word for word in words if re.fullmatch(r"D\d+", word)] == RULES
    assert [word for word in words if word.isupper() and len(word) > 3] == [rule.method for rule in table().rules]
    dashed = ["stroke-dasharray" in rect.attrib for rect in svg.iter(SVG + "rect")]
    assert dashed == [rule.not_for_care for rule in table().rules]
    drawn = " ".join(words)
    assert all(word in drawn for rule in table().rules for word in rule.title.split())
    assert all(f"backend: {backend}" in words for backend in table().facades)
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing)) <= {"none", "currentColor"}


@pytest.mark.parametrize("said", ["intent=update human_actor=true", "--markdown"])
def test_examples_are_what_the_command_prints(page: ModuleType, said: str) -> None:
    assert f"$ fiveways advise {said}\n" in page.example(DOCS, said)
    assert "D10" in page.example(DOCS, said) or "# SYNC" in page.example(DOCS, said)


def test_an_example_that_is_refused_stops_the_build(page: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="intnt"):
        page.example(DOCS, "intnt=update")
