"""SY05: an operation that is not idempotent, and no message ids by which a repeat could be recognised (S25-S27)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Operations declared not idempotent without `deduplicate:`. A promise of work knows repeats by itself."""
    for name, api in deployment.apis.items():
        for index, operation in enumerate(api.operations):
            if operation.idempotent is False and operation.deduplicate is None and api.pattern != "promise":
                yield ("apis", name, "operations", index), f"{operation.match} is not idempotent, and repeats are not recognised"


rule = Rule(
    id="SY05",
    severity="warning",
    anti_pattern="A consumer whose request times out sends it again, and the provider acts twice.",
    best_practice="Declare deduplicate: {by: X-Request-ID}, so that a repeat gets the first answer.",
    statements=("S25", "S26", "S27"),
    find=find,
)
