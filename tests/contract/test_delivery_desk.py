"""`fiveways delivery`: a person works dead letters beside the platform, and the audit keeps who, what and why."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fiveways.cli.delivery import commands
from fiveways.clock import SystemClock
from fiveways.delivery.deadletters import Inspected
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.queue import Delivery, GiveUp, Queue
from fiveways.delivery.states import State
from fiveways.delivery.worker import Worker
from fiveways.errors import FivewaysError, StoreError
from fiveways.ledger.audit.verify import verify
from fiveways.platform.deadletters import dead_letters
from fiveways.platform.foundation import Foundation
from fiveways.platform.model import load
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import IN_ROW

pytestmark = pytest.mark.anyio

DEPLOYMENT = """
store: {{url: "{url}"}}
organisations: {{RXN: {{name: Northshire}}}}
"""
LARGE = b"x" * (IN_ROW + 1)


class Place:
    """A deployment that has run, and dead letters in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.file = folder / "deployment.yaml"
        self.file.write_text(DEPLOYMENT.format(url=url))
        self.data = folder / "data"
        self.got: list[tuple[str, str]] = []

    async def work(self, *promised: tuple[str, bytes], until: int = 0) -> list[str]:
        """Run a node for as long as it takes to try what is promised, and until so many deliveries have arrived; ids."""
        clock = SystemClock()
        foundation = await Foundation.open(load(self.file)[0], self.data, self.file.parent, clock)
        try:
            ledger = foundation.ledger
            deliveries = Deliveries(ledger.group, ledger.payloads, foundation.bus, clock, "north")

            async def take(delivery: Delivery) -> None:
                if delivery.target == "wrong":
                    raise GiveUp("hooks.example answered [404]")
                self.got.append((delivery.id, b"".join([piece async for piece in delivery.content()]).decode()))

            worker = Worker(deliveries, ledger.rates, [Queue(name="q", handler=take)], poll=0.05)
            worker.start()
            ids = []
            for target, body in promised:
                made = await deliveries.promise("q", key="k", target=target, body=body, correlation="corr-1")
                await ledger.group.transact(*made.steps)
                ids.append(made.id)
            deliveries.wake("q")
            async with asyncio.timeout(10):
                while (await deliveries.depth("q")).waiting or len(self.got) < until:
                    await asyncio.sleep(0.01)
            await worker.close()
            return ids
        finally:
            await foundation.close()

    async def run(self, *arguments: str, code: int = 0) -> str:
        """`fiveways delivery …`; what it says."""
        file = [] if arguments[0] == "list" else [arguments[1]]
        rest = arguments[1 + len(file) :]
        line = [arguments[0], *file, str(self.file), *rest]
        done = await asyncio.to_thread(CliRunner().invoke, commands, line)  # it runs an event loop of its own
        assert done.exit_code == code, done.output
        return done.output + (str(done.exception) if isinstance(done.exception, FivewaysError) else "")

    async def audit(self) -> list[dict[str, Any]]:
        """What the audit has of deliveries; and it is whole."""
        foundation = await Foundation.open(load(self.file)[0], self.data, self.file.parent, SystemClock())
        try:
            events = await foundation.ledger.audit.trace("corr-1")
            report = await verify(foundation.database, self.data, None)
            assert report.ok
            assert not report.gaps
        finally:
            await foundation.close()
        return [{"kind": event.kind, "id": event.id, "outcome": event.outcome, **(event.details or {})} for event in events]


@pytest.fixture
def place(tmp_path: Path, url: str) -> Place:
    return Place(tmp_path, url)


async def test_the_new_body_stays_where_it_is_not_known_whether_it_was_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id_,) = await place.work(("wrong", b"small"))
    transact = GroupWriter.transact

    async def lost(group: GroupWriter, *steps: Any, **more: Any) -> Any:
        await transact(group, *steps, **more)
        raise StoreError("the connection was lost at the commit")

    async with dead_letters(place.file, place.data) as desk:
        with monkeypatch.context() as patched:
            patched.setattr(GroupWriter, "transact", lost)
            with pytest.raises(StoreError):
                await desk.mend(id_, "a larger body", body=LARGE)
        mended = await desk.inspect(id_)
        assert b"".join([piece async for piece in desk.content(mended)]) == LARGE


async def test_a_dead_letter_is_looked_at_mended_and_sent_again_and_the_audit_says_who_and_why(place: Place) -> None:
    first, second = await place.work(("wrong", b'{"n": 1}'), ("wrong", LARGE))
    listed = await place.run("list")
    assert first in listed
    assert "hooks.example answered [404]" in listed
    found = json.loads(await place.run("list", "--queue", "q", "--json"))
    assert [(each["id"], each["reason"]) for each in found] == [(each, "hooks.example answered [404]") for each in (first, second)]
    assert json.loads(await place.run("list", "--queue", "other", "--json")) == []
    shown = json.loads(await place.run("show", first, "--json"))
    assert [event["happening"] for event in shown["events"]] == ["promise", "claim", "give up"]
    assert (shown["state"], shown["target"], shown["size"]) == ("dead", "wrong", 8)
    assert '"n"' not in json.dumps(shown)
    assert await place.run("show", first, "--body") == '{"n": 1}'
    assert await place.run("show", second, "--body") == LARGE.decode()
    assert "give up" in await place.run("show", first)

    assert "--reason" in await place.run("resend", first, code=2)
    assert "reason is needed" in await place.run("resend", first, "--reason", "", code=1)
    assert "nothing to mend" in await place.run("mend", first, "--reason", "x", code=1)
    new = place.file.parent / "body.json"
    new.write_text('{"n": 2}')
    await place.run("mend", first, "--reason", "receiver moved", "--target", "right", "--body", str(new))
    await place.run("resend", first, "--reason", "INC-1234")
    assert "no dead letter" in await place.run("resend", first, "--reason", "again", code=1)
    await place.run("discard", second, "--reason", "sent by post")
    assert "no dead letters" in await place.run("list")
    await place.work(until=1)
    assert place.got == [(first, '{"n": 2}')]

    account = pwd.getpwuid(os.getuid()).pw_name
    told = await place.audit()
    expected = [
        ("delivery.mended", first, "receiver moved"),
        ("delivery.resent", first, "INC-1234"),
        ("delivery.discarded", second, "sent by post"),
    ]
    assert [(each["kind"], each["id"], each["reason"]) for each in told] == expected
    assert {(each["account"], each["by"], each["queue"], each["outcome"]) for each in told} == {(account, "operator", "q", "")}


async def test_of_two_at_once_the_audit_says_which_did_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (id_,) = await place.work(("wrong", b"x"))
    async with dead_letters(place.file, place.data) as letters:
        before = await letters.inspect(id_)

        async def as_both_saw_it(_: str, *states: State) -> Inspected:
            return before

        monkeypatch.setattr(letters, "_in", as_both_saw_it)
        await asyncio.gather(letters.resend(id_, "a"), letters.resend(id_, "b"), return_exceptions=True)
    assert sorted(each["outcome"] for each in await place.audit()) == ["", "NOT_DONE"]
