"""`fiveways` as a process of its own that need not load its modules first: it is forked off one that has (multiprocessing's fork
server). Starting is most of what short commands cost, and tests start hundreds.

Nothing else differs: it has its own pid, environment, folder and files, and is signalled and killed as any other. What must be
loaded anew (a `sitecustomize`, say) is started by `subprocess`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tests.killing import install

PRELOADED = [
    "fiveways.cli.serve", "fiveways.cli.check", "fiveways.cli.mailbox", "fiveways.cli.exchange", "fiveways.cli.transform",
    "fiveways.cli.bulk", "fiveways.platform.transferdesk", "fiveways.cli.mailboxes", "fiveways.cli.token", "fiveways.cli.advise",
]  # fmt: skip
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(PRELOADED)


class Forked:
    """A command that runs; as far as tests use it, what `subprocess.Popen` is."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None, out: BinaryIO | str, err: BinaryIO | str,
        typed: str = os.devnull,
    ) -> None:  # fmt: skip
        """`command` is what stands after `fiveways`; `out` and `err` are files that are open, or paths; `typed` is a file with what
        it reads from standard input."""
        paths = [each if isinstance(each, str) else f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)]
        where = str(folder if folder is not None else Path.cwd())
        self._process = _server.Process(target=_run, args=(list(command), dict(environment), where, typed, *paths), daemon=False)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, waited for. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("fiveways", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal; to one that has ended, none."""
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None, timeout: float = 60, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises subprocess.TimeoutExpired, and then it is ended."""
    with tempfile.TemporaryDirectory() as files:
        out, err, keyboard = Path(files) / "out", Path(files) / "err", Path(files) / "typed"
        keyboard.write_text(typed)
        process = Forked(command, environment, folder, str(out), str(err), str(keyboard))
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise
        return subprocess.CompletedProcess(["fiveways", *command], code, out.read_text(), err.read_text())


def _run(command: list[str], environment: dict[str, str], folder: str, typed: str, out: str, err: str) -> None:
    """In the process itself."""
    keyboard = os.open(typed, os.O_RDONLY)
    os.dup2(keyboard, 0)
    os.close(keyboard)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)  # multiprocessing has closed its own
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["fiveways", *command]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=False)  # type: ignore[union-attr]
    from fiveways.cli import main

    if "CRASH_AT" in environment:
        install(environment["CRASH_AT"])
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
