"""A verdict: the first rule of the table that fits a need, and all that follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from fiveways.advisor.table import Method, Rule, Value, statements, table
from fiveways.deployment.need import Need

KEYS: Final = (
    "intent", "trigger", "payload", "purpose", "urgent", "human_actor", "offline_process", "outcome", "needed_now", "live_view",
    "recipient_known", "slow", "provider_available", "peaks_fit", "fixed_constraint", "async_capable", "idempotent",
    "dedupe_cost", "once_only", "event_rate_high", "full_duplex", "near_zero_latency", "backend", "consumer_can_host_http",
)  # fmt: skip
"""What a need says that the advice may hang on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is advised. `pattern` is how, `other` another way that is as good; `consumer` what its consumers have to build."""

    rule: str
    title: str
    method: Method
    pattern: str
    where: str
    paradigm: str
    try_first: tuple[str, ...]
    warnings: tuple[str, ...]
    target: str
    statements: tuple[str, ...]
    consumer: tuple[str, ...]
    other: tuple[Method, str] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Another answer to one question, and what would be advised then."""

    key: str
    value: Value
    rule: str
    method: Method
    pattern: str


def advise(need: Need) -> Verdict:
    """What is advised for a need."""
    return _verdict(next(rule for rule in table().rules if _fits(rule, need)), need)


def changes(need: Need) -> list[Change]:
    """Which answers would change the verdict, and to what."""
    now = advise(need)
    found = []
    for key, value in _others(need):
        then = advise(need.model_copy(update={key: value}))
        if (then.method, then.pattern) != (now.method, now.pattern):
            found.append(Change(key, value, then.rule, then.method, then.pattern))
    return found


def values(key: str) -> tuple[Value, ...]:
    """The answers that there are to a question."""
    annotation: Any = Need.model_fields[key].annotation
    return (False, True) if annotation is bool else get_args(annotation)


def _others(need: Need) -> Iterator[tuple[str, Value]]:
    for key in KEYS:
        for value in values(key):
            if value != getattr(need, key):
                yield key, value


def _fits(rule: Rule, need: Need) -> bool:
    if rule.not_for_care and need.intent == "retrieve" and need.purpose == "direct_care":
        return False
    return any(all(_is(getattr(need, key), wanted) for key, wanted in each.items()) for each in rule.when)


def _is(value: Value, wanted: Value | list[Value]) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def _verdict(rule: Rule, need: Need) -> Verdict:
    said = table()
    tries, warnings, cites = list(rule.try_first), list(rule.warnings), list(rule.statements)
    pattern, where = rule.pattern, ""
    if rule.facade:
        facade = said.facades[need.backend]
        pattern, where = facade.pattern, facade.where
        warnings += facade.warnings
        cites += facade.statements
        if facade.debt:
            tries.append(said.debt.try_first)
            warnings.append(said.debt.warning)
    if rule.method == "SYNC" and not need.idempotent:
        warnings.append(said.not_idempotent.warning)
        cites += said.not_idempotent.statements
    return Verdict(
        rule.rule, rule.title, rule.method, pattern, where, said.paradigms.get(rule.method, ""), tuple(tries), tuple(warnings),
        rule.target, tuple(dict.fromkeys(cites)), tuple(said.consumers[pattern]),
        (rule.other.method, rule.other.pattern) if rule.other is not None else None,
    )  # fmt: skip


def paraphrase(statement: str) -> str:
    """What a statement of the book asks, in our words."""
    return statements()[statement]
