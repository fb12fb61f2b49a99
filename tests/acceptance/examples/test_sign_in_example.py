"""The sign-in example runs as its README says: a real identity provider, somebody's browser, and each of the two applications."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fiveways.demo.nurse import ANOTHERS, NURSE, SURGERY, WARD
from fiveways.demo.signing_in import IdentityProviderError, fetch
from fiveways.linter import lint

EXAMPLES = Path(__file__).parents[3] / "examples"
PORTS = {"fiveways": 8088, "cis2": 8096, "board": 8097, "handover": 8098, "ward": 8099}


@dataclass
class Running:
    """The example, up: what a browser opens by name, and what an operator calls in its folder."""

    folder: Path
    urls: dict[str, str]

    def fiveways(self, *command: str) -> str:
        """What a command prints."""
        line = [sys.executable, "-m", "fiveways", *command]
        return subprocess.run(line, cwd=self.folder, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The example as it is, but for its ports."""
    assert request.config.cache is not None
    kept = request.config.cache.mkdir("node")
    try:
        fetch(kept)
    except IdentityProviderError as reason:
        pytest.skip(str(reason))
    base = tmp_path_factory.mktemp("example")
    (base / "fiveways").symlink_to(kept)
    for name in ("sign-in", "pass-through"):
        shutil.copytree(EXAMPLES / name, base / name, ignore=shutil.ignore_patterns("keys", "data", "__pycache__"))
    folder, ports = base / "sign-in", dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    for file in folder.iterdir():
        text = file.read_text()
        for name, port in PORTS.items():
            text = re.sub(rf"\b{port}\b", str(ports[name]), text)
        file.write_text(text)
    environment = {**os.environ, "XDG_CACHE_HOME": str(base)}
    for application in ("fiveways", "handover"):
        subprocess.run([sys.executable, "../pass-through/consumer.py", "keys", application], cwd=folder, check=True, timeout=30)
    assert lint(folder / "deployment.yaml") == []
    with ExitStack() as stack:
        started(stack, ["stand_ins.py"], folder, environment, ports["cis2"])
        started(stack, ["-m", "fiveways", "serve"], folder, environment, ports["fiveways"])
        started(stack, ["web.py"], folder, environment, ports["board"])
        started(stack, ["service.py"], folder, environment, ports["handover"])
        yield Running(folder, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()})


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [server.getsockname()[1] for server in servers]


def started(stack: ExitStack, program: list[str], folder: Path, environment: dict[str, str], port: int) -> None:
    """Have a program run until the end; it is waited for until its port answers."""
    log = stack.enter_context((folder / f"{program[-1]}.log").open("w+"))
    process = subprocess.Popen([sys.executable, *program], cwd=folder, env=environment, stdout=log, stderr=log)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    until(answers, 40, lambda: f"{program} does not listen: {Path(log.name).read_text()}")


def until(condition: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint()
        time.sleep(0.05)


def browser() -> httpx.Client:
    """Somebody's browser."""
    return httpx.Client(follow_redirects=True, timeout=20)


def sign_in(browser: httpx.Client, url: str) -> httpx.Response:
    """Open a page that leads to where people sign in, and do so."""
    page = browser.get(url)
    assert 'name="login"' in page.text, page.text
    return browser.post(page.url, data={"login": "nurse"})


def said(page: httpx.Response) -> tuple[int, Any]:
    """What the API answered, as the board shows it."""
    found = re.search(r"<pre>(\d+)\n(.*)</pre>", page.text, re.DOTALL)
    assert found is not None, page.text
    return int(found[1]), json.loads(html.unescape(found[2]))


def test_the_board_shows_the_ward_in_her_roles_and_in_no_others(example: Running) -> None:
    board = example.urls["board"]
    with browser() as somebody:
        assert '<a href="/sign-in">' in somebody.get(board).text
        status, body = said(sign_in(somebody, f"{board}/sign-in"))
        assert (status, body["patients"]) == (200, ["9990000018", "9990000026"])
        assert body["asked_by"]["nhsd-identity-uuid"] == NURSE["sub"]
        assert (body["asked_by"]["nhsd-session-urid"], body["asked_by"]["nhsd-end-user-organisation-ods"]) == (WARD, "RXN")
        status, body = said(somebody.get(board, params={"role": SURGERY}))
        assert (status, body["asked_by"]["nhsd-end-user-organisation-ods"]) == (200, "A81001")
        assert said(somebody.get(board, params={"role": ANOTHERS}))[0] == 400
        assert "ward-board" in example.fiveways("session", "list")
        assert '<a href="/sign-in">' in somebody.post(f"{board}/sign-out").text
        assert example.fiveways("session", "list") == "nobody is signed in\n"
        assert '<a href="/sign-in">' in somebody.get(board).text


def test_who_was_not_sent_out_is_not_signed_in(example: Running) -> None:
    board = example.urls["board"]
    with browser() as somebody:
        assert somebody.get(f"{board}/signed-in?code=x&state=y").status_code == 400
        somebody.get(f"{board}/sign-in")
        assert somebody.get(f"{board}/signed-in?code=x&state=y").status_code == 400
        assert somebody.get(f"{example.urls['handover']}/signed-in?code=x&state=y").status_code == 400


def test_a_session_ends_for_the_operator_and_for_who_signs_out_at_the_provider(example: Running) -> None:
    board = example.urls["board"]
    with browser() as somebody:
        assert said(sign_in(somebody, f"{board}/sign-in"))[0] == 200
        assert "1 session\n" in example.fiveways("session", "end-all", "--provider", "cis2", "--reason", "trying it out")
        until(lambda: "session has ended" in somebody.get(board).text, 5, lambda: "it goes on")
        assert said(somebody.get(f"{board}/sign-in"))[0] == 200  # CIS2 knows her: no name is asked for
        out = somebody.get(f"{example.urls['cis2']}/openid/session/end")
        fields = dict(re.findall(r'name="(\w+)" value="(\w*)"', out.text))
        action = re.search(r'action="([^"]+)"', out.text)
        assert action is not None
        somebody.post(action[1], data=fields | {"logout": "yes"})
        until(lambda: "session has ended" in somebody.get(board).text, 5, lambda: "it goes on")


def test_the_service_hands_over_and_leaves_no_session_behind(example: Running) -> None:
    with browser() as somebody:
        page = sign_in(somebody, example.urls["handover"])
        assert (page.status_code, page.json()["patients"]) == (200, ["9990000018", "9990000026"])
        told = page.json()["asked_by"]
        assert (told["nhsd-application"], told["nhsd-identity-uuid"]) == ("handover", NURSE["sub"])
        assert told["nhsd-session-urid"] == WARD
    assert "handover" not in example.fiveways("session", "list")
