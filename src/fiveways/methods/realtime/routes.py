"""Channels over HTTP, for whoever publishes without a connection, and for what is asked now and then.

POST /realtime/channels/{channel}/messages          publish JSON; Idempotency-Key: published once, however often it is sent;
                                                    an ephemeral channel keeps nothing, and so no keys
GET  /realtime/channels/{channel}/messages          ?since=epoch:offset&limit=&reverse=true
GET  /realtime/channels/{channel}/presence          who is there
GET  /realtime/channels/{channel}/transcript        of a conversation; Accept: application/json, text/plain, application/fhir+json
POST /realtime/channels/{channel}/participants      {"members": […]}: begin a conversation, or invite to it
POST /realtime/messages                             {"messages": [{"channel", "data", "id"}…]}: many at once, each by itself
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from fiveways.errors import (
    AccessDenied,
    Fault,
    InvalidValue,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    StoreError,
)
from fiveways.methods.realtime import transcript
from fiveways.methods.realtime.attachments import Attachments
from fiveways.methods.realtime.conversation import Conversations
from fiveways.methods.realtime.participation import Participation, data_of
from fiveways.methods.realtime.service import Position, Published
from fiveways.types import Consumer, Interaction, Outcome

LARGEST: Final = 4 * 2**20
"""Bytes of a request with messages."""
BATCH: Final = 1000
"""Messages in one."""
_SINCE: Final = re.compile(r"(?:([0-9a-f]{1,64}):)?([0-9]{1,18})")
Identify = Callable[[Interaction], Consumer | None]


class _One(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw
    id: str = ""


class _Batch(msgspec.Struct, frozen=True):
    messages: list[_One]


class _Members(msgspec.Struct, frozen=True):
    members: list[str]


_batch, _members = (msgspec.json.Decoder(each).decode for each in (_Batch, _Members))


class RealtimeRoutes:
    """Handles requests under `/realtime` (`types.Handler`)."""

    def __init__(
        self, participation: Participation, conversations: Conversations, attachments: Attachments, identify: Identify
    ) -> None:
        self._participation = participation
        self._conversations = conversations
        self._attachments = attachments
        self._identify = identify

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request; faults are for the gateway to render."""
        interaction.name = "realtime"
        consumer = self._identify(interaction)
        if consumer is None:
            raise AccessDenied("This needs an access token (Authorization: Bearer …)", headers={"WWW-Authenticate": "Bearer"})
        interaction.consumer = consumer
        match [unquote(segment.decode("latin-1")) for segment in interaction.path.split(b"/")[2:]]:
            case ["messages"]:
                _only(interaction, "POST")
                return await self._publish_all(interaction, consumer)
            case ["channels", name, "messages"]:
                if interaction.method == "POST":
                    return await self._publish(interaction, consumer, name)
                _only(interaction, "GET", "POST")
                return await self._history(interaction, consumer, name)
            case ["channels", name, "presence"]:
                _only(interaction, "GET")
                interaction.name = "realtime.presence"
                there = await self._participation.present(consumer, name)
                return _json(200, {"present": [{"client": each.client, "member": each.member} for each in there]})
            case ["channels", name, "participants"]:
                _only(interaction, "POST")
                interaction.name = "realtime.invite"
                said = _read(_members, await _body(interaction)).members
                return _done(await self._conversations.begin(consumer, name, said, _correlation(interaction)))
            case ["channels", name, "attachments"]:
                _only(interaction, "POST")
                return await self._attach(interaction, consumer, name)
            case ["channels", name, "attachments", id_]:
                _only(interaction, "GET")
                interaction.name = "realtime.attachment"
                found = await self._attachments.find(consumer, name, id_)
                told = [
                    (b"content-type", found.content_type.encode("latin-1", "replace")), (b"content-length", b"%d" % found.size),
                    (b"digest", b"sha-256=" + base64.b64encode(found.sha256)), (b"content-disposition", b"attachment"),
                    (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
                ]  # fmt: skip
                return Outcome(200, told, self._attachments.content(found))
            case ["channels", name, "transcript"]:
                _only(interaction, "GET")
                return await self._transcript(interaction, consumer, name)
        raise NotFound("There is nothing at this path")

    async def _publish(self, interaction: Interaction, consumer: Consumer, name: str) -> Outcome:
        interaction.name = "realtime.publish"
        data = _json_of(await _body(interaction))
        named = _field(interaction, b"idempotency-key").strip('"')
        done = await self._participation.publish(consumer, name, data, client_id=named, correlation=_correlation(interaction))
        return _done(done)

    async def _attach(self, interaction: Interaction, consumer: Consumer, name: str) -> Outcome:
        interaction.name = "realtime.attach"
        kind = _field(interaction, b"content-type") or "application/octet-stream"
        named = _field(interaction, b"x-file-name")
        made = await self._attachments.put(consumer, name, interaction.body or _nothing(), named, kind)
        return _json(201, {"id": made.id, "size": made.size, "sha256": made.sha256.hex(), "type": made.content_type})

    async def _publish_all(self, interaction: Interaction, consumer: Consumer) -> Outcome:
        interaction.name = "realtime.publish"
        said = _read(_batch, await _body(interaction)).messages
        if len(said) > BATCH:
            raise InvalidValue(f"Up to {BATCH} messages in one request")
        results: list[dict[str, Any]] = []
        for each in said:
            try:
                done = await self._participation.publish(
                    consumer, each.channel, _json_of(bytes(each.data)), client_id=each.id, correlation=_correlation(interaction)
                )
                results.append(_told(done))
            except (Fault, StoreError) as error:
                fault = error if isinstance(error, Fault) else Overloaded("It was not written: send it again, under the same id")
                results.append({"error": {"status": fault.status, "code": fault.code, "detail": fault.diagnostics}})
        return _json(200, {"results": results})

    async def _history(self, interaction: Interaction, consumer: Consumer, name: str) -> Outcome:
        interaction.name = "realtime.history"
        asked = dict(parse_qsl(interaction.query.decode("latin-1"), max_num_fields=10))
        since, most = _SINCE.fullmatch(asked.get("since", "0")), asked.get("limit", "100")
        if since is None or not re.fullmatch(r"[0-9]{1,4}", most):
            raise InvalidValue("since is epoch:offset, and limit up to 1000")
        position, found = await self._participation.history(
            consumer, name, Position(since[1] or "", int(since[2])), min(int(most), 1000), backwards=asked.get("reverse") == "true"
        )
        told = [msgspec.Raw(each.publication()) for each in found]
        return _json(200, {"offset": position.top, "epoch": position.epoch, "messages": told})

    async def _transcript(self, interaction: Interaction, consumer: Consumer, name: str) -> Outcome:
        interaction.name = "realtime.transcript"
        found, position, messages = await self._conversations.transcript(consumer, name)
        wanted = _field(interaction, b"accept")
        if wanted.startswith("text/plain"):
            return _answer(200, transcript.text(messages).encode(), b"text/plain; charset=utf-8")
        there = [each.member for each in await self._conversations.participants(name)]
        if wanted.startswith("application/fhir+json"):
            return _answer(200, msgspec.json.encode(transcript.bundle(messages, there)), b"application/fhir+json")
        told = {"channel": name, "kind": found.channel.kind, "epoch": position.epoch, "offset": position.top, "participants": there}
        return _json(200, told | {"closed": position.closed, "entries": transcript.entries(messages)})


def _correlation(interaction: Interaction) -> str:
    return interaction.correlation.correlation_id.decode("latin-1")


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _body(interaction: Interaction) -> bytes:
    body = bytearray()
    if interaction.body is not None:
        async for piece in interaction.body:
            body += piece
            if len(body) > LARGEST:
                raise PayloadTooLarge(f"A request has up to {LARGEST} bytes here")
    return bytes(body)


def _json_of(body: bytes) -> bytes:
    """A body, where it is JSON."""
    _read(msgspec.json.decode, body)
    return data_of(body)


def _read(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidValue("The body is not the JSON that is expected here") from None


def _field(interaction: Interaction, name: bytes) -> str:
    return next((value for known, value in interaction.headers if known == name), b"").decode("latin-1").strip()


def _only(interaction: Interaction, *methods: str) -> None:
    if interaction.method not in methods:
        raise MethodNotAllowed(f"Methods here are {', '.join(methods)}", headers={"Allow": ", ".join(methods)})


def _told(done: Published) -> dict[str, Any]:
    return {"offset": done.number, "epoch": done.epoch, "again": done.again}


def _done(done: Published) -> Outcome:
    return _json(200 if done.again else 201, _told(done))


def _json(status: int, content: Any) -> Outcome:
    return _answer(status, msgspec.json.encode(content), b"application/json")


def _answer(status: int, body: bytes, kind: bytes) -> Outcome:
    told = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    return Outcome(status, told, body)
