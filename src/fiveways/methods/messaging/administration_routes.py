"""The admin API: mailboxes and workflows as JSON under `/_admin/`, for whoever has an administration key.

    GET    /_admin/mailboxes?limit=&after=&organisation=     a page, in order of id
    GET    /_admin/mailboxes/{id}                            one, with its version as ETag
    PUT    /_admin/mailboxes/{id}                            add it, or put it in the place of what is there
    PATCH  /_admin/mailboxes/{id}                            change what is said (RFC 7396)
    DELETE /_admin/mailboxes/{id}

and the same for `workflows`. If-Match with an ETag changes that version only, `If-None-Match: *` only adds (RFC 9110 §13.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from fiveways.deployment.settings import Rate
from fiveways.errors import AccessDenied, InvalidValue, MethodNotAllowed, NotFound, TooManyRequests
from fiveways.ledger.rates import Rates
from fiveways.methods.messaging.administration import Actor, Administration, ChangedSince, Kind
from fiveways.types import Consumer, Headers, Interaction, Outcome

LARGEST = 1024 * 1024
"""Bytes of a request: the lists of a large workflow."""
WRONG_KEYS = Rate(30, 60)
"""How many wrong keys are answered 401, by all nodes together; more than that are told to wait."""
_KINDS: Mapping[str, Kind] = {"mailboxes": "mailbox", "workflows": "workflow"}
_MOST = 1000
_ETAG = re.compile(rb'"([0-9]{1,9})"')


class AdministrationRoutes:
    """Handles the requests of administrators. `keys` are the SHA-256 hashes (`sha256:…`) of the keys that may ask."""

    def __init__(self, administration: Administration, keys: tuple[str, ...], rates: Rates) -> None:
        self._administration = administration
        self._keys = keys
        self._rates = rates

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request; faults are for the gateway to render."""
        key = await self._key(interaction)
        interaction.consumer = Consumer(context="administration-key")
        interaction.facts["key"] = key
        by = Actor({"by": "key", "key": key}, interaction.id)
        segments = [unquote(segment.decode("latin-1")) for segment in interaction.path.split(b"/")[2:]]
        kind = _KINDS.get(segments[0]) if segments else None
        if kind is None or len(segments) > 2 or segments[-1] == "":
            raise NotFound("There is nothing at this path")
        if len(segments) == 1:
            return await self._page(interaction, kind, segments[0])
        outcome = await self._one(interaction, kind, segments[1], by)
        interaction.facts[kind] = segments[1]  # there is one of that id: it is not just anything that somebody has sent
        return outcome

    async def _key(self, interaction: Interaction) -> str:
        """The key that was presented, as the audit has it. AccessDenied, or TooManyRequests where many were wrong of late.

        One that is right is taken in any case: nobody locks administrators out by guessing, and guessing 256 bits leads nowhere.
        """
        interaction.name = "administration"
        digest = "sha256:" + hashlib.sha256(interaction.fields.get(b"apikey", b"")).hexdigest()
        known = [hmac.compare_digest(digest, key) for key in self._keys]
        if any(known):
            return digest[:23]
        verdict = await self._rates.take("administration:wrong-keys", WRONG_KEYS)
        if not verdict.allowed:
            raise TooManyRequests("Too many wrong administration keys", headers={"Retry-After": str(verdict.retry_after)})
        raise AccessDenied("This needs an administration key in the header apikey", headers={"WWW-Authenticate": "ApiKey"})

    async def _page(self, interaction: Interaction, kind: Kind, plural: str) -> Outcome:
        interaction.name = f"{kind}.list"
        if interaction.method not in ("GET", "HEAD"):
            raise _not_allowed("GET, HEAD")
        asked = _query(interaction)
        unknown = asked.keys() - {"limit", "after", *(["organisation"] if kind == "mailbox" else [])}
        if unknown:
            raise InvalidValue("The query has parameters that are not known here")
        limit = asked.get("limit", "100")
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= 4 and 1 <= int(limit) <= _MOST):
            raise InvalidValue(f"limit: expected 1 to {_MOST}")
        organisation = asked.get("organisation", "")
        found, more = await self._administration.page(
            kind, after=asked.get("after", ""), limit=int(limit), organisation=organisation
        )
        content: dict[str, Any] = {plural: found}
        if more:
            said = {"limit": limit, "after": found[-1]["id"], **({"organisation": organisation} if organisation else {})}
            content["next"] = f"/_admin/{plural}?{urlencode(said)}"
        return _json(200, content)

    async def _one(self, interaction: Interaction, kind: Kind, id_: str, by: Actor) -> Outcome:
        administration, method = self._administration, interaction.method
        if method in ("GET", "HEAD"):
            interaction.name = f"{kind}.show"
            return _entry(200, await administration.show(kind, id_))
        if method == "PUT":
            interaction.name = f"{kind}.put"
            return await self._put(interaction, kind, id_, by)
        if method == "PATCH":
            interaction.name = f"{kind}.change"
            said, seen = await _content(interaction), _seen(interaction)
            return _entry(200, await administration.change(kind, id_, said, by, seen))
        if method == "DELETE":
            interaction.name = f"{kind}.remove"
            await administration.remove(kind, id_, by, _seen(interaction))
            return Outcome(204, [(b"cache-control", b"no-store")], b"")
        raise _not_allowed("GET, HEAD, PUT, PATCH, DELETE")

    async def _put(self, interaction: Interaction, kind: Kind, id_: str, by: Actor) -> Outcome:
        seen = 0 if _field(interaction, b"if-none-match") == b"*" else _seen(interaction)
        shown, new = await self._administration.put(kind, id_, await _content(interaction), by, seen)
        outcome = _entry(201 if new else 200, shown)
        if new:
            outcome.headers.append((b"location", interaction.path))
        return outcome


def _not_allowed(methods: str) -> MethodNotAllowed:
    return MethodNotAllowed(f"Methods here are {methods}", headers={"Allow": methods})


def _query(interaction: Interaction) -> dict[str, str]:
    try:
        return dict(parse_qsl(interaction.query.decode("latin-1"), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise InvalidValue("The query has too many parameters") from None


def _field(interaction: Interaction, name: bytes) -> bytes:
    return next((value for known, value in interaction.headers if known == name), b"").strip()


def _seen(interaction: Interaction) -> int | None:
    """The version that If-Match names; None where any will do."""
    sent = _field(interaction, b"if-match")
    if sent in (b"", b"*"):
        return None
    found = _ETAG.fullmatch(sent)
    if found is None:
        raise ChangedSince("If-Match names no version that there was")
    return int(found[1])


async def _content(interaction: Interaction) -> dict[str, Any]:
    """A JSON object, as it was sent."""
    content = bytearray()
    if interaction.body is not None:
        async for piece in interaction.body:
            content += piece
    try:
        said = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidValue("The body is expected to be JSON") from None
    if not isinstance(said, dict):
        raise InvalidValue("The body is expected to be a JSON object")
    return cast("dict[str, Any]", said)


def _entry(status: int, shown: dict[str, Any]) -> Outcome:
    outcome = _json(status, shown)
    if "version" in shown:
        outcome.headers.append((b"etag", b'"%d"' % shown["version"]))
    return outcome


def _json(status: int, content: Any) -> Outcome:
    body = msgspec.json.encode(content)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    return Outcome(status, headers, body)
