"""AD01: a need that is met otherwise than the book advises (S5 to S11, and what each verdict rests on)."""

from __future__ import annotations

from fiveways.advisor.verdict import advise
from fiveways.advisor.writing import pattern_of
from fiveways.linter.needs import met
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Whatever says what it is for, and is of another method or pattern than the advisor's; channels that record an exception are
    passed over."""
    for each in met(deployment):
        if each.need is None:
            continue
        verdict = advise(each.need)
        advised = [(verdict.method, verdict.pattern), *([verdict.other] if verdict.other is not None else [])]
        part, name = each.loc
        if set(advised) & set(each.ways) or (part == "channels" and deployment.channels[str(name)].exception.strip()):
            continue
        method, pattern = each.ways[0]
        first = f", and to try first {', '.join(verdict.try_first)}" if verdict.try_first else ""
        advice = f"{verdict.rule} advises {verdict.method}, {pattern_of(verdict)} ({', '.join(verdict.statements)}){first}"
        yield (*each.loc, "need"), f"for what it says, {advice}; this is {method}, {pattern}"


rule = Rule(
    id="AD01",
    severity="warning",
    anti_pattern="A way of exchanging is chosen because it is there, and consumers build and wait for more than their need asks.",
    best_practice="Ask `fiveways advise` with these answers; meet the need as it says, or mend an answer that is not true, or "
    "suppress this with the reason and a day.",
    statements=("S5", "S9", "S10", "A34"),
    find=find,
)
