"""The applications that the authorization server knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fiveways.errors import DeploymentError
from fiveways.security import refusals as r
from fiveways.security.jwks import KeySource
from fiveways.security.refusals import Refused


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """An application as an OAuth client. `scopes` are those of the products it subscribes to, of whatever kind.

    `keys` is None where it has registered no public keys; `secrets` are its client secrets as they are stored. `redirect_uris` is
    where people may be sent back to it, `pkce` whether it must use that, and `known_as` its client ids at identity providers, by
    their names; `introspects` whether it may ask about tokens that are not its own. `approved` and `subscribed` are False where it
    may not have tokens at all: it is suspended, or subscribes to nothing.
    """

    application: str
    organisation: str
    client_id: str
    scopes: frozenset[str]
    keys: KeySource | None
    secrets: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    pkce: bool = False
    known_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    introspects: bool = False
    approved: bool = True
    subscribed: bool = True

    def refuse_unentitled(self) -> None:
        """Refused where it may not have tokens at all."""
        if not self.approved:
            raise Refused(r.NOT_APPROVED, self.application)
        if not self.subscribed:
            raise Refused(r.NOT_SUBSCRIBED, self.application)


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
