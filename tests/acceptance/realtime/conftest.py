"""A deployment with channels, and clients of its own kind for each: Centrifugo's Python client as it comes from PyPI."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import pytest
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler  # type: ignore[import-untyped]
from tests import forked
from tests.acceptance.conftest import ASSERTION, Serve, Served, free_port
from tests.acceptance.realtime.javascript_client import JsClient, Node, Unfetched, fetch

DEPLOYMENT = """
listeners:
  main: {http: "127.0.0.1:$main"}
  live: {realtime: "127.0.0.1:$live"}
store: {$store}
organisations: {RXN: {name: Northshire Hospitals}, A81001: {name: The Surgery}}
applications:
  ward: {organisation: RXN, jwks: file:keys/ward.json}
  second: {organisation: A81001, jwks: file:keys/second.json}
realtime: {$realtime}
channels:
  talk:
    name: "talk:{id}"
    kind: conversation
    invite: [{organisation: RXN}]
    limits: {rate: 10000/s}
  board:
    name: "ward:{ward}:board"
    kind: feed
    merge: true
    join: [{organisation: RXN}]
    publish: [{application: ward}]
    limits: {rate: 10000/s}
  news: {name: news, kind: broadcast, delivery: ephemeral, join: [{anyone: true}], publish: [{anyone: true}]}
  brief:
    {name: "brief:{n}", kind: broadcast, join: [{anyone: true}], publish: [{anyone: true}], history: {length: 3}, presence: true}
  own: {name: "own:{who}", kind: personal, join: [{application: "{who}"}], publish: [{application: ward}]}
$channels
"""


@dataclass
class Estate:
    """The platform, and how to connect to it."""

    served: Served
    live: int
    clients: list[Client] = field(default_factory=list)

    @property
    def websocket(self) -> str:
        """Where WebSockets are."""
        return f"ws://127.0.0.1:{self.live}/connection/websocket"

    @property
    def events(self) -> str:
        """Where Server-Sent Events are."""
        return f"http://127.0.0.1:{self.live}"

    def client(self, application: str = "ward", events: ClientEventHandler | None = None, **options: Any) -> Client:
        """Centrifugo's client, for an application."""
        token = options.pop("token", None) or self.served.token(application)
        client = Client(self.websocket, token=token, events=events, min_reconnect_delay=0.05, max_reconnect_delay=0.3, **options)
        self.clients.append(client)
        return client

    def publish(self, channel: str, data: Any, application: str = "ward", **headers: str) -> Any:
        """Publish over HTTP; the answer."""
        path = f"/realtime/channels/{channel}/messages"
        return self.served.call("POST", path, json=data, headers={**self.served.bearer(application), **headers})

    def publish_raw(self, channel: str, body: bytes, application: str = "ward") -> None:
        """Publish bytes over HTTP, as they are."""
        headers = {**self.served.bearer(application), "Content-Type": "application/json"}
        answer = self.served.call("POST", f"/realtime/channels/{channel}/messages", content=body, headers=headers)
        assert answer.status_code == 201, answer.text

    def begin(self, channel: str, *members: str, application: str = "ward") -> None:
        """Begin a conversation."""
        path = f"/realtime/channels/{channel}/participants"
        answer = self.served.call("POST", path, json={"members": members}, headers=self.served.bearer(application))
        assert answer.status_code in (200, 201), answer.text


class Heard(SubscriptionEventHandler):  # type: ignore[misc]
    """What a subscription is told."""

    def __init__(self) -> None:
        self.publications: list[Any] = []
        self.told: list[tuple[str, Any]] = []

    async def on_publication(self, ctx: Any) -> None:
        """A message."""
        self.publications.append(ctx.pub)

    async def on_subscribed(self, ctx: Any) -> None:
        """It has joined."""
        self.told.append(("subscribed", ctx))

    async def on_subscribing(self, ctx: Any) -> None:
        """It joins."""
        self.told.append(("subscribing", ctx))

    async def on_unsubscribed(self, ctx: Any) -> None:
        """It has left."""
        self.told.append(("unsubscribed", ctx))

    async def on_join(self, ctx: Any) -> None:
        """Somebody came."""
        self.told.append(("join", ctx.info))

    async def on_leave(self, ctx: Any) -> None:
        """Somebody went."""
        self.told.append(("leave", ctx.info))

    def all(self, kind: str) -> list[Any]:
        """What was told of this kind."""
        return [what for name, what in self.told if name == kind]

    @property
    def said(self) -> list[Any]:
        """The data of all messages."""
        return [each.data for each in self.publications]


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def estate_of(serve: Serve, *, store: str = "", realtime: str = "", channels: str = "", environment: Any = None) -> Any:
    """A context in which the platform serves channels; the port of its live listener."""
    live = free_port()
    said = {"main": str(free_port()), "live": str(live), "store": store, "realtime": realtime, "channels": channels}
    return serve(Template(DEPLOYMENT).safe_substitute(said), http="", environment=environment), live


def short_lived(served: Served, seconds: float, application: str = "ward") -> str:
    """A token that expires soon."""
    form = {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION,
        "client_assertion": served.assertion(application), "_access_token_expiry_ms": str(int(seconds * 1000)),
    }  # fmt: skip
    answer = served.call("POST", "/oauth2/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def revoke(served: Served, token: str) -> None:
    """Have an operator take a token back."""
    done = forked.run(("token", "revoke", str(served.file)), os.environ, served.folder, typed=token)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def javascript_packages(request: pytest.FixtureRequest) -> Path:
    """The folder with centrifuge-js."""
    assert request.config.cache is not None
    try:
        return fetch(request.config.cache.mkdir("centrifuge-js"))
    except Unfetched as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def process(javascript_packages: Path) -> Iterator[Node]:
    """Node.js, for the tests of a module."""
    made = Node(javascript_packages)
    yield made
    made.stop()


@pytest.fixture
def node(process: Node) -> Iterator[Node]:
    """The same; clients are disconnected after each test."""
    yield process
    process.disconnect_all()


@pytest.fixture
def node_client(node: Node, platform: Estate) -> Callable[..., JsClient]:
    """Makes clients of centrifuge-js that are connected to the platform."""

    def connected(application: str = "ward", **options: Any) -> JsClient:
        return node.client(platform.websocket, platform.served.token(application), **options).connect()

    return connected


@pytest.fixture(scope="module")
def platform(serve: Serve) -> Iterator[Estate]:
    """The platform, for the tests of a module."""
    context, live = estate_of(serve)
    with context as served:
        yield Estate(served, live)


@pytest.fixture
async def estate(platform: Estate) -> Any:
    """The platform; clients are disconnected after each test."""
    yield platform
    for client in platform.clients:
        await client.disconnect()
    platform.clients.clear()
