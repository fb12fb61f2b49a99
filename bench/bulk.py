"""What bulk transfer costs beside OpenSSH's own server, with OpenSSH's own client.

    make bench-bulk        or: python -m bench.bulk [--rounds N] [--size MIB] [--files N]

One file of 1 GiB up and down, and 2,000 files of 4 KiB up and down, by `sftp` with aes128-gcm@openssh.com: to `fiveways serve` as
it comes (BLAKE3 of every byte, quota and audit, on SQLite and a folder of payloads) and to OpenSSH's `sshd` with `internal-sftp`,
in turn, one round after another in one run. All files are on tmpfs. A ratio is OpenSSH's time by Fiveways' time, as medians: above
1 Fiveways is faster. CPU is the server's, with all its processes. Memory is resident memory of the server, before the first round
and after the last. Then quality control beside bare Polars and DuckDB (`bench.bulk_quality`). Writes docs/benchmarks/bulk.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rich.console import Console

from bench import bulk_quality
from bench.bulk_sshd import sshd
from bench.gateway import free_port
from bench.processes import Program, machine

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "bulk.json"
PORTS = 22_311, 22_312
"""Below those that clients' own ends are given."""
CLIENT = """\
Host *
 StrictHostKeyChecking no
 UserKnownHostsFile /dev/null
 IdentityFile {key}
 IdentitiesOnly yes
 Ciphers aes128-gcm@openssh.com
 LogLevel ERROR
"""
DEPLOYMENT = """\
listeners:
  main: {{http: "127.0.0.1:{http}"}}
  files: {{sftp: "127.0.0.1:{sftp}"}}
organisations: {{RXN: {{name: Bench}}}}
partners:
  trust: {{organisation: RXN, access: {{keys: ["file:{key}"]}}, quota: {{bytes: 100GiB, files: 100000}}}}
"""
DIRECTIONS = ("up", "down", "small_up", "small_down")
console = Console()


class Daemon(Program):
    """A program that may have a process for each session."""

    @property
    def pid(self) -> int:
        """The first of its processes."""
        return self._process.pid

    def ended(self) -> float:
        """Seconds of CPU of its children that have ended and been waited for."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A server under measurement."""

    name: str
    user: str
    port: int
    program: Daemon
    folder: str
    """Where its clients put files."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in DIRECTIONS})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in DIRECTIONS})


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="fiveways-bench-", dir="/dev/shm"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        big, small = _files(folder, asked.size, asked.files)
        servers = _servers(stack, folder)
        before = servers[0].program.resident()
        for round_ in range(asked.rounds + 1):  # the first is to warm up
            for server in servers if round_ % 2 else reversed(servers):
                measured = round_ > 0
                _transfer(server, folder, "up", f"put {big} {server.folder}/big", measured)
                _transfer(server, folder, "down", f"get {server.folder}/big {folder}/got", measured)
                _same(big, folder / "got")
                _transfer(server, folder, "small_up", f"lcd {small}\ncd {server.folder}/small\nput *", measured)
                _transfer(server, folder, "small_down", f"lcd {folder}/small_got\ncd {server.folder}/small\nget *", measured)
                if len(list((folder / "small_got").iterdir())) != asked.files:
                    raise RuntimeError(f"{server.name}: not all small files came back")
        after = servers[0].program.resident()
    result = _result(asked, servers, before, after)
    if asked.rows:
        result["quality_control"] = bulk_quality.measure(asked.rows, asked.rows * 10)
    if not asked.dry:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(json.dumps(result))


def _files(folder: Path, size: int, number: int) -> tuple[Path, Path]:
    big, small = folder / "big", folder / "small"
    with big.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(2**20))
    for each in (small, folder / "small_got"):
        each.mkdir()
    for index in range(number):
        (small / f"{index:05}.csv").write_bytes(os.urandom(4096))
    return big, small


def _servers(stack: ExitStack, folder: Path) -> list[Server]:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (folder / "client").write_text(CLIENT.format(key=key))
    (folder / "openssh" / "files" / "small").mkdir(parents=True)
    (folder / "sshd").mkdir()
    command, environment = sshd(folder / "sshd", PORTS[1], key)
    (folder / "fiveways").mkdir()
    deployment = folder / "fiveways" / "deployment.yaml"
    deployment.write_text(DEPLOYMENT.format(http=free_port(), sftp=PORTS[0], key=f"{key}.pub"))
    ours = [sys.executable, "-m", "fiveways", "serve", str(deployment), "--log-level", "error"]
    servers = []
    for name, user, port, program, place in (
        ("fiveways", "trust", PORTS[0], Daemon(ours), ""),
        ("openssh", "root", PORTS[1], Daemon(command, environment=environment), str(folder / "openssh" / "files")),
    ):
        stack.callback(program.stop)
        program.answers(port)
        servers.append(Server(name, user, port, program, place))
    _sftp(folder, servers[0], "mkdir small")
    return servers


def _transfer(server: Server, folder: Path, direction: str, commands: str, measured: bool) -> None:
    cpu, at = server.program.cpu() + server.program.ended(), time.perf_counter()
    _sftp(folder, server, commands)
    seconds = time.perf_counter() - at
    if measured:
        server.seconds[direction].append(seconds)
        server.cpu[direction].append(server.program.cpu() + server.program.ended() - cpu)
        console.print(f"{server.name:10} {direction:11} {seconds:7.2f} s, {server.cpu[direction][-1]:6.2f} s of CPU")


def _sftp(folder: Path, server: Server, commands: str) -> None:
    """Run the client."""
    batch = folder / "batch"
    batch.write_text(f"{commands}\n")
    subprocess.run(
        ["sftp", "-q", "-F", str(folder / "client"), "-P", str(server.port), "-b", str(batch), f"{server.user}@127.0.0.1"],
        check=True, stdout=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip


def _same(sent: Path, got: Path) -> None:
    if subprocess.run(["cmp", "-s", str(sent), str(got)], check=False).returncode:
        raise RuntimeError("what came back is not what was sent")
    got.unlink()


def _result(asked: argparse.Namespace, servers: list[Server], before: int, after: int) -> dict[str, object]:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    ours, peer = servers
    gib = asked.size / 1024
    figures = {
        server.name: {
            "up_mib_a_second": round(asked.size / middle(server.seconds["up"])),
            "down_mib_a_second": round(asked.size / middle(server.seconds["down"])),
            "small_up_files_a_second": round(asked.files / middle(server.seconds["small_up"])),
            "small_down_files_a_second": round(asked.files / middle(server.seconds["small_down"])),
            "cpu_seconds_a_gib_up": round(middle(server.cpu["up"]) / gib, 2),
            "cpu_seconds_a_gib_down": round(middle(server.cpu["down"]) / gib, 2),
        }
        for server in servers
    }
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": {
            "fiveways": metadata.version("fiveways"), "asyncssh": metadata.version("asyncssh"),
            "python": platform.python_version(), "openssh": _openssh(),
        },
        "mib": asked.size, "small_files": asked.files, "rounds": asked.rounds,
        "ratio_to_openssh": {name: round(middle(peer.seconds[name]) / middle(ours.seconds[name]), 2) for name in DIRECTIONS},
        "ratio_of_cpu_to_openssh": {name: round(middle(peer.cpu[name]) / middle(ours.cpu[name]), 2) for name in DIRECTIONS},
        "servers": figures,
        "memory_mib": {"before": round(before / 2**20, 1), "after": round(after / 2**20, 1)},
    }  # fmt: skip


def _openssh() -> str:
    return subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.partition(",")[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each (default 9)")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file (default 1024)")
    parser.add_argument("--files", type=int, default=2000, help="small files (default 2000)")
    parser.add_argument("--rows", type=int, default=bulk_quality.ROWS, help="records of quality control's file; 0 leaves it out")
    parser.add_argument("--dry", action="store_true", help="say the result, and do not write it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
