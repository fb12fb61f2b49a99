"""The applications that the authorization server knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fiveways.errors import DeploymentError
from fiveways.security.jwks import KeySource


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """An application as an OAuth client. `scopes` are those of the products it subscribes to, of whatever kind.

    `keys` is None where it has registered no public keys; `approved` and `subscribed` are False where it may not have tokens
    at all: it is suspended, or subscribes to nothing.
    """

    application: str
    organisation: str
    client_id: str
    scopes: frozenset[str]
    keys: KeySource | None
    approved: bool = True
    subscribed: bool = True


class Clients:
    """Registered clients by client id. A reload replaces them all at once; a request sees the old ones or the new."""

    def __init__(self, clients: Iterable[RegisteredClient] = ()) -> None:
        self._clients: dict[str, RegisteredClient] = {}
        self.replace(clients)

    def replace(self, clients: Iterable[RegisteredClient]) -> None:
        """Know `clients` from now on, and no others; DeploymentError, and no change, where two share a client id."""
        known: dict[str, RegisteredClient] = {}
        for client in clients:
            other = known.setdefault(client.client_id, client)
            if other is not client:
                raise DeploymentError(
                    f"applications {other.application} and {client.application} have the same client_id {client.client_id}"
                )
        self._clients = known

    def find(self, client_id: str) -> RegisteredClient | None:
        """The client with this id, or None."""
        return self._clients.get(client_id)
