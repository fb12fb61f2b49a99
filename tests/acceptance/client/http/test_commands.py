"""`fiveways call`, `submit` and `await`, run as programs run them: what is printed, and the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.acceptance.client.http.backend import Backend, Reply, json_reply
from typer.testing import CliRunner

from fiveways.cli import cli
from fiveways.errors import FivewaysError

pytestmark = pytest.mark.anyio
STILL_RUNNING = 3


class Ran(NamedTuple):
    """What came of a command."""

    code: int | None
    out: str
    err: str


async def run(backend: Backend, folder: Path, *arguments: str) -> Ran:
    """Run `fiveways …` with a ledger in a folder, in a thread of ours: a process of its own takes a second to start."""
    environment = {"FIVEWAYS_URL": backend.origin, "FIVEWAYS_API_KEY": "secret-key", "COLUMNS": "200"}
    ledger = () if arguments[0] == "call" else ("--ledger", str(folder / "ledger.sqlite"))
    invoked = await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, *ledger], env=environment)
    said = str(invoked.exception) if isinstance(invoked.exception, FivewaysError) else ""
    return Ran(invoked.exit_code, invoked.stdout, invoked.stderr + said)


async def test_a_call_prints_the_answer(backend: Backend, tmp_path: Path) -> None:
    backend.script["POST", "/x"].append(json_reply({"done": True}, 201, X_A="1"))
    typed = '{"resourceType": "Thing"}'
    environment = {**os.environ, "FIVEWAYS_URL": backend.origin, "FIVEWAYS_API_KEY": "secret-key"}
    arguments = ("call", "POST", "/x", "--body", "-", "-H", "Accept: x", "-i")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fiveways",
        *arguments,
        cwd=tmp_path,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate(typed.encode())
    lines = out.decode().splitlines()
    assert (process.returncode, lines[0], lines[-1]) == (0, "HTTP 201", '{"done":true}')
    (asked,) = backend.asked
    said = (asked.headers["accept"], asked.headers["apikey"], asked.headers["content-type"], asked.body.decode())
    assert said == ("x", "secret-key", "application/fhir+json", typed)


async def test_exit_codes_tell_what_happened(backend: Backend, tmp_path: Path) -> None:
    backend.script["GET", "/x"].append(Reply(404, body=b"no"))
    backend.script["GET", "/busy"].extend([Reply(503, {"Retry-After": "60"})] * 2)
    refused = await run(backend, tmp_path, "call", "GET", "/x")
    busy = await run(backend, tmp_path, "call", "GET", "/busy", "--wait", "1s")
    dead = await run(backend, tmp_path, "call", "GET", "/x", "--url", "http://127.0.0.1:1", "--timeout", "500ms")
    nowhere = await run(backend, tmp_path, "call", "GET", "/x", "--url", "")
    assert (refused.code, refused.out) == (1, "no")
    assert busy.code == STILL_RUNNING
    assert "--request-id" in busy.err
    assert (dead.code, "cannot be reached" in dead.err) == (1, True)
    assert (nowhere.code, "FIVEWAYS_URL" in nowhere.err) == (1, True)


async def test_what_is_submitted_is_awaited_later(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text("{}")
    submit = ("submit", "POST", "/x", "--body", f"@{tmp_path}/body.json", "--local-id")
    submitted = await run(backend, tmp_path, *submit, "one")
    job = submitted.out.strip()
    assert (submitted.code, backend.asked[0].id, backend.asked[0].body) == (0, job, b"{}")
    running = await run(backend, tmp_path, "await", "one", "--wait", "100ms")
    assert (running.code, running.out, "still running" in running.err) == (STILL_RUNNING, "", True)
    backend.finish(Reply(200, body=b"outcome"))
    backend.script["GET", "/status/1"].append(Reply(202, {"X-Progress": "half", "Retry-After": "0"}))
    done = await run(backend, tmp_path, *submit, "one", "--wait", "9s", "--progress")
    assert (done.code, done.out, f"{job}: half" in done.err) == (0, "outcome", True)
    assert len(backend.of("POST")) == 1
    backend.over.clear()
    assert (await run(backend, tmp_path, "await", job)).out == "outcome"  # it is kept
    assert (await run(backend, tmp_path, "await", "another")).code == 1


async def test_all_that_are_open_are_awaited_together(backend: Backend, tmp_path: Path) -> None:
    for number in ("one", "two", "three"):
        await run(backend, tmp_path, "submit", "POST", "/x", "--local-id", number)
    backend.finish(Reply(200, body=b"good"), "1")
    backend.finish(Reply(410), "2")
    some = await run(backend, tmp_path, "await", "--all", "--wait", "2s", "--output", str(tmp_path / "outcomes"))
    lines = {line["local_id"]: line for line in map(json.loads, some.out.splitlines())}
    assert (some.code, set(lines), "1 still running" in some.err) == (STILL_RUNNING, {"one", "two"}, True)
    assert (lines["one"]["status"], Path(lines["one"]["file"]).read_bytes()) == (200, b"good")
    assert "error" in lines["two"]
    backend.finish(Reply(422), "3")
    rest = await run(backend, tmp_path, "await", "--all", "--wait", "9s")
    assert (rest.code, json.loads(rest.out)["status"]) == (1, 422)
    assert (await run(backend, tmp_path, "await", "--all")).code == 0
