"""Whenever the platform is killed, before or after the commit of whatever can happen to a transfer: no file that was acknowledged
is lost, none is released twice, and none released broken."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable
from pathlib import Path
from string import Template

import pytest
from tests.acceptance.bulk.conftest import Estate, Partner, estate_of
from tests.acceptance.conftest import Serve
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

from fiveways.methods.bulk.states import TRANSITIONS

HAPPENINGS = sorted({happening for _, happening in TRANSITIONS})
FEED = """
  $name:
    from: northshire
    files: "*.csv"
    deliver_to: [{folder: "out/$name", batches: {records: 200}}]
    $more
"""
TAKEN = ("released", "part-released", "collected")
RECORDS = "records: {columns: {id: {type: integer, required: true}, word: {}}, unique: [id]}"
MORE = {
    "announce": 'complete_when: {marker: "{name}.done"}',
    "expire": 'complete_when: {marker: "{name}.done"}\n    within: 1s',
    "reject": "digest: {by: sidecar}",
}
GOOD = "id,word\n" + "".join(f"{number},word\n" for number in range(1, 501))
BAD = GOOD.replace("250,", "x,").replace("\n251,", "\ny,")


@pytest.mark.timeout(560)  # it is started again for each event
def test_no_acknowledged_file_is_lost_released_twice_or_released_broken(serve: Serve, tmp_path: Path) -> None:
    crash(serve, tmp_path, "")


@pytest.mark.timeout(560)  # it is started again for each event
@pytest.mark.long
def test_the_same_over_postgresql(serve: Serve, tmp_path: Path, postgres: Callable[[], str]) -> None:  # noqa: F811
    crash(serve, tmp_path, postgres())


def crash(serve: Serve, tmp_path: Path, database: str) -> None:
    """Kill it at everything that can happen, and look at what came of it all. `database`: a URL; '' is SQLite."""
    cases = [(happening, when) for happening in HAPPENINGS for when in ("before", "after")]
    feeds = "".join(
        Template(FEED).substitute(name=f"{happening}-{when}", more=MORE.get(happening, RECORDS)) for happening, when in cases
    )
    context, sftp, names = estate_of(serve, feeds, tmp_path, f"store: {{url: '{database}'}}" if database else "")
    with context as served:
        for name in names:
            (served.folder / f"{name}.pub").write_bytes((tmp_path / f"{name}.pub").read_bytes())
        estate = Estate(served, tmp_path, {name: Partner(name, tmp_path / name, sftp) for name in names}, database=database)
        acknowledged = set()
        for happening, when in cases:
            served.environment["CRASH_AT"] = f"bulk_transfer_events {happening} {when}"
            by_hand = happening in ("mend", "resubmit")
            if by_hand:
                del served.environment["CRASH_AT"]
            served.start()
            for name, content in files_of(happening, when)[: 1 if happening == "announce" else None]:
                file = estate.file(name, content)
                if not estate.north.run_sftp(f"put {file} /{happening}-{when}/{name}").returncode:
                    acknowledged.add((happening, when, name))
            if by_hand:
                mended(estate, happening, when)
                served.stop()
            else:
                assert served.process.wait(30) == -signal.SIGKILL, (happening, when, served.log[-2000:])
        served.environment.pop("CRASH_AT", None)
        served.start()
        for happening, when in cases:
            for name, content in files_of(happening, when):
                if (happening, when, name) not in acknowledged:
                    estate.north.sftp(f"put {estate.file(name, content)} /{happening}-{when}/{name}")
        for happening, when in cases:
            looked_at(estate, happening, when)


def files_of(happening: str, when: str) -> list[tuple[str, str]]:
    """What is sent, in this order."""
    name, marked = f"{happening}-{when}.csv", (GOOD if happening not in ("release_part", "mend", "resubmit") else BAD)
    content = marked.replace("1,word\n", f"1,{happening}-{when}\n", 1)  # no two files are alike
    if happening == "announce":
        return [(f"{name}.done", ""), (name, content)]
    if happening == "reject":
        return [(name, content), (f"{name}.sha256", hashlib.sha256(b"another").hexdigest())]
    return [(name, content)]


def mended(estate: Estate, happening: str, when: str) -> None:
    """Mend what was set aside, by a command that is killed."""
    feed, name = f"{happening}-{when}", f"{happening}-{when}.csv"
    transfer = estate.ended(feed, name, "part-released", "collected")
    for record in (250, 251) if happening == "mend" else (250,):
        estate.bulk("quarantine", "mend", transfer["id"], str(record), "--set", f"id={record}", "--reason", "known")
    estate.served.environment["CRASH_AT"] = f"bulk_transfer_events {happening} {when}"
    killed = estate.served.run("bulk", "quarantine", "resubmit", transfer["id"], "--reason", "mended")
    assert killed.returncode == -signal.SIGKILL, killed


def looked_at(estate: Estate, happening: str, when: str) -> None:
    """What came of a file in the end."""
    feed, name = f"{happening}-{when}", f"{happening}-{when}.csv"
    content = dict(files_of(happening, when))[name]
    out = estate.served.folder / "out" / feed
    if happening == "expire":
        assert estate.ended(feed, name, "expired", seconds=45)
    elif happening == "reject":
        assert estate.ended(feed, name, "rejected", seconds=45)
    if happening in ("expire", "reject"):
        assert not out.exists()
        return
    estate.until(lambda: any(each["state"] in TAKEN for each in estate.transfers(feed)), 60)
    transfer = next(each for each in estate.transfers(feed) if each["state"] in TAKEN)
    if happening in ("mend", "resubmit") and transfer["set_aside"] == 2:  # what was killed has not done it
        estate.bulk("quarantine", "resubmit", transfer["id"], "--reason", "again")
    estate.until(lambda: estate.undelivered(transfer["id"]) == 0, 60)
    parts = [path.read_text() for path in sorted(out.glob("*.csv"))]
    lines = [line for part in parts for line in part.splitlines()[1:]]
    expected = content.splitlines()[1:]
    if content.count("x,") and happening == "release_part":
        expected = [line for line in expected if not line.startswith(("x,", "y,"))]
    elif happening == "mend":
        expected = GOOD.replace("1,word\n", f"1,{happening}-{when}\n", 1).splitlines()[1:]
    elif happening == "resubmit":
        expected = [line for line in GOOD.replace("1,word\n", f"1,{happening}-{when}\n", 1).splitlines()[1:] if line != "251,word"]
    assert sorted(lines) == sorted(expected), (happening, when)
    assert len([each for each in estate.transfers(feed) if each["state"] in TAKEN]) == 1, (happening, when)
