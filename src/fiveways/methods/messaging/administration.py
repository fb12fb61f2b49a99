"""Mailboxes and workflows added, changed and removed while running: what may be done, and what the audit says of it.

What the deployment file declares is changed there and nowhere else. Each change is one row, durable together with its audit event;
whoever changes what somebody else has changed in the meantime does so with that in view, or not at all where they said which
version they had seen.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError

from fiveways.clock import Clock, micros
from fiveways.correlation import new_id
from fiveways.deployment.settings import Settings, format_duration
from fiveways.errors import Conflict, Fault, InvalidValue, NotFound
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.methods.messaging.directory import Directory, Mailbox, MailboxId, Workflow, WorkflowId, WorkflowSettings
from fiveways.methods.messaging.registry import Entry, Registry
from fiveways.methods.messaging.registry_entries import RegisteredMailbox, RegisteredWorkflow
from fiveways.methods.messaging.registry_vault import Vault

Kind = Literal["mailbox", "workflow"]
Content = TypeVar("Content", bound=Settings)
Said = Mapping[str, Any]
"""What somebody says of an entry, as JSON has it."""

SHORTEST, LONGEST = 8, 200
"""Characters of a password."""
_ATTEMPTS = 5
_SHOWN = frozenset(("id", "declared_in", "version", "changed_at", "needs_password"))
"""What is shown of an entry and not said of it: so that what was shown can be sent back, changed."""
_IDS: Mapping[Kind, TypeAdapter[str]] = {"mailbox": TypeAdapter(MailboxId), "workflow": TypeAdapter(WorkflowId)}


class DeclaredInFile(Fault):
    """The deployment file declares it: it is changed there, and reloaded."""

    status, code, party, issue, display = 409, "DECLARED_IN_FILE", "consumer", "conflict", "Declared in the deployment file"


class AlreadyThere(Fault):
    """There is one of that id."""

    status, code, party, issue, display = 409, "ALREADY_THERE", "consumer", "conflict", "Already there"


class StillNamed(Fault):
    """Workflows name the mailbox or workflow that is to be removed."""

    status, code, party, issue, display = 409, "STILL_NAMED", "consumer", "conflict", "Still named by workflows"


class ChangedSince(Fault):
    """It is not of the version that was asked for (RFC 9110 §15.5.13)."""

    status, code, party, issue, display = 412, "CHANGED_SINCE", "consumer", "conflict", "Changed since"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, as the audit has it, and under which message id."""

    details: Mapping[str, str]
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a deployment makes of client certificates: whether a listener asks for them, and whether every mailbox demands one."""

    asked_for: bool = True
    required: bool = False


class Administration:
    """The mailboxes and workflows of a directory, to be looked at and changed. Faults say what is refused."""

    def __init__(
        self,
        registry: Registry,
        directory: Directory,
        vault: Vault | None,
        audit: AuditLog,
        clock: Clock,
        certificates: Certificates,
        keep: timedelta = timedelta.max,
    ) -> None:
        """`keep`: how long messages are kept, which bounds how long any may wait."""
        self._registry = registry
        self._directory = directory
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._certificates = certificates
        self._keep = keep

    # --- looking -----------------------------------------------------------------------------------------------------------

    async def page(
        self, kind: Kind, *, after: str = "", limit: int = 100, organisation: str = ""
    ) -> tuple[list[dict[str, Any]], bool]:
        """Entries in order of id, behind `after`, and whether there are more; one organisation's mailboxes, where that is named."""
        await self._registry.refresh()
        known: Mapping[str, Mailbox | Workflow] = self._directory.mailboxes if kind == "mailbox" else self._directory.workflows
        ids = sorted(
            id_
            for id_, each in known.items()
            if id_ > after and (not organisation or (isinstance(each, Mailbox) and each.ods_code == organisation))
        )
        return [self._shown(kind, id_) for id_ in ids[:limit]], len(ids) > limit

    async def show(self, kind: Kind, id: str) -> dict[str, Any]:  # noqa: A002
        """One entry; NotFound where there is none. Never its password."""
        await self._registry.refresh()
        return self._shown(kind, id)

    def _shown(self, kind: Kind, id_: str) -> dict[str, Any]:
        found = self._known(kind, id_)
        if found is None:
            raise NotFound(f"There is no {kind} {id_}")
        entry = None if self._declares(kind, id_) else self._registry.find(kind, id_)
        if entry is None:
            return {"id": id_, **_declared(found), "declared_in": "file"}
        shown: dict[str, Any] = {"id": id_, **msgspec.json.decode(entry.content or b"{}")}
        if isinstance(found, Mailbox):
            shown["organisation_name"] = found.org_name
            if found.password is None and self._vault is not None:
                shown["needs_password"] = True
        return {**shown, "declared_in": "store", "version": entry.version, "changed_at": entry.changed_at}

    # --- changing ----------------------------------------------------------------------------------------------------------

    async def add(self, kind: Kind, id: str, said: Said, by: Actor) -> dict[str, Any]:  # noqa: A002
        """Register a new mailbox or workflow. AlreadyThere where there is one, InvalidValue where it cannot be."""
        self._may_change(kind, id)
        content, password = self._read(kind, id, said, needed=True)
        await self._registry.refresh()
        if not await self._write(kind, id, content, password, None, by, "added", {}):
            raise AlreadyThere(f"There is a {kind} {id}")
        return self._shown(kind, id)

    async def put(self, kind: Kind, id: str, said: Said, by: Actor, seen: int | None = None) -> tuple[dict[str, Any], bool]:  # noqa: A002
        """Register something, in the place of what is there, whose password stays where no other is said; whether it is new.

        `seen`: only in the place of this version (0: only where there is none), else ChangedSince.
        """
        self._may_change(kind, id)
        await self._registry.refresh()
        entry = self._registry.find(kind, id)
        if seen is not None and seen != (entry.version if entry is not None else 0):
            raise ChangedSince(f"There is another version of the {kind} {id}, or none")
        if entry is None:
            return await self.add(kind, id, said, by), True
        return await self._change(kind, id, by, seen, lambda old: said), False

    async def change(self, kind: Kind, id: str, patch: Said, by: Actor, seen: int | None = None) -> dict[str, Any]:  # noqa: A002
        """Change what is said, and leave the rest (RFC 7396). `seen`: only where it is of this version, else ChangedSince."""
        return await self._change(kind, id, by, seen, lambda old: _merged(old, patch))

    async def _change(self, kind: Kind, id_: str, by: Actor, seen: int | None, make: Callable[[Said], Said]) -> dict[str, Any]:
        self._may_change(kind, id_)
        for _ in range(_ATTEMPTS):
            entry = await self._registered(kind, id_, seen)
            old = msgspec.json.decode(entry.content or b"{}")
            content, password = self._read(kind, id_, make(old), needed=False)
            changed = sorted(name for name, value in msgspec.json.decode(content).items() if value != old.get(name))
            details = {"changed": [*changed, "password"] if password is not None else changed}
            if await self._write(kind, id_, content, password or entry.password, entry.version, by, "changed", details):
                return self._shown(kind, id_)
        raise Conflict(f"{id_} is being changed by others; try again")

    async def remove(self, kind: Kind, id: str, by: Actor, seen: int | None = None) -> None:  # noqa: A002
        """Remove what is registered. StillNamed where a workflow names it."""
        self._may_change(kind, id)
        for _ in range(_ATTEMPTS):
            entry = await self._registered(kind, id, seen)
            self._named_nowhere(kind, id)
            if await self._write(kind, id, None, None, entry.version, by, "removed", {}):
                return
        raise Conflict(f"{id} is being changed by others; try again")

    async def _registered(self, kind: Kind, id_: str, seen: int | None) -> Entry:
        await self._registry.refresh()
        entry = self._registry.find(kind, id_)
        if entry is None:
            raise NotFound(f"There is no {kind} {id_}")
        if seen is not None and entry.version != seen:
            raise ChangedSince(f"{id_} is at version {entry.version} by now")
        return entry

    async def _write(
        self,
        kind: Kind,
        id_: str,
        content: bytes | None,
        password: bytes | None,
        seen: int | None,
        by: Actor,
        what: str,
        details: Mapping[str, Any],
    ) -> bool:
        told = {kind: id_, **by.details, **details}
        event = AuditEvent(at=micros(self._clock), kind=f"{kind}.{what}", id=by.message_id or new_id(), details=told)
        otherwise = msgspec.structs.replace(event, kind=f"{kind}.not_{what}")

        return await self._registry.write(
            kind, id_, content, password, seen=seen, attest=lambda: self._audit.attest(event, otherwise)
        )

    # --- rules -------------------------------------------------------------------------------------------------------------

    def _known(self, kind: Kind, id_: str) -> Mailbox | Workflow | None:
        return self._directory.mailboxes.get(id_) if kind == "mailbox" else self._directory.workflows.get(id_)

    def _declares(self, kind: Kind, id_: str) -> bool:
        return self._directory.declares_mailbox(id_) if kind == "mailbox" else self._directory.declares_workflow(id_)

    def _may_change(self, kind: Kind, id_: str) -> None:
        try:
            _IDS[kind].validate_python(id_)
        except ValidationError as error:
            expected = error.errors()[0].get("ctx", {}).get("pattern", "")
            raise InvalidValue(f"The id of a {kind} is expected to match {expected}") from None
        if self._declares(kind, id_):
            raise DeclaredInFile(f"The {kind} {id_} is declared in the deployment file: change it there, and reload")

    def _named_nowhere(self, kind: Kind, id_: str) -> None:
        def names(workflow: Workflow) -> bool:
            if kind == "mailbox":
                return id_ in workflow.mailboxes()
            return workflow.id != id_ and workflow.settings.acknowledged_by == id_

        naming = [workflow.id for workflow in self._directory.workflows.values() if names(workflow)]
        if naming:
            raise StillNamed(f"Workflows name {id_}: {_some(naming)}")

    def _read(self, kind: Kind, id_: str, said: Said, *, needed: bool) -> tuple[bytes, bytes | None]:
        """What is to be kept of what was said: settings as JSON, and the password sealed where there is one."""
        said = dict(said)
        if said.get("id", id_) != id_:
            raise InvalidValue(f"id: expected {id_}, or nothing")
        for name in _SHOWN:
            said.pop(name, None)
        if kind == "workflow":
            workflow = _valid(RegisteredWorkflow, said)
            self._must_fit(id_, workflow)
            return msgspec.json.encode({"from": [], "to": [], **_said(workflow)}), None
        password = said.pop("password", None)
        mailbox = _valid(RegisteredMailbox, said, _password_problem(password, needed=needed))
        self._must_be_usable(mailbox)
        return mailbox.model_dump_json(exclude_none=True).encode(), self._sealed(id_, password) if password is not None else None

    def _must_be_usable(self, mailbox: RegisteredMailbox) -> None:
        if mailbox.certificates and not self._certificates.asked_for:
            raise InvalidValue("certificates: no listener of this deployment asks for client certificates")
        if self._certificates.required and not mailbox.certificates:
            raise InvalidValue("certificates: at least one is needed, as messaging.client_certificates is 'required'")

    def _must_fit(self, id_: str, workflow: RegisteredWorkflow) -> None:
        told = workflow.failures.told if workflow.failures is not None else ()
        strangers = sorted({*workflow.senders, *workflow.receivers, *told} - self._directory.mailboxes.keys())
        if strangers:
            raise InvalidValue(f"There is no mailbox {_some(strangers)}")
        if workflow.acknowledged_by not in (None, id_, *self._directory.workflows):
            raise InvalidValue(f"acknowledged_by: there is no workflow {workflow.acknowledged_by}")
        if workflow.undelivered_after is not None and workflow.undelivered_after > self._keep:
            raise InvalidValue("undelivered_after: a message is kept at least as long as it may be collected (messaging.keep)")

    def _sealed(self, mailbox: str, password: str) -> bytes:
        if self._vault is None:
            raise InvalidValue("password: it cannot be kept, as messaging.shared_key cannot be read here")
        return self._vault.seal(mailbox, password.encode())


def new_password() -> str:
    """A password that nobody guesses: 24 characters, 144 random bits."""
    return secrets.token_urlsafe(18)


def _declared(found: Mailbox | Workflow) -> dict[str, Any]:
    """What the deployment file says, but for secrets."""
    if isinstance(found, Workflow):
        return {**_said(found.settings), "from": sorted(found.senders), "to": sorted(found.receivers)}
    return {
        "organisation": found.ods_code,
        "organisation_name": found.org_name,
        "name": found.name,
        "active": found.active,
        "certificates": [each.model_dump(exclude_none=True) for each in found.certificates],
        **({"takes": found.takes.model_dump(mode="json", exclude_none=True)} if found.takes is not None else {}),
        **({"collects_every": format_duration(found.collects_every)} if found.collects_every is not None else {}),
        **({"deduplicate": format_duration(found.deduplicate)} if found.deduplicate is not None else {}),
    }


def _said(workflow: WorkflowSettings) -> dict[str, Any]:
    """What was said of a workflow, and not what goes without saying."""
    return workflow.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _valid(model: type[Content], said: Said, *problems: str) -> Content:
    """What was said as `model`; InvalidValue with every mistake. No value is repeated: it may be a password in the wrong place."""
    found = [problem for problem in problems if problem]
    try:
        valid = model.model_validate(said)
    except ValidationError as error:
        found += [_told(each["loc"], each["type"], each["msg"]) for each in error.errors(include_input=False, include_url=False)]
        raise InvalidValue("; ".join(found[:20])) from None
    if found:
        raise InvalidValue("; ".join(found))
    return valid


def _told(loc: Iterable[str | int], kind: str, message: str) -> str:
    where = ".".join(str(step)[:100] for step in loc) or "the body"
    message = {"missing": "is missing", "extra_forbidden": "unknown member"}.get(kind, message.removeprefix("Value error, "))
    return f"{where}: {message}"


def _password_problem(password: Any, *, needed: bool) -> str:
    if password is None:
        return "password: is missing" if needed else ""
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        return f"password: expected {SHORTEST} to {LONGEST} printable characters"
    return ""


def _merged(old: Said, patch: Said) -> Said:
    """A merge patch (RFC 7396): what is null goes, objects are merged, anything else is replaced."""
    merged = {name: value for name, value in old.items() if value is not None}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            within = merged.get(name)
            merged[name] = _merged(within if isinstance(within, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
