"""The authorization server of a deployment; what was fetched of keys and providers outlives a reload."""

from __future__ import annotations

from pathlib import Path

from fiveways.clock import Clock
from fiveways.platform import directory
from fiveways.platform.foundation import Foundation
from fiveways.platform.model import Deployment
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.authentication import Authentication
from fiveways.security.authorization import AuthorizationServer, Record
from fiveways.security.clients import Clients
from fiveways.security.grants import CLIENT_CREDENTIALS, ClientCredentials, GrantHandler
from fiveways.security.jwks import KeySources
from fiveways.security.seal import Seal
from fiveways.security.tokens import TokenIssuer, TokenVerifier
from fiveways.security.users.access import UserAccess
from fiveways.security.users.provider import PublishedMetadata


class AuthorizationServers:
    """Makes them, one after the other."""

    def __init__(self, foundation: Foundation, clock: Clock) -> None:
        self._foundation = foundation
        self._clock = clock
        self._key_sources: KeySources | None = None
        self._providers = PublishedMetadata(clock)

    def authorization(
        self, deployment: Deployment, base: Path, verifier: TokenVerifier, issuer: TokenIssuer, record: Record
    ) -> AuthorizationServer:
        """The server of `deployment`; KeyError, OSError or ValueError where a secret or a key that it names is of no use."""
        tokens, foundation = deployment.identity.tokens, self._foundation
        if self._key_sources is None:
            self._key_sources = KeySources(self._clock, keep=tokens.jwks_cache, refetch_after=tokens.jwks_refetch)
        clients = Clients(directory.clients(deployment, base, self._clock, self._key_sources))
        assertions = AssertionVerifier(
            clients,
            foundation.ledger.replay,
            self._clock,
            leeway=tokens.leeway,
            ahead=tokens.assertion_lifetime,
            memory=tokens.assertion_memory,
        )
        people = UserAccess(
            directory.identity_providers(deployment, self._providers, foundation.keys, base, self._clock),
            clients=clients,
            assertions=assertions,
            records=foundation.people,
            issuer=issuer,
            verifier=verifier,
            seal=Seal(foundation.keys),
            replay=foundation.ledger.replay,
            revoke=foundation.revocations.revoke,
            record=record,
            clock=self._clock,
            leeway=tokens.leeway,
        )
        grants: dict[str, GrantHandler] = {CLIENT_CREDENTIALS: ClientCredentials(assertions, issuer)}
        if deployment.identity.providers:
            grants |= people.grants
        return AuthorizationServer(
            grants=grants,
            authentication=Authentication(clients, assertions),
            keys=foundation.keys,
            verifier=verifier,
            revoke=foundation.revocations.revoke,
            record=record,
            clock=self._clock,
            urls=tokens.urls,
            endpoints=people.endpoints,
            refresh_tokens=people,
        )
