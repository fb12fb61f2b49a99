"""Entitlement: an application may call what a product it is subscribed to contains, and a token only what its scopes name."""

from __future__ import annotations

from collections.abc import Awaitable, Collection

from fiveways.errors import Forbidden
from fiveways.types import Handler, Interaction, Outcome


class Entitlement:
    """Lets through the applications subscribed to this API; `scopes` are what a bearer token must carry one of.

    `anonymous` is set where the API is open as well: then who presents nothing needs no subscription.
    """

    def __init__(self, api: str, applications: Collection[str], scopes: Collection[str] = (), *, anonymous: bool = False) -> None:
        self._api = api
        self._anonymous = anonymous
        self._applications = frozenset(applications)
        self._scopes = frozenset(scopes)

    def __call__(self, interaction: Interaction, handler: Handler) -> Awaitable[Outcome]:
        """Refuse an application that has no subscription, or a token without the scope."""
        consumer = interaction.consumer
        if consumer.application not in self._applications:
            if self._anonymous and not consumer.application:
                return handler(interaction)
            raise Forbidden(f"Application {consumer.application} is not subscribed to a product that contains {self._api}")
        if consumer.token and self._scopes.isdisjoint(consumer.scopes):
            raise Forbidden(f"The access token has no scope for {self._api}; request a new one")
        return handler(interaction)
