"""GW04: an orchestration over an API that no consumer can have by itself (S53-S56)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs in `uses:` that are not open, and that no product holds."""
    held = {api for product in deployment.products.values() for api in product.apis}
    for name, api in deployment.apis.items():
        for index, used in enumerate(api.uses):
            if used not in held and "open" not in deployment.apis[used].security:
                yield ("apis", name, "uses", index), f"no product holds {used}: consumers can have it through {name} only"


rule = Rule(
    id="GW04",
    severity="warning",
    anti_pattern="Consumers who need one of the granular APIs get what somebody else has put together, or build their own way.",
    best_practice="Put the granular APIs into a product too, so that consumers can choose.",
    statements=("S53", "S54", "S55", "S56"),
    find=find,
)
