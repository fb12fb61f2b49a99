"""How a client proves who it is to the authorization server: by a signed JWT, or by a client secret (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from hmac import compare_digest
from urllib.parse import unquote_plus

from fiveways.security import refusals as r
from fiveways.security.apikeys import stored_form
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.refusals import Refused


class Authentication:
    """Tells which registered client sent a form."""

    def __init__(self, clients: Clients, assertions: AssertionVerifier) -> None:
        self._clients = clients
        self._assertions = assertions

    def by_secret(self, form: Mapping[str, str]) -> RegisteredClient:
        """The client whose id and secret are in `form`; Refused otherwise."""
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if client_id is None:
            raise Refused(r.CLIENT_ID_MISSING)
        if secret is None:
            raise Refused(r.CLIENT_SECRET_MISSING)
        client = self._clients.find(client_id)
        presented = stored_form(secret.encode())
        if client is None or not any(compare_digest(presented, known) for known in client.secrets):
            raise Refused(r.CLIENT_INVALID, client.application if client is not None else "")
        client.refuse_unentitled()
        return client

    async def either(self, form: Mapping[str, str], audiences: Collection[str]) -> RegisteredClient:
        """The client whose assertion, or whose id and secret, are in `form`; Refused otherwise."""
        if "client_secret" in form and "client_assertion" in form:
            raise Refused(r.CREDENTIALS_TWICE)
        if "client_secret" in form:
            return self.by_secret(form)
        return await self._assertions.authenticate(form, audiences)

    async def secret_or_assertion(self, form: Mapping[str, str], audiences: Collection[str]) -> RegisteredClient:
        """The same, for grants whose clients have secrets: what is missing is told in those words."""
        return await self.either(form, audiences) if "client_assertion" in form else self.by_secret(form)


def with_basic(form: Mapping[str, str], authorization: str | None) -> Mapping[str, str]:
    """`form` with the id and secret of an `Authorization: Basic` field in it; Refused where they are given in two ways."""
    if authorization is None or authorization[:6].lower() != "basic ":
        return form
    try:
        pair = base64.b64decode(authorization[6:].strip(), validate=True).decode("ascii")
    except ValueError as error:
        raise Refused(r.CLIENT_INVALID) from error
    client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise Refused(r.CREDENTIALS_TWICE)
    return {**form, "client_id": client_id, "client_secret": secret}
