"""Files that arrive over SFTP from OpenSSH's own client: recognised as agreed, verified, released, with a receipt."""

from __future__ import annotations

import hashlib
import json
import os
import time

from joserfc import jws
from tests.acceptance.bulk.conftest import Estate, Partner, make_key

ROWS = "id,value\n" + "".join(f"{number},x\n" for number in range(5000))


def test_a_file_is_released_to_who_collects_it_and_its_receipt_to_who_sent_it(estate: Estate) -> None:
    file = estate.file("day.csv", ROWS)
    estate.north.sftp(f"put {file} /plain/day.csv")
    transfer = estate.ended("plain", "day.csv")
    assert (transfer["state"], transfer["size"]) == ("released", len(ROWS))
    got = estate.folder / "got.csv"
    estate.south.sftp(f"get /plain/day.csv {got}")
    assert got.read_text() == ROWS
    assert estate.ended("plain", "day.csv", "collected")["id"] == transfer["id"]
    estate.north.sftp(f"get /receipts/day.csv.receipt.jws {estate.folder / 'receipt.jws'}")
    receipt = (estate.folder / "receipt.jws").read_text()
    assert estate.bulk("receipt", transfer["id"], "--jws").strip() == receipt
    with estate.served.client() as client:
        keys = client.get("/oauth2/jwks").json() if client.get("/oauth2/jwks").status_code == 200 else None
    claims = json.loads(jws.extract_compact(receipt.encode()).payload)
    assert keys is None or keys["keys"]
    assurances = claims["assurances"]
    assert claims["outcome"] == "released"
    assert assurances["encrypted"]["transport"]["cipher"].startswith("aes")
    assert assurances["encrypted"]["at_rest"]["algorithm"] == "AES-256-GCM"
    assert assurances["unchanged"]["digests"]["sha256"] == hashlib.sha256(ROWS.encode()).hexdigest()
    assert [event["event"] for event in assurances["audited"]] == ["begin", "receive", "verify", "release"]


def test_a_file_waits_for_its_marker(estate: Estate) -> None:
    file, marker = estate.file("m.csv", ROWS), estate.file("m.csv.done", "")
    estate.north.sftp(f"put {file} /marked/m.csv")
    estate.ended("marked", "m.csv", "receiving")
    estate.north.sftp(f"put {marker} /marked/m.csv.done")
    assert estate.ended("marked", "m.csv")["state"] == "released"
    estate.north.sftp(f"put {marker} /marked/first.csv.done")
    estate.ended("marked", "first.csv", "announced")
    other = estate.file("first.csv", "id\n1\n")
    estate.north.sftp(f"put {other} /marked/first.csv")
    assert estate.ended("marked", "first.csv")["state"] == "released"


def test_a_digest_beside_it_is_compared(estate: Estate) -> None:
    good, digest = estate.file("s.csv", ROWS), hashlib.sha256(ROWS.encode()).hexdigest()
    sidecar = estate.file("s.csv.sha256", f"{digest}  s.csv\n")
    estate.north.sftp(f"put {good} /summed/s.csv", f"put {sidecar} /summed/s.csv.sha256")
    transfer = estate.ended("summed", "s.csv", "collected")
    out = estate.served.folder / "out" / "summed" / f"summed-{transfer['id']}.csv"
    assert out.read_text() == ROWS
    other = estate.file("o.csv", ROWS.replace("17,x", "17,y"))
    lying = estate.file("o.csv.sha256", f"{digest}  o.csv\n")
    estate.north.sftp(f"put {lying} /summed/o.csv.sha256", f"put {other} /summed/o.csv")
    rejected = estate.ended("summed", "o.csv")
    assert rejected["state"] == "rejected"
    assert f"and {digest} is said" in " ".join(rejected["reasons"])
    assert len(list(out.parent.iterdir())) == 1


def test_the_files_of_a_manifest_are_complete_together(estate: Estate) -> None:
    contents = {f"{name}.csv": f"id\n{name}\n" for name in ("a", "b")}
    said = [
        {"name": name, "size": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest(), "records": 1}
        for name, text in contents.items()
    ]
    manifest = estate.file("x.manifest.json", json.dumps({"files": said}))
    first, second = (estate.file(name, text) for name, text in contents.items())
    estate.north.sftp(f"put {first} /listed/a.csv", f"put {manifest} /listed/x.manifest.json")
    estate.ended("listed", "b.csv", "announced")
    assert estate.ended("listed", "a.csv", "receiving")
    estate.north.sftp(f"put {second} /listed/b.csv")
    for name in contents:
        assert estate.ended("listed", name, "collected")
    assert estate.backend is not None
    posted = {seen.body.decode() for seen in estate.backend.requests("/taken")}
    assert posted == set(contents.values())
    lying = estate.file("y.manifest.json", json.dumps({"files": [{"name": "c.csv", "size": 7, "sha256": "0" * 64}]}))
    third = estate.file("c.csv", "id\nc\n")
    estate.north.sftp(f"put {third} /listed/c.csv", f"put {lying} /listed/y.manifest.json")
    assert len(estate.ended("listed", "c.csv", "rejected")["reasons"]) == 2
    broken = estate.file("z.manifest.json", "{")
    estate.north.sftp(f"put {broken} /listed/z.manifest.json")
    assert "not JSON" in estate.ended("listed", "z.manifest.json", "rejected")["reasons"][0]


def test_a_trailer_is_the_end_of_a_file(estate: Estate) -> None:
    whole, cut = estate.file("w.csv", "1,a\n2,b\nTRL,2\n"), estate.file("cut.csv", "1,a\n2,b\n")
    short = estate.file("short.csv", "1,a\nTRL,5\n")
    estate.north.sftp(*(f"put {file} /ended/{file.name}" for file in (whole, cut, short)))
    assert estate.ended("ended", "w.csv")["state"] == "released"
    assert "not the trailer" in estate.ended("ended", "cut.csv", "rejected")["reasons"][0]
    assert "5 records are said" in estate.ended("ended", "short.csv", "rejected")["reasons"][0]


def test_a_file_that_is_still_for_long_enough_is_complete(estate: Estate) -> None:
    file = estate.file("q.csv", ROWS)
    estate.north.sftp(f"put {file} /still/q.csv")
    assert estate.ended("still", "q.csv")["state"] == "released"


def test_gaps_of_a_sequence_are_reported_and_a_replay_is_refused(estate: Estate) -> None:
    for number in (1, 4):
        file = estate.file(f"N{number}.csv", f"id\n{number}\n")
        estate.north.sftp(f"put {file} /numbered/N{number}.csv")
        estate.ended("numbered", f"N{number}.csv")
    assert estate.ended("numbered", "N4.csv")["reasons"] == ["numbers 2, 3 of the sequence have not come"]
    again = estate.file("N5.csv", "id\n4\n")
    estate.north.sftp(f"put {again} /numbered/N5.csv")
    assert "released before" in estate.ended("numbered", "N5.csv", "rejected")["reasons"][0]


def test_what_is_never_complete_expires(estate: Estate) -> None:
    file = estate.file("b.csv", ROWS)
    estate.north.sftp(f"put {file} /brief/b.csv")
    time.sleep(1)
    assert estate.ended("brief", "b.csv", "expired", seconds=15)


def test_other_files_are_the_partner_s_own_and_belong_to_no_feed(estate: Estate) -> None:
    file = estate.file("own.csv", ROWS)
    estate.north.sftp(f"put {file} /private/own.csv", "rename /private/own.csv /private/renamed.csv")
    assert "renamed.csv" in estate.north.sftp("ls /private")
    assert not [each for each in estate.transfers() if "own" in each["name"]]
    assert "southshire" not in estate.south.sftp("ls /")


def test_what_a_newer_upload_replaces_is_off_the_disk_in_seconds(estate: Estate) -> None:
    before = estate.payloads()
    for number in range(3):
        estate.north.sftp(f"put {estate.file('large.bin', os.urandom(200_000 + number))} /private/large.bin")
    estate.until(lambda: len(estate.payloads() - before) == 1)
    estate.north.sftp("rm /private/large.bin")
    estate.until(lambda: not estate.payloads() - before)


def test_one_trace_shows_a_transfer_from_its_upload_to_its_end(estate: Estate) -> None:
    file = estate.file("t.csv", ROWS + "traced,x\n")
    estate.north.sftp(f"put {file} /plain/t.csv")
    transfer = estate.ended("plain", "t.csv")
    shown = estate.served.run("trace", transfer["correlation"]).stdout
    for kind in ("bulk.session.opened", "bulk.file.kept", "bulk.transfer.receive", "bulk.transfer.release"):
        assert kind in shown, shown
    assert "t.csv" not in shown


def test_a_partner_is_registered_while_it_runs_and_removed_again(estate: Estate) -> None:
    make_key(estate.folder / "westshire")
    public = (estate.folder / "westshire.pub").read_text().strip()
    said = estate.file("partner.yaml", f"organisation: RXS\naccess: {{keys: ['{public}']}}\nfolders: [/in]\n")
    west = Partner("westshire", estate.folder / "westshire", estate.north.port)
    assert west.run_sftp("ls /").returncode
    estate.bulk("partner", "add", "westshire", str(said))
    estate.until(lambda: west.run_sftp("ls /in").returncode == 0)
    assert "registered" in estate.bulk("partner", "list")
    assert "change it there" in estate.bulk("partner", "add", "northshire", str(said), check=False)
    estate.bulk("partner", "remove", "westshire")
    estate.until(lambda: west.run_sftp("ls /in").returncode != 0)


def test_a_feed_whose_file_does_not_come_is_late_and_somebody_is_told(estate: Estate) -> None:
    estate.until(lambda: '"late"' in estate.served.log and "a file of awaited was to have come" in estate.served.log, 30)
    estate.north.sftp(f"put {estate.file('in-time.csv', ROWS)} /awaited/in-time.csv")
    estate.until(lambda: '"cleared"' in estate.served.log, 30)
