"""Which addresses are followed. An answer names where to ask next; it must not lead us, or our credentials, anywhere else.

Addresses are read by the same parser that the connection is made with, so that the two cannot be told different things.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pyreqwest.http import Url

from fiveways.client.errors import ClientError, Untrusted


class Place(NamedTuple):
    """An address that may be asked. `own`: it is the deployment's, and is shown our credentials."""

    url: str
    own: bool


class Origins:
    """The deployment at `url`, and who else may be asked.

    `also_at` are further addresses of the same deployment, such as a listener for long polls: they are shown our credentials.
    `trusted` may hold outcomes, such as an object store: they are asked without any. Raises ClientError for what is no address.
    """

    def __init__(self, url: str, also_at: Iterable[str] = (), trusted: Iterable[str] = ()) -> None:
        self.base = str(_base(url)).rstrip("/")
        self.origin = _base(url).origin_ascii
        self._own = {self.origin, *(_base(each).origin_ascii for each in also_at)}
        self._trusted = {_base(each).origin_ascii for each in trusted}

    def at(self, path: str) -> Place:
        """A path of the deployment's. Raises ClientError for what is no path."""
        if not path.startswith("/"):
            raise ClientError(f"a path begins with /, found {path[:40]!r}")
        return self._checked(_url(self.base + path))

    def follow(self, reference: str, base: str) -> Place:
        """Where an answer of `base` points to, absolute or relative. Raises Untrusted for where we do not go."""
        try:
            found = _url(base).join(reference)
        except ValueError:
            raise Untrusted("the other side points to what is no address") from None
        return self._checked(found)

    def _checked(self, url: Url) -> Place:
        if url.username or url.password is not None:
            raise Untrusted(f"an address with credentials in it is not followed ({url.host_str})")
        origin = url.origin_ascii
        if url.scheme not in ("http", "https") or origin not in self._own | self._trusted:
            raise Untrusted(f"the other side points to {origin}, which is neither its own nor among the trusted origins")
        return Place(str(url), origin in self._own)


def _url(address: str) -> Url:
    try:
        return Url(address)
    except ValueError as error:
        raise ClientError(f"this is no address: {error}") from None


def _base(address: str) -> Url:
    url = _url(address)
    if url.scheme not in ("http", "https") or url.username or url.password is not None or url.query_string or url.fragment:
        raise ClientError("an address is http:// or https:// and a host, and has no credentials, query or fragment")
    return url
