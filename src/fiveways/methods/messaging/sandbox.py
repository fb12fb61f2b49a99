"""Test control over HTTP, for a sandbox and nowhere else: it asks nobody for a password.

The paths are those of the public mesh-sandbox, so that a team's test set-up works as it is; and three more under `/admin`: the
clock, failures and certificates (`trials.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec

from fiveways.deployment.settings import format_duration, parse_duration
from fiveways.errors import Fault
from fiveways.methods.messaging.control import Control
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.mesh import bodies, faults
from fiveways.methods.messaging.mesh.faults import InvalidRequest, MeshFault
from fiveways.methods.messaging.mesh.parameters import mistake
from fiveways.methods.messaging.mesh.views import message_details
from fiveways.methods.messaging.records import Details
from fiveways.methods.messaging.reports import NOT_COLLECTED, Report, non_delivery, not_collected
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import State
from fiveways.methods.messaging.trials import FURTHEST, SLOWEST, Failures
from fiveways.types import Interaction, Outcome

Content = TypeVar("Content")

_LARGEST = 256 * 1024
"""Bytes of a tester's request that are read."""


class NewReport(msgspec.Struct):
    """A report to be put into an inbox."""

    mailbox_id: str
    code: str
    description: str
    workflow_id: str
    subject: str | None = None
    local_id: str | None = None
    status: Literal["error", "undeliverable"] = "undeliverable"
    file_name: str | None = None
    linked_message_id: str | None = None


class NewEvent(msgspec.Struct):
    """What is to have happened to a message. `event` and `linked_message_id` are taken and not kept."""

    status: State
    code: str | None = None
    event: str | None = None
    description: str | None = None
    linked_message_id: str | None = None


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """How far a tester wants to come, as in a deployment file: `5d`, `2h30m`."""

    advance: str


class Demand(msgspec.Struct, forbid_unknown_fields=True):
    """Whose requests must bear a client certificate: of all mailboxes, of none, or of some."""

    demanded: bool | list[str]


class Sandbox:
    """Handles what testers ask of a sandbox."""

    def __init__(
        self, messaging: Messaging, control: Control, directory: Directory, about: dict[str, str], collect_within: timedelta
    ) -> None:
        self._messaging = messaging
        self._control = control
        self._trials = control.trials
        self._directory = directory
        self._about = about
        self._collect_within = collect_within

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request of a tester."""
        try:
            return await self._handle(interaction)
        except Fault as fault:
            return faults.answer(fault, 2, interaction.id)

    async def _handle(self, interaction: Interaction) -> Outcome:
        segments = interaction.path.decode("latin-1").strip("/").split("/")
        prefixed = segments[0] == "messageexchange"
        if prefixed:
            del segments[0]
        match interaction.method, segments:
            case "GET", ["health" | "healthcheck" | "deepping"]:
                return bodies.json(self._about)
            case "DELETE", ["admin", "reset"]:
                await self._control.reset()
                return bodies.json({"message": "all mailboxes reset"})
            case "DELETE", ["admin", "reset", mailbox]:
                self._known(mailbox.upper())
                await self._control.reset(mailbox.upper())
                return bodies.json({"message": f"mailbox {mailbox.upper()} reset"})
            case "GET", ["admin", "mailbox", mailbox] | ["mailbox", mailbox]:
                return self._mailbox(mailbox)
            case "GET", ["admin", "message", message]:
                return await self._message(message.upper())
            case "POST", ["admin", "message", message, "event"]:
                return await self._happen(message.upper(), _read(await _content(interaction), NewEvent))
            case "POST", ["admin", "report"] if prefixed:
                return await self._report(_read(await _content(interaction), NewReport))
            case "GET", ["admin", "clock"]:
                return self._clock()
            case "POST", ["admin", "clock"]:
                return await self._advance(_read(await _content(interaction), Advance))
            case "GET", ["admin", "failures"]:
                return bodies.json({"failures": self._trials.failures})
            case "POST", ["admin", "failures"]:
                return self._fail(_read(await _content(interaction), Failures))
            case "DELETE", ["admin", "failures"]:
                self._trials.failures.clear()
                return bodies.json({"failures": []})
            case "GET", ["admin", "certificates"]:
                return self._demanded()
            case "PUT", ["admin", "certificates"]:
                return self._demand(_read(await _content(interaction), Demand).demanded)
        raise _not_found("There is nothing at this path")

    # --- trials ----------------------------------------------------------------------------------------------------------

    def _clock(self) -> Outcome:
        clock = self._trials.clock
        return bodies.json({"now": f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}", "ahead": format_duration(clock.ahead)})

    async def _advance(self, asked: Advance) -> Outcome:
        by = _span(asked.advance, "advance", FURTHEST - self._trials.clock.ahead)
        await self._control.advance(by)
        return self._clock()

    def _fail(self, asked: Failures) -> Outcome:
        _span(asked.delay, "delay", SLOWEST)
        if asked.mailbox is not None:
            asked.mailbox = asked.mailbox.upper()
            self._known(asked.mailbox)
        self._trials.failures.append(asked)
        return bodies.json({"failures": self._trials.failures})

    def _demand(self, asked: bool | Sequence[str]) -> Outcome:
        if isinstance(asked, bool):
            self._trials.certified = asked
        else:
            for mailbox in asked:
                self._known(mailbox.upper())
            self._trials.certified = frozenset(mailbox.upper() for mailbox in asked)
        return self._demanded()

    def _demanded(self) -> Outcome:
        certified = self._trials.certified
        return bodies.json({"demanded": certified if isinstance(certified, bool) else sorted(certified)})

    # --- messages and mailboxes ------------------------------------------------------------------------------------------

    def _known(self, mailbox: str) -> None:
        if self._directory.mailbox(mailbox) is None:
            raise _not_found("mailbox does not exist")

    def _mailbox(self, id_: str) -> Outcome:
        found = self._directory.mailbox(id_)
        if found is None:
            raise _not_found("Not Found")
        return bodies.json({
            "mailbox_id": found.id, "mailbox_name": found.name, "ods_code": found.ods_code, "org_code": found.ods_code,
            "org_name": found.org_name, "active": found.active,
        })  # fmt: skip

    async def _message(self, id_: str) -> Outcome:
        message = await self._messaging.message(id_)
        if message is None:
            raise _not_found("Not Found")
        return bodies.json(message_details(message, await self._messaging.size(id_), self._directory, self._collect_within))

    async def _happen(self, message_id: str, new: NewEvent) -> Outcome:
        if not await self._control.move(message_id, new.status, code=new.code or "", reason=new.description or ""):
            raise _not_found("Not Found")
        return bodies.empty()

    async def _report(self, new: NewReport) -> Outcome:
        self._known(new.mailbox_id)
        subject, linked = new.subject or "", new.linked_message_id or ""
        if new.status == "error":
            code, reason = new.code, new.description
            details = Details(subject=subject, file_name=new.file_name or "", linked=linked)
        else:
            waited = self._directory.undelivered_after(new.workflow_id) or self._collect_within
            code, reason, details = NOT_COLLECTED, not_collected(waited), non_delivery(subject, linked)
        report = Report(
            recipient=new.mailbox_id,
            workflow=new.workflow_id,
            local_id=new.local_id or "",
            code=code,
            reason=reason,
            details=details,
        )
        return bodies.json({"message_id": await self._control.report(report)})


def _span(written: str, name: str, longest: timedelta) -> timedelta:
    """A length of time as it is written in a deployment file."""
    try:
        found: timedelta = parse_duration(written)
    except ValueError as error:
        raise InvalidRequest([mistake("value_error", name, str(error), where="body", input=written)]) from None
    if found > longest:
        text = f"{format_duration(longest)} at most"
        raise InvalidRequest([mistake("value_error", name, text, where="body", input=written)])
    return found


def _not_found(text: str) -> MeshFault:
    return MeshFault(404, "", "", text)


async def _content(interaction: Interaction) -> bytes:
    found = bytearray()
    if interaction.body is not None:
        async for piece in interaction.body:
            found += piece
            if len(found) > _LARGEST:
                raise InvalidRequest([{"type": "too_long", "loc": ["body"], "msg": "Content is too long"}])
    return bytes(found)


def _read(content: bytes, kind: type[Content]) -> Content:
    """Content in JSON, in the form of `kind`; every field that is missing is told of."""
    try:
        said: Any = msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise InvalidRequest([{"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error"}]) from None
    if isinstance(said, dict):
        required = (field.encode_name for field in msgspec.structs.fields(kind) if field.required)  # type: ignore[arg-type]
        missing = [name for name in required if name not in said]
        if missing:
            raise InvalidRequest([mistake("missing", name, "Field required", where="body", input=said) for name in missing])
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest([{"type": "value_error", "loc": ["body"], "msg": str(error)}]) from None
