"""BK03: a feed that triggers business activity (B11)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose `need:` is a command or a task, or is urgent: somebody is to act on it."""
    for name, feed in deployment.feeds.items():
        need = feed.need
        if need is not None and need.intent in ("command", "task"):
            yield ("feeds", name, "need", "intent"), f"each of its records is a {need.intent}, which waits for the file"
        elif need is not None and need.urgent:
            yield ("feeds", name, "need", "urgent"), "its recipient must act at once, and hears of it with the file"


rule = Rule(
    id="BK03",
    severity="warning",
    anti_pattern="Work begins when a file comes, all of it at once, and not when there is cause for it.",
    best_practice="Send each as a message, or call for it synchronously; let files report what was done.",
    statements=("B11",),
    find=find,
)
