"""A back end that says and records exact bytes, and `fiveways serve` as it is run for real: what acceptance tests stand on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc.jwk import RSAKey
from joserfc.jwt import encode
from tests import forked
from tests.forked import Forked

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STATUS_KEY = "status-key-of-the-tests"
API_KEY = "fwk_api-key-of-the-ward-in-the-tests-000000"
Fields = list[tuple[bytes, bytes]]


def hashed(key: str) -> str:
    """A key as a deployment file has it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


# --- the back end ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """A request as it reached the back end; `head` is its header section to the byte."""

    head: bytes
    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""
    whole: bool = False
    """Whether all of the body arrived."""
    peer: str = ""
    """The common name of the client's certificate."""
    gone: bool = False
    """Whether the gateway broke the exchange off before it had the answer."""

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return [value for known, value in self.fields if known == name]


Answer = bytes | Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def response(status: int = 200, body: bytes = b"{}", *fields: tuple[str, str]) -> bytes:
    """An answer of HTTP/1.1, as bytes."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Backend:
    """A raw HTTP/1.1 server in a thread of its own. `at` gives a path of its own to an answer; other paths get `otherwise`:
    200 and `{}`.

    With `tls` it speaks TLS, and `Seen.peer` is the common name of the certificate that it was shown.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.seen: list[Seen] = []
        self.connections = 0
        self._answers: dict[bytes, Answer] = {}
        self.otherwise: Answer = response()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._listen(0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if tls is not None else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def at(self, answer: Answer) -> str:
        """A path, never used before, at which requests get `answer`."""
        path = f"/t{uuid4().hex}"
        self._answers[path.encode()] = answer
        return path

    def requests(self, path: str) -> list[Seen]:
        """What reached `path`."""
        return [seen for seen in self.seen if path.encode() in seen.target]

    def wait(self, condition: Callable[[], object], seconds: float = 5) -> None:
        """Wait until something holds that happens on the back end's side."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not happen"
            time.sleep(0.01)

    def go(self) -> None:
        """Stop listening, and break all connections off."""

        async def closed() -> None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(closed(), self._loop).result(5)

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._server = asyncio.run_coroutine_threadsafe(self._listen(self.port), self._loop).result(5)

    def stop(self) -> None:
        """End for good."""

        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self, port: int) -> asyncio.Server:
        server: asyncio.Server = await asyncio.start_server(
            self._connection, "127.0.0.1", port, limit=2**20, reuse_address=True, ssl=self._tls
        )
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                seen = _parsed(head)
                seen.peer = _common_name(writer.get_extra_info("peercert"))
                self.seen.append(seen)
                known = re.search(rb"/t[0-9a-f]{32}", seen.target)
                answer = self._answers.get(known[0], self.otherwise) if known else self.otherwise
                if callable(answer):
                    await answer(seen, reader, writer)
                else:
                    await read_body(seen, reader)
                    writer.write(answer)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


def _common_name(certificate: Any) -> str:
    subject = dict(pair for group in (certificate or {}).get("subject", ()) for pair in group)
    return str(subject.get("commonName", ""))


def _parsed(head: bytes) -> Seen:
    first, *lines = head[:-4].split(b"\r\n")
    method, target, _ = first.split(b" ")
    pairs = [line.split(b":", 1) for line in lines]
    return Seen(head, method, target, [(name.lower(), value.strip()) for name, value in pairs])


async def read_body(seen: Seen, reader: asyncio.StreamReader) -> None:
    """Read a request's body as its framing says."""
    if seen.all(b"transfer-encoding"):
        while size := int((await reader.readline()).strip(), 16):
            seen.body += await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
        assert await reader.readline() == b"\r\n"
    elif seen.all(b"content-length"):
        seen.body = await reader.readexactly(int(seen.all(b"content-length")[0]))
    seen.whole = True


async def echo(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the request's body."""
    await read_body(seen, reader)
    writer.write(response(200, seen.body, ("Content-Type", "application/octet-stream")))


def after(seconds: float, answer: bytes = response()) -> Answer:
    """An answer that takes its time; `gone` says that nobody waited for it."""

    async def slowly(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        try:
            async with asyncio.timeout(seconds):
                seen.gone = await reader.read(1) == b""
        except TimeoutError:
            writer.write(answer)

    return slowly


def dying(sent: bytes) -> Answer:
    """An answer that breaks off, its connection reset."""

    async def die(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(sent)
        await writer.drain()
        if sent:
            await asyncio.sleep(0.05)
        writer.transport.abort()

    return die


# --- the platform ---------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """`fiveways serve` on a deployment, as a process of its own. `url` is where it said that it listens first."""

    folder: Path
    arguments: tuple[str, ...]
    keys: dict[str, RSAKey]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | Forked = field(init=False)
    url: str = ""
    ready: list[str] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "deployment.yaml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        """Everything the process said so far."""
        return (self.folder / "log").read_text()

    def start(self, seconds: float = 30) -> None:
        """Start it, and wait until it says that it is ready."""
        with (self.folder / "log").open("ab") as out:
            said = out.tell()
            command, environment = ["serve", str(self.file), *self.arguments], {**os.environ, **self.environment}
            if "PYTHONPATH" in self.environment:  # something of the test's is to be loaded with it
                program = [sys.executable, "-m", "fiveways", *command]
                self.process = subprocess.Popen(program, stdout=out, stderr=subprocess.STDOUT, env=environment)
            else:
                log = str(self.folder / "log")
                self.process = Forked(command, environment, None, log, log)
        until = time.monotonic() + seconds
        while not (found := re.findall(r"^ready: (\S+)", (self.folder / "log").read_text()[said:], re.MULTILINE)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.02)
        time.sleep(0.02)
        self.ready = re.findall(r"^ready: (\S+)", (self.folder / "log").read_text()[said:], re.MULTILINE) or found
        self.url = self.ready[0]

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of Fiveways, in the deployment's folder."""
        return forked.run(command, {**os.environ, **self.environment, "COLUMNS": "200"}, self.folder)

    def client(self, **options: Any) -> httpx.Client:
        """A client of its own, which follows nothing and trusts nobody's environment."""
        return httpx.Client(base_url=options.pop("url", self.url), timeout=20, trust_env=False, **options)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(method, path, **options)

    def raw(self, sent: bytes, *, seconds: float = 5, url: str = "") -> bytes:
        """Send bytes, close the sending half where the answer asks for it, and return all that comes until the end."""
        host, _, port = (url or self.url).rpartition("/")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.sendall(sent)
            return received(connection)

    def connect(self) -> socket.socket:
        """A connection to write by hand on."""
        host, _, port = self.url.rpartition("/")[2].rpartition(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def assertion(self, application: str, **claims: Any) -> str:
        """A client assertion signed by an application of the deployment."""
        standard = {
            "iss": application, "sub": application, "aud": f"{self.url}/oauth2/token", "jti": str(uuid4()),
            "exp": int(time.time()) + 240,
        }  # fmt: skip
        header = {"alg": "RS512", "typ": "JWT", "kid": f"{application}-1"}
        return encode(header, standard | claims, self.keys[application], algorithms=["RS512"])

    def ask_token(self, assertion: str) -> httpx.Response:
        """A token request."""
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        return self.call("POST", "/oauth2/token", data=form)

    def token(self, application: str) -> str:
        """An access token of an application, asked for once."""
        if application not in self._tokens:
            answer = self.ask_token(self.assertion(application))
            assert answer.status_code == 200, answer.text
            self._tokens[application] = answer.json()["access_token"]
        return self._tokens[application]

    def bearer(self, application: str = "ward") -> dict[str, str]:
        """The header field that carries its token."""
        return {"Authorization": f"Bearer {self.token(application)}"}

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        """The audit's events that are durable now, as they stand in the database, filtered."""
        connection = sqlite3.connect(f"file:{self.data / 'fiveways.db'}?mode=ro", uri=True, timeout=5)
        try:
            found = [json.loads(body) for (body,) in connection.execute("SELECT body FROM audit_events ORDER BY chain, seq")]
        finally:
            connection.close()
        return [event for event in found if all(event.get(name) == value for name, value in wanted.items())]

    def event(self, **wanted: Any) -> dict[str, Any]:
        """The one event that is wanted, waited for: a read's is written a moment after its answer."""
        until = time.monotonic() + 5
        while not (found := self.events(**wanted)):
            assert time.monotonic() < until, f"no event {wanted}"
            time.sleep(0.03)
        assert len(found) == 1
        return found[0]

    def memory(self) -> int:
        """Resident bytes of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, or nothing comes any more."""
    got = b""
    with suppress(TimeoutError, ConnectionResetError):
        while piece := connection.recv(65536):
            got += piece
    return got


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A back end of the test's own."""
    made = Backend()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def client_keys() -> dict[str, RSAKey]:
    """Key pairs of the applications that tests declare."""
    return {name: RSAKey.generate_key(2048, {"kid": f"{name}-1"}) for name in ("ward", "outsider", "trial", "suspended", "second")}


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory, client_keys: dict[str, RSAKey]) -> Serve:
    """Serve a deployment, given as text, while the block lasts; `started=False` only lays it out."""

    @contextmanager
    def serving(
        text: str, *arguments: str, http: str = "127.0.0.1:0", started: bool = True, environment: dict[str, str] | None = None
    ) -> Iterator[Served]:
        folder = tmp_path_factory.mktemp("platform")
        (folder / "keys").mkdir()
        for name, key in client_keys.items():
            (folder / "keys" / f"{name}.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        (folder / "deployment.yaml").write_text(text)
        (folder / "log").touch()
        listen = ("--http", http) if http else ()
        served = Served(folder, (*listen, *arguments), client_keys, environment or {})
        with ExitStack() as stack:
            if started:
                served.start()
            stack.callback(lambda: served.stop() if hasattr(served, "process") else None)
            yield served

    return serving


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
