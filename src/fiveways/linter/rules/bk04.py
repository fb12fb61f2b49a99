"""BK04: a feed into a repository that users take for current (B12)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose `need:` says that users look at a live view."""
    for name, feed in deployment.feeds.items():
        if feed.need is not None and feed.need.live_view:
            yield ("feeds", name, "need", "live_view"), "users look at what was so when the last file was made"


rule = Rule(
    id="BK04",
    severity="warning",
    anti_pattern="A screen shows yesterday's state, and nobody who looks at it can tell.",
    best_practice="Write changes as they happen, synchronously or as events; until then, show the age of the data (oldest:).",
    statements=("B12", "B13"),
    find=find,
)
