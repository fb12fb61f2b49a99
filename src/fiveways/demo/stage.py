"""The stage of a story: the platform and its back end on real sockets, a consumer to play with, and the narration.

A story calls `step` for each thing it shows, with what it expects; the stage prints what was sent and received, and remembers
whether it came out as expected.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey
from pyreqwest.client import Client, ClientBuilder
from rich.console import Console

from fiveways.demo.backend import Backend
from fiveways.demo.older import make_certificates
from fiveways.errors import DeploymentError
from fiveways.platform.listeners import Asgi, Listener, listen
from fiveways.platform.model import Deployment
from fiveways.platform.platform import Platform
from fiveways.platform.serve import Serving
from fiveways.security.making import make_key, make_secret, make_ssh_key

HERE = Path(__file__).parent
_PORTS = (8080, 8090, 8091, 8092, 8093, 8094, 8095, 8096, 8097, 8098, 8099, 8100, 8101, 8102)
"""What the deployment file names: the gateway's, its back end's, those of the older systems, of the identity provider, of an
application that people sign in to, of the HL7 v2 feed, of the old system that it comes from, of the scoring engine, of the hospital
that is called back, where requests are held, where files are brought, and where channels are."""
_SECRETS = ("shared-key", "RXN-OUT", "A81001-IN", "cis2", "callback")
"""What the deployment file takes out of files: the key that mailboxes share, the password of each, the one by which the identity
provider knows Fiveways, and the one that callbacks are signed with."""
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class LeftOut(Exception):
    """A story cannot be played here; the reason says what it would take.

    `outside`: it takes what does not come with Fiveways (Node.js, a browser), so that a machine without it is in order.
    """

    def __init__(self, reason: str, *, outside: bool = False) -> None:
        super().__init__(reason)
        self.outside = outside


@dataclass(slots=True, frozen=True)
class Answer:
    """What came back: status, header fields (lower-case names) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; None where it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


def prepare(folder: Path) -> Path:
    """Lay out the demo's deployment in `folder`: the file, keys for its applications, secrets of its mailboxes. Returns the file.

    The file is copied as it is, but for a port that something else on this machine has: another one stands in for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "deployment.yaml"
    if not file.exists():
        text = (HERE / "deployment.yaml").read_text()
        for port in _PORTS:
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{_free(port)}")
        file.write_text(text)
    for application in ("ward-system", "surgery-trial", "visitor", "ward-tablet", "scoring-engine"):
        make_key(folder / "keys", application)
    for partner in ("northshire-extracts", "commissioning"):
        make_ssh_key(folder / "keys" / partner)
    for name in _SECRETS:
        make_secret(folder / "secrets" / name)
    make_certificates(folder / "tls")
    return file


def _free(port: int) -> int:
    """`port`, or another where it is taken."""
    for wanted in (port, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", wanted)) as server:
            return int(server.getsockname()[1])
    raise DeploymentError("there is no free port on 127.0.0.1")


def token_form(url: str, keys: Path, application: str, **said: str) -> bytes:
    """The form that asks `url` for an access token: a client assertion signed with the application's private key.

    `said`: a grant of another type than client_credentials, and what it takes.
    """
    key = RSAKey.import_key((keys / f"{application}.pem").read_bytes())
    claims = {
        "iss": application,
        "sub": application,
        "aud": f"{url}/oauth2/token",
        "jti": str(uuid4()),
        "exp": int(time.time()) + 240,
    }
    assertion = jwt.encode({"alg": "RS512", "typ": "JWT", "kid": f"{application}-1"}, claims, key, algorithms=["RS512"])
    proof = {"client_assertion_type": ASSERTION, "client_assertion": assertion}
    return urlencode({"grant_type": "client_credentials", **proof, **said}).encode()


def request_token(url: str, keys: Path, application: str) -> str:
    """An access token, asked for over the socket."""
    with urlopen(f"{url}/oauth2/token", token_form(url, keys, application), timeout=10) as response:  # noqa: S310 (ours)
        return str(msgspec.json.decode(response.read())["access_token"])


def back_end(deployment: Deployment) -> str:
    """Where the demo's deployment expects its back end, as HOST:PORT."""
    target = deployment.apis["patients"].target
    assert target is not None
    return target.url.split("/")[2]


class Stage:
    """The platform serving `folder`'s deployment, its back end, and whatever systems a story adds. An async context manager."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.backend = Backend()
        self.failed: list[str] = []
        self.left_out: dict[str, LeftOut] = {}
        self.next: list[str] = []
        """What to try afterwards: lines for a shell, from the stories that were played."""
        self.steps = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        file = prepare(self.folder)
        self.platform = await Platform.open(file, self.folder / "data")
        listeners = self.platform.deployment.listeners
        self.url = next(iter(listeners.values())).url
        self.serving = Serving(self.platform, listeners, self.folder / "data")
        self._stack.push_async_callback(self.serving.close)
        await self.serving.start()
        await self.serve(Listener(http=back_end(self.platform.deployment)), self.backend.app)
        self.client: Client = ClientBuilder().follow_redirects(False).timeout(timedelta(seconds=20)).build()
        await self._stack.enter_async_context(self.client)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def serve(self, listener: Listener, app: Asgi) -> None:
        """Have another system on the stage, until the end."""
        server = listen(listener, app, self.folder)
        await server.start()
        self._stack.push_async_callback(server.stop)

    @property
    def command(self) -> str:
        """How this very program is called from anywhere."""
        return "fiveways" if shutil.which("fiveways") else str(Path(sys.argv[0]).absolute())

    def secret(self, name: str) -> str:
        """A mailbox's password, `shared-key`, what callbacks are signed with, or by what an identity provider knows Fiveways."""
        return (self.folder / "secrets" / name).read_text()

    # --- what a consumer does ----------------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        """One request over the socket."""
        request = self.client.request(method, self.url + path).headers(dict(headers or {}))
        if body is not None:
            request = request.body_bytes(body)
        response = await request.build().send()
        return Answer(response.status, dict(response.headers), bytes(await response.bytes()))

    async def token(self, application: str, **said: str) -> Answer:
        """Ask for an access token by signed JWT; `said` as in `token_form`."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.call("POST", "/oauth2/token", headers, token_form(self.url, self.folder / "keys", application, **said))

    # --- what the audience sees --------------------------------------------------------------------------------------------

    def chapter(self, title: str, text: str) -> None:
        """Begin a story."""
        self.console.rule(f"[bold]{title}")
        self.console.print(text, style="italic")

    def step(self, title: str, *, sent: str, answer: Answer, expect: int, because: str, show: Any = None, ok: bool = True) -> None:
        """Show one step over HTTP: what was sent, what came back, and whether that was expected."""
        fields = (
            "x-request-id", "x-correlation-id", "retry-after", "ratelimit", "idempotency-expires", "location", "content-location",
        )  # fmt: skip
        shown = "  ".join(f"{name}: {answer.headers[name]}" for name in fields if name in answer.headers)
        self.show(
            title,
            did=sent,
            came=f"{answer.status}  {shown}",
            because=because,
            show=show,
            ok=answer.status == expect and ok,
            otherwise=f"expected {expect}, got {answer.status}" if answer.status != expect else f"{expect}, but not as expected",
        )

    def show(self, title: str, *, did: str, came: str, because: str, ok: bool, show: Any = None, otherwise: str = "") -> None:
        """Show one step: what was done (several lines are code), what came of it, and whether that was expected (`ok`).

        `otherwise`: what is said at the end where it was not; `came`, unless something else is to be said.
        """
        self.steps += 1
        if not ok:
            self.failed.append(f"{title}: {otherwise or came}")
        self.console.print(f"\n[bold]{self.steps}. {title}[/]")
        for mark, line in zip(["→", *" " * did.count("\n")], did.split("\n"), strict=True):
            self.console.print(f"   {mark} {line}", style="cyan", soft_wrap=True, markup=False)
        self.console.print(f"   ← {came}", style="green" if ok else "bold red", soft_wrap=True, markup=False)
        if show is not None:
            text = msgspec.json.format(msgspec.json.encode(show), indent=2).decode()
            self.console.print(text, style="dim", soft_wrap=True, markup=False, highlight=False)
        mark = "[green]✓[/]" if ok else "[bold red]✗ NOT AS EXPECTED[/]"
        self.console.print(f"   {mark} {because}", soft_wrap=True)

    def leave_out(self, story: str, why: LeftOut) -> None:
        """A story is not played, and the run says so."""
        self.left_out[story] = why
        self.console.rule(f"[bold]{story}: left out")
        self.console.print(str(why), style="yellow", soft_wrap=True, markup=False)

    async def settle(self) -> None:
        """Wait until what happened so far is in the audit."""
        await self.platform.ledger.audit.flush()
        await asyncio.sleep(0)
