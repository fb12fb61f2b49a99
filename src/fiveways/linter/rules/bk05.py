"""BK05: a feed in place of a request for information (B14)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose `need:` says that information is retrieved."""
    for name, feed in deployment.feeds.items():
        if feed.need is not None and feed.need.said("intent") == "retrieve":
            yield ("feeds", name, "need", "intent"), "what is asked for comes with everything else, in a file"


rule = Rule(
    id="BK05",
    severity="warning",
    anti_pattern="Whole sets of records are copied to somebody who wants to know of one of them, now and then.",
    best_practice="Publish an API, and let it be asked for what is needed, when it is.",
    statements=("B14", "S13"),
    find=find,
)
