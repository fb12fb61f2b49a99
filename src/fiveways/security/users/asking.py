"""What an application asks when it sends somebody to sign in, what their provider is asked, and what is remembered meanwhile."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from fiveways.security import refusals as r
from fiveways.security.clients import RegisteredClient
from fiveways.security.refusals import Refusal
from fiveways.security.users.provider import IdentityProvider, Metadata

PATIENCE: Final = timedelta(minutes=10)
"""How long somebody may take to sign in."""
_STATE_LIMIT: Final = 1024


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered while somebody signs in. `until`: seconds since the epoch; `state` is ours, `client_state` theirs."""

    state: str
    provider: str
    client_id: str
    redirect_uri: str
    client_state: str
    challenge: str
    nonce: str
    verifier: str
    callback: str
    until: float


def ask(said: Mapping[str, str], client: RegisteredClient, provider: IdentityProvider, base: str, now: float) -> Asked:
    """What is remembered of a request that passed `request_checks`; `base` is where clients know this server."""
    return Asked(
        state=_random(),
        provider=provider.name,
        client_id=client.client_id,
        redirect_uri=said["redirect_uri"],
        client_state=said["state"],
        challenge=said.get("code_challenge", ""),
        nonce=_random(),
        verifier=_random(),
        callback=f"{base}/callback/{provider.name}" if provider.settings.own_callback else f"{base}/callback",
        until=now + PATIENCE.total_seconds(),
    )


def request_checks(said: Mapping[str, str], client: RegisteredClient) -> tuple[tuple[bool, Refusal], ...]:
    """What an application may have asked wrongly, in the order in which it is told."""
    challenge, state = said.get("code_challenge"), said.get("state", "")
    return (
        ("response_type" not in said, r.RESPONSE_TYPE_MISSING),
        (said.get("response_type") != "code", r.RESPONSE_TYPE_INVALID),
        (not state, r.STATE_MISSING),
        (len(state) > _STATE_LIMIT or not state.isascii() or not state.isprintable(), r.STATE_TOO_LONG),
        (challenge is None and client.pkce, r.CHALLENGE_MISSING),
        (challenge is not None and not _is_challenge(challenge, said.get("code_challenge_method")), r.CHALLENGE_INVALID),
        (challenge is None and "code_challenge_method" in said, r.CHALLENGE_MISSING),
    )


def _is_challenge(challenge: str, method: str | None) -> bool:
    """Whether it can be a SHA-256 (RFC 7636 §4.2); `plain` protects nobody."""
    try:
        made = base64.b64decode(challenge + "=", altchars=b"-_", validate=True)
    except ValueError:
        return False
    return method == "S256" and len(challenge) == 43 and len(made) == 32


def question(asked: Asked, provider: IdentityProvider, metadata: Metadata) -> dict[str, str]:
    """What the provider is asked (OpenID Connect Core §3.1.2.1)."""
    convention, settings = provider.convention, provider.settings
    question = {
        **(settings.parameters if settings.parameters is not None else convention.parameters),
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": asked.callback,
        "scope": settings.scope or convention.scope,
        "state": asked.state,
        "nonce": asked.nonce,
    }
    if "S256" in metadata.code_challenge_methods_supported:
        made = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).rstrip(b"=").decode()
        question |= {"code_challenge": made, "code_challenge_method": "S256"}
    return question


def _random() -> str:
    return secrets.token_urlsafe(32)
