"""BK01: a feed whose recipient is not known (B4)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose `need:` says that the sender does not know whom it is for, and feeds that go to nobody."""
    for name, feed in deployment.feeds.items():
        if feed.need is not None and not feed.need.recipient_known:
            yield ("feeds", name, "need", "recipient_known"), "its sender does not know who to share it with"
        elif not feed.to and not feed.deliver_to:
            yield ("feeds", name), "it goes to nobody: neither to: nor deliver_to: is said"


rule = Rule(
    id="BK01",
    severity="warning",
    anti_pattern="Files are collected in case somebody wants them; they grow old, and nobody answers for them.",
    best_practice="Say who collects it (to:) or where its records go (deliver_to:); where the recipient is known for each record "
    "only, send messages.",
    statements=("B4",),
    find=find,
)
