"""GW03: a pass-through that edits bodies, or makes several calls of one (S42)."""

from __future__ import annotations

from pathlib import Path

from fiveways.linter import code
from fiveways.linter.policies import policies
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment, base: Path) -> Found:
    """Policies of pass-through APIs that are seen to do so."""
    for loc, name, policy in policies(deployment, base, "pass-through"):
        if code.edits_body(policy):
            yield loc, f"{name} puts another body in the place of one"
        if code.hands_on(policy) > 1:
            yield loc, f"{name} may hand a request on more than once"


rule = Rule(
    id="GW03",
    severity="warning",
    anti_pattern="What is published as a simple pass-through mediates or orchestrates, and nobody who reads the file can know.",
    best_practice="Say what it is (pattern: transformation, orchestration or middleware); have retries made by resilience.retries.",
    statements=("S42",),
    find_in_code=find,
)
