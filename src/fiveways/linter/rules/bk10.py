"""BK10: a feed without an audit (B22)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds with `audit: false`."""
    for name, feed in deployment.feeds.items():
        if not feed.audit:
            yield ("feeds", name, "audit"), "nothing will show that a transfer took place"


rule = Rule(
    id="BK10",
    severity="warning",
    anti_pattern="When the recipient says that nothing came, nobody can say otherwise.",
    best_practice="Leave audit: at its default, and let the sender have receipts (receipt:).",
    statements=("B22",),
    find=find,
)
