"""BK08: a feed whose sender does not say what the content was (B20)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds without `digest:`."""
    for name, feed in deployment.feeds.items():
        if feed.digest is None:
            yield ("feeds", name), "no digest of the sender's shows that a file has come as it was sent"


rule = Rule(
    id="BK08",
    severity="warning",
    anti_pattern="A file that was cut short or altered on its sender's side of the line is taken for what was sent.",
    best_practice="Have the sender put a digest beside each file, as sha256sum writes it (digest: {by: sidecar}), or into its "
    "manifest.",
    statements=("B20",),
    find=find,
)
