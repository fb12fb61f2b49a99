"""From a socket to a method: the ASGI application of every listener. Its own paths are few; all else is the gateway's."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from fiveways.correlation import Correlation, new_id
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.synchronous.request import Receive, Scope, Send
from fiveways.platform.listeners import Asgi
from fiveways.platform.platform import Platform
from fiveways.security.authorization import IDS, MESSAGE_ID

_AUTHORIZATION: Final = ("/oauth2/", "/.well-known/")


def app(platform: Platform) -> Asgi:
    """The application of a platform's listeners."""

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        running = platform.running
        if scope["type"] != "http":
            return _nothing()
        if scope["path"].startswith(_AUTHORIZATION):
            return running.authorization(scope, receive, _mirroring(scope, send, platform.ledger.pseudonyms))
        return running.compiled.gateway(scope, receive, send)

    return application


async def _nothing() -> None:
    """What becomes of a protocol that is not spoken here."""


def _mirroring(scope: Scope, send: Send, pseudonyms: Pseudonyms) -> Send:
    """Gives a request of the authorization server its message id, and mirrors its ids on the answer."""
    sent = dict(scope["headers"])
    ids = Correlation(sent.get(b"x-request-id"), sent.get(b"x-correlation-id"))
    scope[MESSAGE_ID] = new_id()
    request_id = ids.request_id.decode() if ids.guid else pseudonyms.in_id(ids.request_id)
    scope[IDS] = {"request_id": request_id, "correlation_id": pseudonyms.in_id(ids.correlation_id)}

    async def mirrored(message: Scope) -> None:
        if message["type"] == "http.response.start":
            own = [(b"x-request-id", ids.request_id), (b"x-correlation-id", ids.correlation_id)]
            message["headers"] = [*message["headers"], *own]
        await send(message)

    return mirrored
