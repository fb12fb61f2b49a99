"""GW02: something is changed, and in nobody's name (S36)."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.deployment.document import Loc
from fiveways.linter.rule import Found, Rule
from fiveways.methods.synchronous.settings import ApiSettings
from fiveways.platform.model import Deployment

_CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_INTERACTIONS = frozenset(("create", "update", "patch", "delete", "batch"))
_INTENTS = frozenset(("create", "update", "command", "task"))


def find(deployment: Deployment) -> Found:
    """Open operations that change something; APIs that are open, where they say that this is what they are for."""
    for name, api in deployment.apis.items():
        for loc in _open(api):
            yield ("apis", name, *loc), "anyone may change something here, and nobody will know who it was"


def _open(api: ApiSettings) -> Iterator[Loc]:
    changing = api.pattern == "promise" or (api.need is not None and api.need.said("intent") in _INTENTS)
    if "open" in api.security and changing:
        yield ("security",)
    for index, operation in enumerate(api.operations):
        security = operation.security if operation.security is not None else api.security
        method, _, _ = operation.match.partition(" ")
        changes = method in _CHANGING or operation.match.rpartition(".")[2] in _INTERACTIONS
        if "open" in security and changes and not (operation.security is None and changing):
            yield ("operations", index)


rule = Rule(
    id="GW02",
    severity="warning",
    anti_pattern="A route outside every security context: open is for what anybody may know.",
    best_practice="Name a security context: signed-jwt, user_restricted, client-certificate or api-key.",
    statements=("S36",),
    find=find,
)
