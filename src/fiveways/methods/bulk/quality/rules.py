"""The rules of a feed, as expressions over a chunk's columns: each says which rows break it.

Every expression is over columns by their name, as they came, and by their name with `TYPED` behind it, as what they are. Where a
value is missing, a rule but `required` is kept.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from fiveways.deployment.callables import load_callable
from fiveways.methods.bulk.quality import lists, values
from fiveways.methods.bulk.quality.findings import FileFault, Unreadable
from fiveways.methods.bulk.quality.json_lines import RESOURCE
from fiveways.methods.bulk.quality.settings import NUMERIC, TEXTUAL, Column, QualitySettings, Rule, full

TYPED: Final = "\0typed"
_FORMULA = "^[=+@\\-\t\r＝＋－＠]"
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_KINDS = {
    "integer": "an integer", "decimal": "a number", "date": "a date in the column's format",
    "datetime": "a moment in the column's format", "boolean": "a boolean", "nhs_number": "an NHS number of ten digits",
}  # fmt: skip


class Check(NamedTuple):
    """A rule: which rows break it."""

    rule: str
    column: str | None
    broken: pl.Expr
    note: str
    untyped: bool = False
    """Whether the value is not of the column's type, or not in its list: it may belong to another column."""


class Call(NamedTuple):
    """A rule that is a function of the feed's own."""

    rule: str
    function: Callable[[Any], Any]
    of: str


class Ruled(NamedTuple):
    """All that a feed asks of its records."""

    typed: list[pl.Expr]
    checks: list[Check]
    calls: list[Call]
    numbers: list[str]
    """Columns of NHS numbers, whose check digits are looked at."""


class Rules:
    """A feed's rules. `today`: the day on which the file came; `base`: the deployment file's folder. Raises Unreadable where a list
    or a function cannot be had."""

    def __init__(
        self,
        settings: QualitySettings,
        columns: Mapping[str, Column],
        *,
        today: date,
        base: Path,
        feeds: lists.Feeds = lists.no_feeds,
    ) -> None:
        self.columns = dict(columns)
        self._settings = settings
        self._today = today
        self._lists = {
            (name, what): lists.values_of(listed, name, base, feeds)
            for name, column in columns.items()
            for what, listed in (("code", column.codes), ("reference", column.references))
            if listed is not None
        }
        self._calls = [
            Call(name, _function(name, rule, base), rule.of) for name, rule in settings.rules.items() if rule.check is not None
        ]
        self._compiled: tuple[tuple[Any, ...], Ruled] | None = None

    def compiled(self, schema: pl.Schema) -> Ruled:
        """The rules for columns that came in these types."""
        key = tuple(schema.items())
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = (key, self._compile(schema))
        return self._compiled[1]

    def _compile(self, schema: pl.Schema) -> Ruled:
        typed, checks = [], []
        for name, column in self.columns.items():
            typed.append(values.typed(name, column, schema[name]).alias(name + TYPED))
            for check in self._of_column(name, column, schema[name]):
                if column.resource is not None:
                    check = check._replace(broken=check.broken & (pl.col(RESOURCE) == column.resource))
                checks.append(check)
        checks += [self._of_record(name, rule) for name, rule in self._settings.rules.items() if rule.check is None]
        return Ruled(typed, checks, self._calls, [name for name, each in self.columns.items() if each.type == "nhs_number"])

    def _of_column(self, name: str, column: Column, dtype: pl.DataType) -> Iterator[Check]:
        value, typed = pl.col(name), pl.col(name + TYPED)
        text = value if dtype == pl.String else value.cast(pl.String)
        if column.required:
            yield Check("required", name, value.is_null(), "There is no value")
        if column.type == "nhs_number":
            yield Check("type", name, ~text.str.contains("^[0-9]{10}$"), f"It is not {_KINDS[column.type]}", untyped=True)
        elif column.type not in TEXTUAL:
            yield Check("type", name, value.is_not_null() & typed.is_null(), f"It is not {_KINDS[column.type]}", untyped=True)
        if column.pattern is not None:
            yield Check("pattern", name, ~text.str.contains(full(column.pattern)), "It does not look as it should", untyped=True)
        if column.min_length is not None:
            yield Check("length", name, text.str.len_chars() < column.min_length, f"Fewer than {column.min_length} characters")
        if column.max_length is not None:
            yield Check("length", name, text.str.len_chars() > column.max_length, f"More than {column.max_length} characters")
        if column.min is not None:
            yield Check("range", name, typed < values.bound(column, column.min, self._today), f"Less than {column.min}")
        if column.max is not None:
            yield Check("range", name, typed > values.bound(column, column.max, self._today), f"More than {column.max}")
        if column.codes is not None:
            codes = self._lists[name, "code"]
            yield Check("code", name, ~text.is_in(codes.implode()), "It is not in the column's list", untyped=True)
        if column.references is not None:
            known = self._lists[name, "reference"]
            yield Check(
                "reference", name, ~text.is_in(known.implode()), "It is not among the values that it refers to", untyped=True
            )
        if self._settings.formula_cells and self._settings.format == "csv" and column.type == "text" and not column.formulas:
            yield Check("formula", name, text.str.contains(_FORMULA), "A spreadsheet would take it for a formula")

    def _of_record(self, name: str, rule: Rule) -> Check:
        if rule.require is not None:
            asked = pl.lit(value=True)
            for column, wanted in rule.when.items():
                value = pl.col(column).cast(pl.String)
                asked &= value.is_in(list(wanted)) if wanted else value.is_not_null()
            return Check(name, rule.require, asked & pl.col(rule.require).is_null(), "There is no value, and there must be")
        left, sign, right = rule.comparison()
        kinds = {each: _kind(self.columns[each]) for each in (left, right) if each in self.columns}
        if len(set(kinds.values())) != 1:
            raise Unreadable(FileFault("check", f"The rule {name} compares what cannot be compared"))
        kind = next(iter(kinds.values()))
        kept = _OPERATORS[sign](self._operand(name, left, kind), self._operand(name, right, kind))
        return Check(name, None, ~kept, f"Not {left} {sign} {right}")

    def _operand(self, rule: str, said: str, kind: str) -> pl.Expr:
        """A column, or what stands in place of one."""
        if said in self.columns:
            return pl.col(said + TYPED)
        try:
            if kind == "number":
                return pl.lit(float(said))
            if kind == "text":
                return pl.lit(said.strip("'\""))
            return values.bound(Column(type="date" if kind == "date" else "datetime"), said.strip("'\""), self._today)
        except ValueError:
            raise Unreadable(FileFault("check", f"The rule {rule} compares with what is no {kind}")) from None


def _kind(column: Column) -> str:
    return "number" if column.type in NUMERIC else "text" if column.type in TEXTUAL else column.type


def _function(name: str, rule: Rule, base: Path) -> Callable[[Any], Any]:
    try:
        function: Callable[[Any], Any] = load_callable(rule.check or "", base)
    except (ImportError, AttributeError):
        raise Unreadable(FileFault("check", f"The function of the rule {name} cannot be loaded: {rule.check}")) from None
    return function
