"""Files with bad records: the good ones go on, each bad one is set aside with its reasons, and a person mends it."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.acceptance.bulk.conftest import Estate, estate_of, started
from tests.acceptance.conftest import Serve

FEEDS = """
  activity:
    from: northshire
    folder: /activity
    files: "*.csv*"
    digest: {by: sidecar}
    records: &records
      columns:
        id: {type: integer, required: true}
        nhs_number: {type: nhs_number, required: true}
        admitted: {type: date, required: true}
        ward: {type: code, codes: [A1, B2, C3]}
        age: {type: integer, min: 0, max: 120, mask: show}
      unique: [id]
      bad_records: {policy: stop-at, percent: 20%}
    deliver_to:
      - {folder: out/whole}
      - {folder: out/batches, batches: {records: 100}}
    to: [{partner: southshire}]
  strict:
    from: northshire
    folder: /strict
    files: "*.csv"
    records: {columns: {id: {type: integer, required: true}, name: {}}, bad_records: {policy: reject-file}}
  packed:
    from: northshire
    folder: /packed
    files: "*.gz"
    records: {columns: {id: {type: integer}}}
    deliver_to: [{folder: out/packed}]
    to: [{partner: southshire}]
    receipt: {folder: /packed-receipts}
  aged: {from: northshire, folder: /aged, files: "*.csv", oldest: 30d, records: {columns: {day: {type: date}}}}
  referring:
    from: northshire
    folder: /referring
    files: "*.csv"
    records: {columns: {id: {type: integer, references: {feed: activity, column: id}}}}
  trailed:
    from: northshire
    folder: /trailed
    files: "*.csv"
    records: {columns: {id: {type: integer, required: true}}, trailer: 'T,(?P<count>[0-9]+)'}
"""
NUMBERS = ["9434765919", "9434765870", "9000000009", "4010232137"]


@pytest.fixture(scope="module")
def estate(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The platform, with feeds whose records are checked."""
    folder = tmp_path_factory.mktemp("partners")
    context, sftp, names = estate_of(serve, FEEDS, folder)
    with context as served:
        yield started(served, folder, sftp, names)


def rows(count: int, first: int = 1) -> list[str]:
    """Good rows."""
    choose = random.Random(7)
    return [
        f"{number},{choose.choice(NUMBERS)},2026-11-{choose.randint(1, 20):02},A1,{choose.randint(0, 99)}"
        for number in range(first, first + count)
    ]


HEADER = "id,nhs_number,admitted,ward,age\n"


def test_good_records_go_on_and_bad_ones_are_mended(estate: Estate) -> None:
    lines = rows(1000)
    lines[9] = "10,9434765918,2026-11-02,A1,30"  # a wrong check digit
    lines[499] = "500,9434765919,2026-11-02,Z9,130"  # two rules
    lines[700] = "broken"
    lines[800] = lines[799]  # twice
    file = estate.file("a.csv.gz", gzip.compress((HEADER + "\n".join(lines) + "\n").encode()))
    digest = estate.file("a.csv.gz.sha256", hashlib.sha256(file.read_bytes()).hexdigest())
    estate.north.sftp(f"put {file} /activity/a.csv.gz", f"put {digest} /activity/a.csv.gz.sha256")
    transfer = estate.ended("activity", "a.csv.gz", "part-released")
    assert (transfer["records"], transfer["accepted"], transfer["set_aside"]) == (1000, 996, 4)
    good = [line for at, line in enumerate(lines) if at not in (9, 499, 700, 800)]
    whole = estate.served.folder / "out" / "whole" / f"activity-{transfer['id']}.csv"
    estate.until(whole.exists)
    assert whole.read_text() == HEADER + "\n".join(good) + "\n"
    batches = estate.served.folder / "out" / "batches"
    estate.until(lambda: len(list(batches.glob("*.csv"))) == 10)
    parts = [path.read_text() for path in sorted(batches.glob("*.csv"))]
    assert all(part.startswith(HEADER) for part in parts)
    assert "".join(part.removeprefix(HEADER) for part in parts) == "\n".join(good) + "\n"
    assert [part.count("\n") - 1 for part in parts] == [100] * 9 + [96]
    collected = estate.folder / "collected.csv"
    estate.south.sftp(f"get /activity/a.csv {collected}")
    assert collected.read_text() == whole.read_text()

    aside = json.loads(estate.bulk("quarantine", "list", transfer["id"], "--json"))
    broken = {each["record"]: sorted(breach["rule"] for breach in each["breaches"]) for each in aside}
    assert broken == {10: ["check-digit"], 500: ["code", "range"], 701: ["columns"], 801: ["unique"]}
    assert "9434765918" not in json.dumps(aside)
    id_ = transfer["id"]
    assert estate.bulk("quarantine", "show", id_, "10") == lines[9] + "\n"
    estate.bulk("quarantine", "mend", id_, "10", "--set", "nhs_number=9434765919", "--reason", "the ward has rung")
    estate.bulk("quarantine", "mend", id_, "500", "--set", "ward=A1", "--reason", "a slip")
    said = estate.bulk("quarantine", "resubmit", id_, "--reason", "mended with the ward", check=False)
    assert "released: 1; still set aside: 3" in said
    assert "record 500: range age 130" in said
    raw = estate.file("raw", "701,9434765919,2026-11-02,A1,3\n")
    estate.bulk("quarantine", "mend", id_, "500", "--set", "age=13", "--reason", "a slip")
    estate.bulk("quarantine", "mend", id_, "701", "--raw", str(raw), "--reason", "from the paper")
    estate.bulk("quarantine", "mend", id_, "801", "--set", "id=801", "--reason", "it was another")
    assert "released: 3; still set aside: 0" in estate.bulk("quarantine", "resubmit", id_, "--reason", "all done")
    after = estate.ended("activity", "a.csv.gz", "released", "collected")
    assert (after["records"], after["accepted"], after["set_aside"]) == (1000, 1000, 0)
    estate.until(lambda: len(list(whole.parent.glob("*.csv"))) == 3)
    mended = "".join(path.read_text().removeprefix(HEADER) for path in sorted(whole.parent.glob("*-0000?.csv")))
    assert sorted(mended.splitlines()) == sorted(
        [
            "10,9434765919,2026-11-02,A1,30",
            "500,9434765919,2026-11-02,A1,13",
            "701,9434765919,2026-11-02,A1,3",
            "801," + lines[799].partition(",")[2],
        ]
    )
    assert "a.mended-2.csv" in estate.south.sftp("ls /activity")
    receipt = json.loads(estate.bulk("receipt", id_))
    assert receipt["records"] == {"counted": 1000, "accepted": 1000, "set_aside": 0}
    audit = estate.served.run("trace", transfer["correlation"]).stdout
    assert "record_mended" in audit
    assert "943476" not in audit

    page = estate.folder / "report.html"
    estate.bulk("report", id_, "--out", str(page))
    assert "<svg" in page.read_text()
    assert "9434765918" not in page.read_text()
    assert json.loads(estate.bulk("report", id_, "--as", "json"))["transfer"] == id_
    outcome = json.loads(estate.bulk("report", id_, "--as", "operation-outcome"))
    assert outcome["resourceType"] == "OperationOutcome"


def test_too_many_bad_records_reject_the_file(estate: Estate) -> None:
    for feed, content in (
        ("strict", "id,name\n1,a\nx,b\n"),
        ("trailed", "id\n1\n2\nT,3\n"),
    ):
        file = estate.file(f"{feed}.csv", content)
        estate.north.sftp(f"put {file} /{feed}/{feed}.csv")
        transfer = estate.ended(feed, f"{feed}.csv", "rejected")
        assert transfer["reasons"], transfer
        assert transfer["good"] is None


def test_a_sender_that_reads_its_receipt_collects_nothing_and_what_is_compressed_stays_so(estate: Estate) -> None:
    content = gzip.compress(b"id\n1\n2\n")
    estate.north.sftp(f"put {estate.file('p.csv.gz', content)} /packed/p.csv.gz")
    transfer = estate.ended("packed", "p.csv.gz", "released")
    out = estate.served.folder / "out" / "packed" / f"packed-{transfer['id']}.csv.gz"
    estate.until(out.exists)
    assert out.read_bytes() == content
    estate.north.sftp(f"get /packed-receipts/p.csv.gz.receipt.jws {estate.folder / 'r.jws'}")
    assert estate.ended("packed", "p.csv.gz")["state"] == "released", "it is for another to collect"
    assert transfer["reasons"] == []
    estate.south.sftp(f"get /packed/p.csv.gz {estate.folder / 'p.got'}")
    assert estate.ended("packed", "p.csv.gz", "collected")


def test_old_records_are_said_to_be_old(estate: Estate) -> None:
    old = estate.file("old.csv", "day\n2020-01-01\n2020-02-01\n")
    estate.north.sftp(f"put {old} /aged/old.csv")
    transfer = estate.ended("aged", "old.csv", "released")
    assert "its newest record is" in transfer["reasons"][0]


def test_a_file_refers_to_what_another_feed_has_released(estate: Estate) -> None:
    known = (HEADER + "\n".join(rows(2)) + "\n").encode()
    first, digest = estate.file("known.csv", known), estate.file("known.csv.sha256", hashlib.sha256(known).hexdigest())
    estate.north.sftp(f"put {first} /activity/known.csv", f"put {digest} /activity/known.csv.sha256")
    estate.ended("activity", "known.csv", "released", "collected")
    file = estate.file("r.csv", "id\n1\n2\n999999\n")
    estate.north.sftp(f"put {file} /referring/r.csv")
    transfer = estate.ended("referring", "r.csv", "part-released")
    assert (transfer["accepted"], transfer["set_aside"]) == (2, 1)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.csv.gz": (lambda: gzip.compress(bytes(100_000_000), 9), ""),
    "empty.csv": (lambda: b"", "empty"),
    "noheader.csv": (lambda: b"a,b\n1,2\n", ""),
    "latin.csv": (lambda: HEADER.encode() + b"1,9434765919,2026-11-02,A\xe91,3\n", ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_a_verdict(estate: Estate, name: str) -> None:
    content, reason = HOSTILE[name][0](), HOSTILE[name][1]
    file = estate.file(name, content)
    digest = estate.file(f"{name}.sha256", hashlib.sha256(content).hexdigest())
    estate.north.sftp(f"put {file} /activity/{name}", f"put {digest} /activity/{name}.sha256")
    transfer = estate.ended("activity", name, "rejected")
    assert reason in " ".join(transfer["reasons"])
    assert Path(estate.served.folder / "out" / "whole" / f"activity-{transfer['id']}.csv").exists() is False
