"""BK06: a feed without a word on what becomes of bad records (B15, B16)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Feeds whose records are not checked, and those that are and do not say what a bad one does."""
    for name, feed in deployment.feeds.items():
        if feed.records is None:
            yield ("feeds", name), "its records are not checked: a bad one goes on to whoever uses them"
        elif "bad_records" not in feed.records.model_fields_set:
            text = "nothing says whether a bad record is set aside or rejects its file; it is set aside"
            yield ("feeds", name, "records"), text


rule = Rule(
    id="BK06",
    severity="warning",
    anti_pattern="One bad record stops a whole file, in the middle of the night; or it does not, and nobody notices.",
    best_practice="Say what its records are (records:), and agree with those who use them what bad ones do: "
    "bad_records: {policy: set-aside}, reject-file, or stop-at a share.",
    statements=("B15", "B16"),
    find=find,
)
