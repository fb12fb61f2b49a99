"""What is registered while running, over every store: durable, known to every process, audited, and in nobody's way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from fiveways.clock import SystemClock
from fiveways.errors import Fault, InvalidValue, NotFound, StoreError
from fiveways.ledger.audit.event import AuditEvent, decode
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.administration import (
    Actor,
    Administration,
    AlreadyThere,
    Certificates,
    ChangedSince,
    DeclaredInFile,
    StillNamed,
)
from fiveways.methods.messaging.directory import Directory, Mailbox, MailboxProfile, Workflow, WorkflowSettings
from fiveways.methods.messaging.registry import Registry, entries
from fiveways.methods.messaging.registry_entries import EntryReader
from fiveways.methods.messaging.registry_vault import Unopenable, Vault
from fiveways.store.bus import Bus, LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio

OPTIONAL = Certificates()
PASSWORD = "correct horse battery"
BY = Actor({"by": "test"}, "m-1")
NEW = {"organisation": "X26", "name": "New", "password": PASSWORD}


@dataclass
class Node:
    """A process that shares the store with others."""

    directory: Directory
    registry: Registry
    administration: Administration
    ledger: Ledger

    async def events(self) -> list[AuditEvent]:
        """The audit, in order."""
        await self.ledger.audit.flush()
        async with self.ledger.database.read() as connection:
            question = select(audit_events.c.body).order_by(audit_events.c.chain, audit_events.c.seq)
            return [decode(body) for body in (await connection.execute(question)).scalars()]


Open = Callable[..., Any]


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Open:
    """Opens nodes over the store. FILE is declared in their deployment file, with a workflow to it."""

    @asynccontextmanager
    async def opened(
        name: str = "one", *, key: bytes = b"shared", bus: Bus | None = None, certificates: Certificates = OPTIONAL
    ) -> AsyncIterator[Node]:
        clock, bus = SystemClock(), bus or LocalBus()
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        ledger = await Ledger.open(folder, database, open_payloads(f"file://{folder}/payloads"), bus, clock, name)
        try:
            mailbox = Mailbox("FILE", MailboxProfile(organisation="RXN"), password=b"p")
            directory = Directory([mailbox], [Workflow("DECLARED", WorkflowSettings(to=("FILE",)))])
            registry, vault = Registry(database, ledger.group, bus, clock), Vault(key)
            await registry.load()
            registry.serve(directory, EntryReader({"X26": "Northshire"}, vault))
            rules = Administration(registry, directory, vault, ledger.audit, clock, certificates)
            yield Node(directory, registry, rules, ledger)
        finally:
            await ledger.close()

    return opened


async def test_a_mailbox_is_in_force_here_at_once_there_at_the_next_look_and_after_a_restart(node: Open) -> None:
    async with node("one") as one, node("two") as two:
        shown = await one.administration.add("mailbox", "NEW", NEW, BY)
        assert shown == {
            "id": "NEW", "organisation": "X26", "organisation_name": "Northshire", "name": "New", "active": True,
            "certificates": [], "declared_in": "store", "version": 1, "changed_at": shown["changed_at"],
        }  # fmt: skip
        assert one.directory.mailbox("NEW").password == PASSWORD.encode()
        assert two.directory.mailbox("NEW") is None
        await two.registry.refresh()
        found = two.directory.mailbox("NEW")
        assert (found.password, found.ods_code, found.org_name) == (PASSWORD.encode(), "X26", "Northshire")
        await two.administration.change("mailbox", "NEW", {"active": False}, BY)
        await one.registry.refresh()
        assert one.directory.mailbox("NEW") is None
        assert one.directory.named("NEW").name == "New"
    async with node("one") as again:
        assert again.directory.mailboxes["NEW"].password == PASSWORD.encode()
        await again.administration.remove("mailbox", "NEW", BY)
        assert "NEW" not in again.directory.mailboxes
        assert await again.administration.add("mailbox", "NEW", NEW, BY)
        assert again.directory.mailbox("NEW") is not None


async def test_a_change_wakes_those_who_share_the_bus_and_reaches_others_within_a_second(node: Open) -> None:
    bus = LocalBus()
    async with node("one", bus=bus) as one, node("two", bus=bus) as two, node("three") as three:
        waiting = [asyncio.create_task(each.registry.follow()) for each in (two, three)]
        await asyncio.sleep(0.05)
        await one.administration.add("mailbox", "NEW", NEW, BY)
        await asyncio.wait_for(waiting[0], 0.7)
        assert two.directory.mailbox("NEW") is not None
        assert not waiting[1].done()
        await asyncio.wait_for(waiting[1], 1.5)
        assert three.directory.mailbox("NEW") is not None


async def test_an_idle_look_reads_one_number(node: Open, database: Database) -> None:
    asked: list[str] = []

    def noted(*arguments: Any) -> None:
        asked.append(arguments[2])

    async with node() as one:
        await one.administration.add("mailbox", "NEW", NEW, BY)
        event.listen(database._reader.sync_engine, "before_cursor_execute", noted)
        await one.registry.refresh()
        event.remove(database._reader.sync_engine, "before_cursor_execute", noted)
    asked = [each for each in asked if each.startswith("SELECT")]
    assert len(asked) == 1
    assert "sum(" in asked[0]


async def test_hundreds_of_mailboxes_are_taken_up_in_one_look(node: Open, database: Database) -> None:
    async with node("one") as one, node("two") as two:
        for start in range(0, 450, 150):
            ids = [f"M{number:04}" for number in range(start, start + 150)]
            await asyncio.gather(*(one.administration.add("mailbox", id_, NEW, BY) for id_ in ids))
        await two.registry.refresh()
        assert len(two.directory.mailboxes) == 451
        page, more = await two.administration.page("mailbox", limit=100, after="M0349")
        assert ([each["id"] for each in page], more) == ([f"M{number:04}" for number in range(350, 450)], False)
        page, more = await two.administration.page("mailbox", limit=3)
        assert ([each["id"] for each in page], more) == (["FILE", "M0000", "M0001"], True)
        page, more = await two.administration.page("mailbox", organisation="RXN")
        assert ([each["declared_in"] for each in page], more) == (["file"], False)
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(entries)) == 450


async def test_what_the_file_declares_wins_and_is_not_changed_here(node: Open) -> None:
    async with node() as one:
        for change in (
            one.administration.add("mailbox", "FILE", NEW, BY),
            one.administration.put("mailbox", "FILE", NEW, BY),
            one.administration.change("mailbox", "FILE", {"name": "x"}, BY),
            one.administration.remove("mailbox", "FILE", BY),
            one.administration.remove("workflow", "DECLARED", BY),
            one.administration.change("workflow", "DECLARED", {"to": []}, BY),
        ):
            with pytest.raises(DeclaredInFile, match="deployment file"):
                await change
        # A file that comes to declare what had been registered wins from then on.
        await one.administration.add("mailbox", "LATER", NEW, BY)
        later = Directory([Mailbox("LATER", MailboxProfile(organisation="RXN"), password=b"of the file")], [])
        one.registry.serve(later, EntryReader({}, Vault(b"shared")))
        await one.administration.change("mailbox", "LATER", {"name": "changed"}, BY)
        assert later.mailboxes["LATER"].password == b"of the file"
        assert one.directory.mailboxes["LATER"].name == "changed"


async def test_workflows_are_for_mailboxes_that_there_are(node: Open) -> None:
    async with node() as one:
        with pytest.raises(InvalidValue, match="There is no mailbox NEW"):
            await one.administration.add("workflow", "W", {"from": ["FILE"], "to": ["NEW"]}, BY)
        await one.administration.add("mailbox", "NEW", NEW, BY)
        await one.administration.add("workflow", "W", {"from": ["FILE"], "to": ["NEW"]}, BY)
        assert one.directory.may("W", "FILE", "NEW")
        assert not one.directory.may("W", "NEW", "FILE")
        assert [each.id for each in one.directory.receivers("W", "X26")] == ["NEW"]
        with pytest.raises(StillNamed, match="Workflows name NEW: W"):
            await one.administration.remove("mailbox", "NEW", BY)
        await one.administration.change("workflow", "W", {"to": []}, BY)
        assert one.directory.may("W", "FILE", "FILE")
        await one.administration.remove("workflow", "W", BY)
        await one.administration.remove("mailbox", "NEW", BY)
        assert not one.directory.may("W", "FILE", "NEW")
        with pytest.raises(NotFound):
            await one.administration.show("workflow", "W")


async def test_of_many_who_add_one_has_added_and_all_who_change_have_changed(node: Open) -> None:
    async with node("one") as one, node("two") as two:
        adding = [each.administration.add("mailbox", "NEW", NEW, BY) for each in (one, two) for _ in range(4)]
        came = await asyncio.gather(*adding, return_exceptions=True)
        assert sorted(type(each).__name__ for each in came) == ["AlreadyThere"] * 7 + ["dict"]
        changes = ({"name": "changed"}, {"organisation_name": "Elsewhere"}, {"active": False})
        nodes = (one, two, one)
        changing = [each.administration.change("mailbox", "NEW", said, BY) for each, said in zip(nodes, changes, strict=True)]
        await asyncio.gather(*changing)
        await two.registry.refresh()
        shown = await two.administration.show("mailbox", "NEW")
        assert (shown["name"], shown["active"], shown["version"]) == ("changed", False, 4)
        assert (await one.administration.show("mailbox", "NEW")) == shown
        assert two.directory.mailboxes["NEW"].password == PASSWORD.encode()


async def test_who_says_which_version_they_saw_changes_no_other(node: Open) -> None:
    async with node() as one:
        with pytest.raises(ChangedSince):
            await one.administration.put("mailbox", "NEW", NEW, BY, 1)
        await one.administration.put("mailbox", "NEW", NEW, BY, 0)
        await one.administration.change("mailbox", "NEW", {"name": "second"}, BY, 1)
        for late in (
            one.administration.put("mailbox", "NEW", NEW, BY, 0),
            one.administration.put("mailbox", "NEW", NEW, BY, 1),
            one.administration.change("mailbox", "NEW", {"name": "third"}, BY, 1),
            one.administration.remove("mailbox", "NEW", BY, 1),
        ):
            with pytest.raises(ChangedSince):
                await late
        assert (await one.administration.show("mailbox", "NEW"))["name"] == "second"


async def test_what_was_shown_can_be_sent_back_changed_and_the_password_stays(node: Open) -> None:
    async with node() as one:
        said = {**NEW, "certificates": [{"subject": "CN=a"}, {"sha256": "ab" * 32}]}
        shown = await one.administration.add("mailbox", "NEW", said, BY)
        assert "password" not in shown
        again, new = await one.administration.put("mailbox", "NEW", {**shown, "name": "Renamed"}, BY)
        assert (new, again["name"], again["certificates"]) == (False, "Renamed", said["certificates"])
        assert one.directory.mailboxes["NEW"].password == PASSWORD.encode()
        await one.administration.change("mailbox", "NEW", {"password": "another password", "name": None}, BY)
        assert (one.directory.mailboxes["NEW"].password, one.directory.mailboxes["NEW"].name) == (b"another password", "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "password: is missing; organisation: is missing"),
        ({**NEW, "organisation": "x"}, "organisation: "),
        ({**NEW, "pasword": PASSWORD}, "pasword: unknown member"),
        ({**NEW, "password": "short"}, "password: expected 8 to 200 printable characters"),
        ({**NEW, "password": ["in", "a list"]}, "password: expected 8 to 200 printable characters"),
        ({**NEW, "password": f"{PASSWORD}\n"}, "password: expected 8 to 200 printable characters"),
        ({**NEW, "name": "line\r\nmex-to: X"}, "name: "),
        ({**NEW, "name": PASSWORD * 20}, "name: "),
        ({**NEW, "certificates": [{"subject": PASSWORD}]}, "certificates.0.subject: expected a distinguished name"),
        ({**NEW, "id": "OTHER"}, "id: expected NEW, or nothing"),
    ],
)
async def test_what_is_wrong_is_told_without_repeating_what_could_be_a_password(
    node: Open, said: dict[str, Any], told: str
) -> None:
    async with node() as one:
        with pytest.raises(Fault, match=told) as refused:
            await one.administration.add("mailbox", "NEW", said, BY)
        assert (refused.value.status, PASSWORD in refused.value.diagnostics) == (400, False)
        for id_ in ("new", "N W", "", "N\n", "N" * 101):
            with pytest.raises(InvalidValue, match="id of a mailbox"):
                await one.administration.add("mailbox", id_, NEW, BY)


async def test_a_mailbox_that_nobody_could_use_is_refused(node: Open) -> None:
    named = {**NEW, "certificates": [{"subject": "CN=a"}]}
    async with node(certificates=Certificates(asked_for=False)) as one:
        with pytest.raises(InvalidValue, match="no listener of this deployment asks"):
            await one.administration.add("mailbox", "NEW", named, BY)
    async with node(certificates=Certificates(required=True)) as one:
        with pytest.raises(InvalidValue, match="at least one is needed"):
            await one.administration.add("mailbox", "NEW", NEW, BY)
        await one.administration.add("mailbox", "NEW", named, BY)


async def test_each_change_is_in_the_audit_with_who_and_what_and_never_with_a_password(node: Open, database: Database) -> None:
    async with node() as one:
        await one.administration.add("mailbox", "NEW", NEW, BY)
        with pytest.raises(AlreadyThere):
            await one.administration.add("mailbox", "NEW", NEW, BY)
        await one.administration.change("mailbox", "NEW", {"active": False, "password": "another password"}, BY)
        await one.administration.add("workflow", "W", {"to": ["NEW"]}, BY)
        await one.administration.remove("workflow", "W", BY)
        await one.administration.remove("mailbox", "NEW", BY)
        told = [each for each in await one.events() if each.kind.startswith(("mailbox.", "workflow."))]
        assert [each.kind for each in told] == [
            "mailbox.added", "mailbox.not_added", "mailbox.changed", "workflow.added", "workflow.removed", "mailbox.removed",
        ]  # fmt: skip
        assert {each.id for each in told} == {"m-1"}
        assert told[2].details == {"mailbox": "NEW", "by": "test", "changed": ["active", "password"]}
        kept = repr(await one.events())
    async with database.read() as connection:
        kept += repr((await connection.execute(select(entries))).all())
    assert PASSWORD not in kept
    assert "another password" not in kept


async def test_with_another_shared_key_a_mailbox_waits_for_a_new_password(node: Open) -> None:
    async with node() as one:
        await one.administration.add("mailbox", "NEW", NEW, BY)
    async with node(key=b"another") as other:
        assert other.directory.mailbox("NEW").password is None
        assert (await other.administration.show("mailbox", "NEW"))["needs_password"] is True
        shown = await other.administration.change("mailbox", "NEW", {"password": "the new one"}, BY)
        assert "needs_password" not in shown
        assert other.directory.mailbox("NEW").password == b"the new one"


async def test_an_entry_of_a_newer_release_is_left_out_and_the_others_are_not(node: Open, database: Database) -> None:
    async with node("one") as one, node("two") as two:
        await one.administration.add("mailbox", "NEW", NEW, BY)
        async with database.write() as connection:
            newer = {"version": 1, "changed_at": 0, "content": b'{"organisation": "X26", "wings": 2}'}
            await connection.execute(
                entries.insert(), [{"kind": kind, "id": "NEWER", **newer} for kind in ("mailbox", "workflow", "x")]
            )
        await two.registry.refresh()
        assert sorted(two.directory.mailboxes) == ["FILE", "NEW"]
        assert sorted(two.directory.workflows) == ["DECLARED"]


async def test_a_directory_that_nobody_uses_any_more_is_let_go(node: Open) -> None:
    async with node() as one:
        for _ in range(3):
            one.registry.serve(Directory([], []), EntryReader({}, None))
        gc.collect()
        assert len(one.registry._directories) == 1


async def test_what_is_known_stays_where_the_store_cannot_be_read(node: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as one:
        await one.administration.add("mailbox", "NEW", NEW, BY)

        def broken() -> Any:
            raise StoreError("the database cannot be reached")

        monkeypatch.setattr(one.registry._database, "read", broken)
        with pytest.raises(StoreError):
            await one.registry.follow()
        assert one.directory.mailbox("NEW") is not None


@given(st.binary(max_size=80), st.text(max_size=20), st.binary(max_size=40))
def test_a_password_opens_for_its_mailbox_and_key_alone(key: bytes, mailbox: str, password: bytes) -> None:
    vault = Vault(key)
    sealed = vault.seal(mailbox, password)
    assert vault.open(mailbox, sealed) == password
    assert vault.seal(mailbox, password) != sealed
    for other, at, text in (
        (Vault(key + b"."), mailbox, sealed),
        (vault, mailbox + ".", sealed),
        (vault, mailbox, sealed[:-1]),
        (vault, mailbox, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (vault, mailbox, b"\x02" + sealed[1:]),
        (vault, mailbox, password[:12]),
    ):
        with pytest.raises(Unopenable):
            other.open(at, text)
