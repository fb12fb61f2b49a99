"""The hospital's side: it makes extracts, with an error here and there, and sends them with OpenSSH's sftp.

python northshire.py keys              a key pair for each partner, and the key that files are encrypted with at rest
python northshire.py extracts          attendances, spells, and what they are reimbursed with, into outgoing/
python northshire.py send planning     what belongs to a feed: planning, commissioning or tariff
python northshire.py receipts          fetch the receipts that have come, into receipts/
python northshire.py fetch planners    what a partner may collect, into its folder: planners or board

NHS numbers are of the range 999, which no patient has.
"""

# ruff: noqa: T201, S311, S603, S607 (a program that prints, draws lots, and has other programs run)

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

PORT = 2291
KEYS, OUT = Path("keys"), Path("outgoing")
PARTNERS = ("northshire", "planners", "board")
COLLECTS = {"planners": "/planning", "board": "/commissioning"}
SPELLS, ATTENDANCES = 1000, 2000


def nhs_numbers(choose: random.Random) -> Iterator[str]:
    """NHS numbers that no patient has."""
    while True:
        nine = f"999{choose.randrange(10**6):06}"
        check = 11 - sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
        if check != 10:  # there is no such digit
            yield f"{nine}{check % 11}"


def keys() -> None:
    """Make what partners and the platform have to keep secret, where it is not there."""
    KEYS.mkdir(mode=0o700, exist_ok=True)
    for name in PARTNERS:
        if not (KEYS / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(KEYS / name)], check=True)
    if not (KEYS / "files.key").exists():
        (KEYS / "files.key").touch(mode=0o600)
        (KEYS / "files.key").write_text(secrets.token_hex(32))


def extracts() -> None:
    """Make the files of yesterday."""
    OUT.mkdir(exist_ok=True)
    choose, day = random.Random(7), datetime.now(UTC).date() - timedelta(days=1)
    numbers = nhs_numbers(choose)
    _attendances(choose, numbers, datetime(day.year, day.month, day.day, tzinfo=UTC))
    spells = []
    for number in range(1, SPELLS + 1):
        nights = choose.randrange(30)
        spell = {
            "spell": f"S{number:08}", "nhs_number": next(numbers), "admitted": str(day - timedelta(days=nights)),
            "discharged": str(day), "method": choose.choice(["11", "12", "21", "22"]), "bed_days": nights,
        }  # fmt: skip
        spells.append(spell)
    spells[41]["bed_days"] = -1  # less than none, and not what its days say
    spells[99]["method"] = "99"  # no such method
    lines = [json.dumps(spell) for spell in spells]
    lines[499] = lines[499][:40]  # the end of a line is missing
    _listed(f"spells-{day}.ndjson", "\n".join(lines).encode() + b"\n", SPELLS)
    good = [number for number in range(1, SPELLS + 1) if number not in (42, 100, 500)]
    groups = ["AA22C", "DZ11K", "EB07D", "HN12F", "LA04H"]
    prices = [f"S{number:08},{choose.choice(groups)},{choose.randrange(50_000, 900_000) / 100:.2f}" for number in good]
    for number, rows in ((1, prices), (3, [*prices[:10], "S99999999,AA22C,100.00"])):  # the last is of a spell that nobody knows
        content = "\n".join(["spell,hrg,price", *rows]).encode() + b"\n"
        _listed(f"tariff-{number:04}.csv.gz", gzip.compress(content, mtime=0), len(rows))


def _attendances(choose: random.Random, numbers: Iterator[str], day: datetime) -> None:
    rows = []
    for number in range(1, ATTENDANCES + 1):
        came = day + timedelta(minutes=choose.randrange(1200))
        left = came + timedelta(minutes=choose.randrange(10, 230))
        rows.append([str(number), next(numbers), choose.choice(["AE", "AMU", "MIU"]), f"{came:%FT%T}", f"{left:%FT%T}"])
    rows[9][1] = "9990000019"  # a wrong check digit
    rows[1199][3:] = reversed(rows[1199][3:])  # left before they came
    lines = [",".join(row) for row in rows]
    lines[1499] += ",more"  # a value too many
    name = f"attendances-{day:%F}.csv"
    content = "\n".join(["attendance,nhs_number,department,arrived,left", *lines, f"TRL,{len(lines)}"]) + "\n"
    (OUT / name).write_text(content)
    (OUT / f"{name}.sha256").write_text(f"{hashlib.sha256(content.encode()).hexdigest()}  {name}\n")


def _listed(name: str, content: bytes, records: int) -> None:
    """Write a file, and a manifest of it."""
    said = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "records": records}
    (OUT / name).write_bytes(content)
    (OUT / f"{name.partition('.')[0]}.manifest.json").write_text(json.dumps({"files": [said]}, indent=2))


def sftp(partner: str, *commands: str) -> None:
    """Have OpenSSH's sftp do this, as a partner; the host key is pinned when it is first seen."""
    options = ["-i", str(KEYS / partner), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
               "-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=keys/known_hosts"]  # fmt: skip
    line = ["sftp", "-q", *options, "-P", str(PORT), "-b", "-", f"{partner}@127.0.0.1"]
    done = subprocess.run(line, input="\n".join(commands), text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


def send(feed: str) -> None:
    """Send what belongs to a feed."""
    files = {"planning": "attendances-*", "commissioning": "spells-*", "tariff": "tariff-*"}[feed]
    for file in sorted(OUT.glob(files)):
        sftp("northshire", f"put {file} /{feed}/{file.name}")
        print(f"sent {file.name}")


def fetch(partner: str, folder: str, into: Path) -> None:
    """Fetch everything in a folder."""
    into.mkdir(exist_ok=True)
    sftp(partner, f"-get {folder}/* {into}/")
    for file in sorted(into.iterdir()):
        print(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["keys", "extracts", "send", "receipts", "fetch"])
    parser.add_argument("name", nargs="?", default="")
    asked = parser.parse_args()
    if asked.what == "keys":
        keys()
    elif asked.what == "extracts":
        extracts()
    elif asked.what == "send":
        send(asked.name)
    elif asked.what == "receipts":
        fetch("northshire", "/receipts", Path("receipts"))
    else:
        fetch(asked.name, COLLECTS[asked.name], Path(asked.name))
