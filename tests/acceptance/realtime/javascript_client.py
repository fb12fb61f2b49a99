"""centrifuge-js as npm has it, driven from tests: a process of Node.js does with it what a line says, and tells what it hears."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fiveways.demo.signing_in import _npm, find_node, place

SOURCES = Path(__file__).parent / "javascript"
Asks = Callable[[], str | None]
"""Gives a client another token; None: there is none for it."""


class Unfetched(Exception):
    """The packages are not here, and npm does not get them."""


def fetch(cache: Path) -> Path:
    """The folder under `cache` that has the packages which package-lock.json pins; npm fetches them where they are not there."""
    folder = cache / hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    node = find_node()
    npm = _npm(node) if node is not None else None
    if npm is None:
        raise Unfetched("there is no Node.js with npm here")
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as name:
        fetching = Path(name) / folder.name
        fetching.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / file, fetching)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=fetching, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            raise Unfetched(f"npm could not fetch centrifuge: {done.stderr[-500:]}")
        if not folder.exists():  # another worker may have been here meanwhile
            fetching.replace(folder)
    return folder


def wait(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what or "it did not happen"
        time.sleep(0.01)


class JsError(Exception):
    """What a promise of the client was rejected with."""

    def __init__(self, code: int | None, message: str, temporary: bool | None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.temporary = temporary


class Node:
    """A process of Node.js with clients in it."""

    def __init__(self, packages: Path) -> None:
        line: list[str | Path] = [find_node() or "node", place(SOURCES / "client.mjs", packages)]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._asked: dict[str, Asks] = {}
        self._clients: list[JsClient] = []
        self.heard: list[dict[str, Any]] = []
        """Everything that clients have told, in order."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def client(self, url: str, token: str = "", asks: Asks | None = None, **options: Any) -> JsClient:
        """A client that is not connected yet. `asks`: it asks for tokens."""
        made = JsClient(self, f"client-{next(self._numbers)}")
        if asks is not None:
            self._asked[made.name] = asks
        given = {"minReconnectDelay": 50, "maxReconnectDelay": 300, **({"token": token} if token else {}), **options}
        self.do("client", client=made.name, url=url, asks=asks is not None, options=given)
        self._clients.append(made)
        return made

    def do(self, command: str, seconds: float = 15, **given: Any) -> Any:
        """Have something done; what it comes to. Raises JsError."""
        number = self._send(command, given)
        with self._arrived:
            assert self._arrived.wait_for(lambda: number in self._answers, seconds), f"no answer to {command} {given}"
            answer = self._answers.pop(number)
        if "error" in answer:
            raise JsError(**answer["error"])
        return answer.get("result")

    def disconnect_all(self) -> None:
        """End the clients that there are."""
        for client in self._clients:
            client.call("disconnect")
        self._clients.clear()
        self.heard.clear()

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(5)

    def _send(self, command: str, given: dict[str, Any]) -> int:
        number = next(self._numbers)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, command, given]) + "\n")
        self._process.stdin.flush()
        return number

    def _read(self) -> None:
        assert self._process.stdout is not None
        for each in self._process.stdout:
            said = json.loads(each)
            if "answer" in said:
                with self._arrived:
                    self._answers[said["answer"]] = said
                    self._arrived.notify_all()
            else:
                self.heard.append(said)
                if said["event"] == "token":
                    self._send("token", {"number": said["context"]["asked"], "given": self._asked[said["client"]]()})


class JsClient:
    """A client in a process of Node.js."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self.node = node

    def call(self, method: str, *args: Any, channel: str = "") -> Any:
        """Call a method of it, or of its subscription to `channel`; what that comes to."""
        return self.node.do("call", client=self.name, channel=channel, method=method, args=args)

    def connect(self) -> JsClient:
        """Connect, and wait until it is."""
        before = len(self.told("connected"))
        self.call("connect")
        wait(lambda: len(self.told("connected")) > before, what="not connected")
        return self

    def told(self, event: str, channel: str | None = None) -> list[dict[str, Any]]:
        """The contexts of an event, in order."""
        return [
            each["context"]
            for each in list(self.node.heard)
            if (each["client"], each["channel"], each["event"]) == (self.name, channel, event)
        ]

    def subscribe(self, channel: str, **options: Any) -> JsSubscription:
        """Subscribe, and wait until that is told to be so."""
        made = self.subscription(channel, **options)
        made.call("subscribe")
        made.call("ready", 5000)
        return made

    def subscription(self, channel: str, **options: Any) -> JsSubscription:
        """A subscription, with nothing asked of the server yet."""
        self.node.do("subscription", client=self.name, channel=channel, options=options)
        return JsSubscription(self, channel)

    def frames(self) -> dict[str, int]:
        """What went over its line: frames `in`, frames `out`, and of these `pongs`."""
        found: dict[str, int] = self.node.do("frames", client=self.name)
        return found

    def cut(self) -> None:
        """Cut its line."""
        self.node.do("cut", client=self.name)


class JsSubscription:
    """A subscription of a client."""

    def __init__(self, client: JsClient, channel: str) -> None:
        self.client = client
        self.channel = channel

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of it."""
        return self.client.call(method, *args, channel=self.channel)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The contexts of an event."""
        return self.client.told(event, self.channel)

    @property
    def said(self) -> list[Any]:
        """The data of all messages."""
        return [each["data"] for each in self.told("publication")]
