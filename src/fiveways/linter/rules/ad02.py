"""AD02: something that nobody says the purpose of, so that nobody can tell whether it is the right way (S4, S5)."""

from __future__ import annotations

from fiveways.linter.needs import met
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs, workflows, feeds and channels without `need:`; no workflow whose messages only answer those of another."""
    for each in met(deployment):
        if each.need is None:
            yield each.loc, "nothing says what it is for"


rule = Rule(
    id="AD02",
    severity="warning",
    anti_pattern="Years later nobody knows why it is done this way, and nobody dares to do it in a better one.",
    best_practice="Say what it is for in the advisor's words, need: {intent: retrieve, purpose: direct_care}; "
    "`fiveways advise --ask` asks what there is to say.",
    statements=("S5",),
    find=find,
)
