"""The table, as it stands in `table.yaml`: rules in their order, and what goes with them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec
import yaml

Method = Literal["SYNC", "MESSAGING", "EXCHANGE", "BULK", "REALTIME"]
Value = str | bool


class Other(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another way that is as good."""

    method: Method
    pattern: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `when`: any of these, each of which says what is true of the need."""

    rule: str
    title: str
    when: list[dict[str, Value | list[Value]]]
    method: Method
    statements: list[str]
    pattern: str = ""
    not_for_care: bool = False
    facade: bool = False
    try_first: list[str] = []
    warnings: list[str] = []
    target: str = ""
    other: Other | None = msgspec.field(default=None, name="or")


class Facade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pattern of the gateway a kind of back end stands behind."""

    pattern: str
    statements: list[str]
    where: str = ""
    debt: bool = False
    warnings: list[str] = []


class Debt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes with a pattern that hides something old."""

    try_first: str
    warning: str


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A warning, and what it rests on."""

    warning: str
    statements: list[str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    rules: list[Rule]
    facades: dict[str, Facade]
    debt: Debt
    not_idempotent: Note
    paradigms: dict[str, str]
    consumers: dict[str, list[str]]


@cache
def table() -> Table:
    """The table, read once."""
    return msgspec.convert(_read("table.yaml"), Table)


@cache
def statements() -> dict[str, str]:
    """What the book's statements ask, in our words, by id."""
    return msgspec.convert(_read("statements.yaml"), dict[str, str])


def _read(name: str) -> Any:
    return yaml.safe_load((resources.files(__package__) / name).read_text())
