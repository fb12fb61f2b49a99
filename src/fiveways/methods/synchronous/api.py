"""An API as it runs: compiled once from the deployment file, so that a request only has to look things up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from fiveways.errors import Fault
from fiveways.fhir.interactions import interaction as fhir_interaction
from fiveways.methods.synchronous.rendering import Render
from fiveways.types import Handler, Interaction, Observer, Outcome, Policy, wrap


@dataclass(slots=True, frozen=True)
class Route:
    """One operation of an API with the policies that apply to it already around its handler, and who observes its outcomes.

    `policies` are their names, outermost first: what a person sees in `fiveways routes` is what runs.
    """

    name: str
    handler: Handler
    observers: tuple[Observer, ...]
    policies: tuple[str, ...] = ()
    inner: Handler | None = None
    """The same without what is asked of consumers only: an orchestration's call of it, whose consumer was let in already."""


@dataclass(slots=True, frozen=True)
class Match:
    """A declared operation that is recognised by method and path template ('POST /orders/{id}/lines')."""

    method: str
    pattern: re.Pattern[bytes]
    route: Route


@dataclass(slots=True)
class Api:
    """A published API: where it is, which operations it has, and how it words its faults."""

    name: str
    base: bytes
    fhir: bool
    default: Route
    outer: tuple[Policy, ...]
    observers: tuple[Observer, ...]
    render: Render
    body_limit: int = 0
    body_patience: float = 30.0
    named: dict[str, Route] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    _routes: dict[str, Route] = field(default_factory=dict)

    def route(self, interaction: Interaction) -> Route:
        """The operation a request is for; it also gives the interaction its name."""
        path = interaction.below or b"/"
        for match in self.matches:
            if match.method == interaction.method and match.pattern.fullmatch(path) is not None:
                interaction.name = match.route.name
                return match.route
        name = fhir_interaction(interaction.method, interaction.below) if self.fhir else _method_name(interaction.method)
        interaction.name = name
        route = self.named.get(name) or self._routes.get(name)
        if route is None:
            route = self._routes[name] = replace(self.default, name=name)
        return route

    def refuse(self, fault: Fault) -> Route:
        """A route that answers with `fault`, behind the outer policies: refusals are correlated and audited too."""

        async def refused(_: Interaction) -> Outcome:
            raise fault

        return Route("", wrap(refused, *self.outer), self.observers)


_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def _method_name(method: str) -> str:
    return method if method in _METHODS else "other"


def template(path: str, key: str = "") -> re.Pattern[bytes]:
    """A path template as a pattern: '{name}' stands for one segment, a trailing '/**' for anything below. The segment that the
    name `key` stands for first is the pattern's group of that name."""
    pattern = re.escape(path.removesuffix("/**")).replace(r"\{", "{").replace(r"\}", "}")
    if key:
        pattern = pattern.replace(f"{{{key}}}", f"(?P<{key}>[^/]+)", 1)
    pattern = re.sub(r"\{[A-Za-z_]\w*\}", "[^/]+", pattern)
    return re.compile((pattern + ("(?:/.*)?" if path.endswith("/**") else "/?")).encode())
