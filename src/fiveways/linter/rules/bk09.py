"""BK09: a feed whose sender does not say how many records there are (B21)."""

from __future__ import annotations

import re

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds that are complete by neither a manifest nor a trailer that counts records."""
    for name, feed in deployment.feeds.items():
        complete, where = feed.complete_when, ("feeds", name)
        if complete.trailer is not None and "records" not in re.compile(complete.trailer).groupindex:
            yield (*where, "complete_when", "trailer"), "its last line is looked for, and no count is read from it"
        elif complete.trailer is None and complete.manifest is None:
            yield where, "nothing says how many records a file has to have"


rule = Rule(
    id="BK09",
    severity="warning",
    anti_pattern="A file from which the last thousand records are missing looks like one from a quiet day.",
    best_practice="Have the sender count: in a manifest with records, or in a last line: complete_when: "
    "{trailer: 'TRL,(?P<records>[0-9]+)'}.",
    statements=("B21",),
    find=find,
)
