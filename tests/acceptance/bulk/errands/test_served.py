"""Errands of the platform as it is served: what is fetched is a feed's file, and what a feed releases is brought on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.bulk.conftest import estate_of, started
from tests.acceptance.bulk.errands import partner as partners
from tests.acceptance.bulk.errands.partner import HOST_KEY, OUR_KEY, Partner
from tests.acceptance.conftest import Serve

CONTENT = b"id,name\n" + b"".join(b"%d,x\n" % number for number in range(40_000))


@contextmanager
def beside(folder: Path) -> Iterator[Partner]:
    """A partner's server in a thread, for tests that wait for other processes."""
    loop, ready, made = asyncio.new_event_loop(), threading.Event(), list[Partner]()
    over = asyncio.Event()

    async def serve() -> None:
        async with partners.running(folder) as partner:
            made.append(partner)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


def test_what_is_fetched_is_a_feeds_file_and_what_is_released_is_brought_on(serve: Serve, tmp_path: Path) -> None:
    with beside(tmp_path) as there:
        (there.root / "in").mkdir()
        server = f"""{{host: 127.0.0.1, port: {there.port}, user: fiveways, key: "file:our.key",
            host_keys: ["{HOST_KEY.export_public_key().decode().strip()}"]}}"""
        feeds = """
  activity: {from: northshire, folder: /activity, files: "*.csv", to: [{partner: southshire}]}
errands:
  fetch: {do: pull, partner: away, tree: northshire, from: /out, to: /activity, after: remove, complete_when: {still_for: 0s}}
  bring: {do: push, partner: away, tree: southshire, from: /activity, to: /in}
  often: {do: pull, partner: away, tree: northshire, from: /often, to: /private, schedule: {every: 10s},
           complete_when: {still_for: 0s}}
"""
        context, sftp, names = estate_of(serve, feeds, tmp_path)
        with context as served:
            text = (served.folder / "deployment.yaml").read_text()
            away = f"partners:\n  away: {{organisation: RXS, server: {server}}}\n"
            (served.folder / "deployment.yaml").write_text(text.replace("partners:\n", away, 1))
            (served.folder / "our.key").write_bytes(OUR_KEY.export_private_key())
            there.put("often/b.csv", b"by the schedule")
            there.put("out/a.csv", CONTENT)
            estate = started(served, tmp_path, sftp, names)
            said = estate.bulk("pull", "fetch")
            assert "a.csv" in said, said
            transfer = estate.ended("activity", "a.csv", "released")
            assert [each["name"] for each in estate.transfers()] == ["a.csv"], "of temporary names nobody hears"
            assert transfer["size"] == len(CONTENT)
            estate.bulk("push", "bring")
            assert there.files("in") == {"a.csv": CONTENT}
            assert there.files("out") == {}
            estate.bulk("push", "bring")
            assert there.asked.count("rename") == 1
            estate.until(lambda: "b.csv" in estate.north.sftp("ls /private"), seconds=25)
