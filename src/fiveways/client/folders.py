"""A mailbox as four folders, for systems that exchange files: what is put into out/ is sent, what arrives is in in/.

    out/NAME, out/NAME.mesh.json     to be sent, and to whom; the second may be missing where there are defaults
    sent/NAME, sent/NAME.mesh.json   was sent, and its message id
    failed/NAME, …, NAME.error.txt   was refused, or a report says that it did not get through; and why
    in/ID.dat, in/ID.dat.mesh.json   arrived; the facts are there before the content is

A file of out/ is claimed by being moved into a folder whose name is its local id, before a byte of it is sent: whatever happens
then, it is sent under that local id, which the ledger and the other side know it by, and so not twice.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from fiveways.client.errors import ClientError, Denied, Unavailable
from fiveways.client.landing import SIDECAR, land, settle, sidecar, write_facts
from fiveways.client.ledger import Request
from fiveways.client.listener import Listener, Round
from fiveways.client.lock import alone
from fiveways.client.mailbox import Mailbox
from fiveways.client.message import Message
from fiveways.client.schedule import Retry, Schedule
from fiveways.client.states import State
from fiveways.correlation import new_id

log = logging.getLogger(__name__)

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", "~")
"""Ends of names under which programs write what they rename when it is whole."""
_CONTENT, _CONTROL = "content", "control" + SIDECAR
_ERROR = ".error.txt"
_WITHIN = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST_WAIT = timedelta(minutes=15)


class Control(msgspec.Struct, forbid_unknown_fields=True):
    """How a file is to be sent: what may stand in NAME.mesh.json."""

    to: str = ""
    workflow: str = ""
    subject: str = ""
    content_type: str = ""
    file_name: str = ""
    """What the recipient is told; the file's own name unless said otherwise."""
    correlation: str = ""
    answer_within: str = ""
    """When an answer is due, such as `5d`, `12h` or `30m`; '' where none is awaited."""
    compress: bool = False


class _Claimed(msgspec.Struct):
    """What is noted of a file that is being sent: its name in out/, and its file of facts to the letter."""

    name: str
    said: str = ""


class Folders:
    """The four folders below `folder`. `to` and `workflow` are for files without a file of facts.

    A file is taken once nothing has happened to it for `still`, so that none is taken half written; writing it under a name that
    begins with a dot or ends with `.tmp` or `.part`, and renaming it then, is safer and as quick.
    """

    def __init__(
        self, mailbox: Mailbox, folder: Path, *, to: str = "", workflow: str = "", still: timedelta = timedelta(seconds=5)
    ) -> None:
        self._mailbox = mailbox
        self._defaults = (to, workflow)
        self._still = still
        self._clock = mailbox.ledger.clock
        self.arrived, self.out, self.sent, self.failed = (folder / name for name in ("in", "out", "sent", "failed"))
        self._sending = folder / ".sending"
        for each in (self.arrived, self.out, self.sent, self.failed, self._sending):
            each.mkdir(parents=True, exist_ok=True)
        self._lock = folder / ".lock"

    async def run(self, schedule: Schedule | None = None, look: timedelta = timedelta(seconds=2)) -> None:
        """Send and receive until cancelled; out/ is looked at every `look`. Raises Denied where the mailbox does not let us in."""
        with alone(self._lock):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listener(schedule).run())
                    group.create_task(self._send_on(look))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None

    async def once(self, schedule: Schedule | None = None) -> Round:
        """Send what is in out/, and fetch what waits."""
        with alone(self._lock):
            await self._send_all()
            return await self._listener(schedule).once()

    def _listener(self, schedule: Schedule | None) -> Listener:
        return Listener(self._mailbox, self._land, schedule=schedule, retry=Retry(attempts=10), dead_letters=self.failed)

    # --- out --------------------------------------------------------------------------------------------------------------

    async def _send_on(self, look: timedelta) -> None:
        wait = look
        while True:
            try:
                await self._send_all()
                wait = look
            except Unavailable as error:
                log.warning("mailbox %s: %s", self._mailbox.id, error)
                wait = min(2 * wait, _LONGEST_WAIT)
            await asyncio.sleep(wait.total_seconds())

    async def _send_all(self) -> None:
        """Go on with what was begun, in the order in which it was, then with what has come since."""
        for place in sorted(self._sending.iterdir()):
            await self._send(place)
        for path in self._ready():
            await self._send(await asyncio.to_thread(self._claim, path))

    def _ready(self) -> list[Path]:
        """Files in out/ that are whole and of which it is known where they go; the oldest first."""
        found = []
        for path in self.out.iterdir():
            if path.name.startswith(".") or path.name.endswith((*_UNFINISHED, SIDECAR)) or path.is_symlink() or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # taken back meanwhile
                status = path.stat()
                known = sidecar(path).exists() or all(self._defaults)
                touched = max(status.st_mtime, status.st_ctime)
                if known and touched + self._still.total_seconds() <= self._clock.time():
                    found.append((status.st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _claim(self, path: Path) -> Path:
        place = self._sending / new_id()
        place.mkdir()
        said = sidecar(path).read_text(errors="replace") if sidecar(path).exists() else ""
        write_facts(place / _CONTROL, {"name": path.name, "said": said})
        settle(self._sending)
        path.rename(place / _CONTENT)
        settle(place)
        settle(self.out)
        return place

    async def _send(self, place: Path) -> None:
        """Send what was claimed, and move it to where it belongs then. Raises Unavailable and Denied: it stays where it is."""
        content = place / _CONTENT
        if not content.exists():  # the claim was broken off before the file was moved: it is in out/ still; or all is done
            shutil.rmtree(place)
            return
        claimed = msgspec.json.decode((place / _CONTROL).read_bytes(), type=_Claimed)
        said = sidecar(self.out / claimed.name)
        with suppress(FileNotFoundError):
            if not (self.out / claimed.name).exists() and said.read_text(errors="replace") == claimed.said:
                said.unlink()
        try:
            control = self._control(claimed)
            request = await self._mailbox.send(
                control.to,
                content,
                workflow=control.workflow,
                local_id=place.name,
                label=claimed.name,
                answer_within=_within(control.answer_within),
                correlation=control.correlation,
                compress=control.compress,
                subject=control.subject,
                file_name=control.file_name or claimed.name,
                content_type=control.content_type,
            )
            if request.state is State.FAILED:
                raise ClientError(request.reason)
        except (Unavailable, Denied):
            raise
        except ClientError as error:
            log.error("%s was not sent: %s", claimed.name, error)
            self._fail(content, claimed.name, place.name, {"local_id": place.name, **_facts(claimed.said)}, str(error))
        else:
            facts = {name: value for name, value in msgspec.structs.asdict(control).items() if value}
            sent_at = self._clock.now().isoformat(timespec="seconds")
            told = {**facts, "local_id": request.local_id, "message_id": request.message_id, "sent_at": sent_at}
            _move(content, self.sent, claimed.name, place.name, told)
        shutil.rmtree(place)

    def _control(self, claimed: _Claimed) -> Control:
        """How to send a file, as its file of facts and the defaults say. Raises ClientError for what cannot be meant."""
        try:
            control = msgspec.json.decode(claimed.said, type=Control) if claimed.said else Control()
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ClientError(f"{claimed.name}{SIDECAR}: {error}") from error
        to, workflow = self._defaults
        control.to, control.workflow = control.to or to, control.workflow or workflow
        if not control.to or not control.workflow:
            raise ClientError(f"{claimed.name}{SIDECAR} does not say {'workflow' if control.to else 'to'}")
        return control

    # --- in ---------------------------------------------------------------------------------------------------------------

    async def _land(self, message: Message) -> None:
        await asyncio.to_thread(land, message, self.arrived)
        if message.is_report and message.request is not None:
            await asyncio.to_thread(self._reported, message.request)

    def _reported(self, request: Request) -> None:
        """Move the file that a report is about from sent/ to failed/; one that is not there any more was somebody's to take."""
        for name in (request.label, f"{request.label}~{request.local_id}"):
            path = self.sent / name
            with suppress(FileNotFoundError):
                facts = _facts(sidecar(path).read_text())
                if request.label and path.parent == self.sent and facts.get("local_id") == request.local_id:
                    self._fail(path, request.label, request.local_id, facts, f"{request.reason} (code {request.code})")
                    sidecar(path).unlink()

    def _fail(self, content: Path, name: str, local_id: str, facts: dict[str, Any], reason: str) -> None:
        target = _place(self.failed, name, local_id)
        target.with_name(target.name + _ERROR).write_text(f"{reason}\n")
        _move(content, self.failed, name, local_id, facts)


def _place(folder: Path, name: str, local_id: str) -> Path:
    """Where a file goes; one of this name that is there already is left in peace."""
    plain = folder / name
    return folder / f"{name}~{local_id}" if plain.exists() else plain


def _move(content: Path, folder: Path, name: str, local_id: str, facts: dict[str, Any]) -> None:
    """Move a file; its facts are there before it is. Doing so again after a crash does the same."""
    target = _place(folder, name, local_id)
    write_facts(sidecar(target), facts)
    content.rename(target)
    settle(folder)


def _facts(said: str) -> dict[str, Any]:
    """A file of facts, as far as it is one."""
    try:
        return msgspec.json.decode(said, type=dict[str, Any]) if said else {}
    except (msgspec.MsgspecError, UnicodeError):
        return {}


def _within(said: str) -> timedelta | None:
    if not said:
        return None
    found = _WITHIN.fullmatch(said)
    if found is None:
        raise ClientError(f"answer_within: found {said!r}, expected such as 5d, 12h or 30m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
