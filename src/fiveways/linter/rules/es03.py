"""ES03: a façade that hides a debt in one deployment, while another passes requests through to the same back end (S61, S69)."""

from __future__ import annotations

from fiveways.linter.estate import Estate
from fiveways.linter.rule import FoundAcross, Rule


def find(estate: Estate) -> FoundAcross:
    """Wrappers, middleware and transformations whose back end is that of a pass-through of another file."""
    for published, others in estate.shared:
        through = [other for other in others if other.api.pattern == "pass-through"]
        if published.api.hides_debt and through:
            passes = f"{estate.told(through)} {'pass' if len(through) > 1 else 'passes'} requests through to the same back end"
            yield published.member, ("apis", published.name, "pattern"), f"this is a {published.api.pattern}, and {passes}"


rule = Rule(
    id="ES03",
    severity="warning",
    anti_pattern="A façade is kept up for a debt that seems to be paid: the back end can be used as it is.",
    best_practice="See whether what it hides is still there; if it is not, pass through here too, and retire the façade.",
    statements=("S61", "S69"),
    find_across=find,
)
