"""BK02: a feed of what is needed immediately for direct care (B5)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose `need:` says that the recipient needs the information now, for care that is given now."""
    for name, feed in deployment.feeds.items():
        if feed.need is not None and feed.need.needed_now and feed.need.purpose == "direct_care":
            yield ("feeds", name, "need", "needed_now"), "somebody gives care meanwhile without what waits for the next file"


rule = Rule(
    id="BK02",
    severity="error",
    anti_pattern="What is needed at the bedside comes with tonight's file, or tomorrow's.",
    best_practice="Let it be asked for, or be written, synchronously; a file is for background processing.",
    statements=("B5", "B6"),
    find=find,
)
