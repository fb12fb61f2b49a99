"""ES01: one back end that two deployments publish (S34, S36)."""

from __future__ import annotations

from fiveways.linter.estate import Estate
from fiveways.linter.rule import FoundAcross, Rule


def find(estate: Estate) -> FoundAcross:
    """APIs of several files with the same back end: host, port, and a path that is the same or below. A note where the back end
    is at a loopback address, which is another in each machine."""
    for published, others in estate.shared:
        message = f"{estate.told(others)} {'lead' if len(others) > 1 else 'leads'} to the same back end"
        yield published.member, published.loc, message, "note" if published.here else "warning"


rule = Rule(
    id="ES01",
    severity="warning",
    anti_pattern="There are two ways in, each with its own identities, quotas and audit: what one refuses, another lets pass.",
    best_practice="Publish it through one gateway, and subscribe the others' consumers there.",
    statements=("S34", "S36"),
    find_across=find,
)
