"""The examples run as their READMEs say: copied, served by the command line, called over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from fiveways.demo.backend import Backend
from fiveways.demo.older import Pathology, Records
from fiveways.linter import lint
from fiveways.platform.listeners import Asgi, Listener, listen

EXAMPLES = Path(__file__).parents[3] / "examples"
DEMO_BACK_END = "http://127.0.0.1:8090"
PATIENT = "9990000018"


@asynccontextmanager
async def back_end(folder: Path) -> AsyncIterator[tuple[Backend, str]]:
    """The demo's back end on a port of its own, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    backend, listener = Backend(), Listener(http=f"127.0.0.1:{port}")
    server = listen(listener, backend.app, folder)
    await server.start()
    try:
        yield backend, listener.url
    finally:
        await server.stop()


@asynccontextmanager
async def served(folder: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """`fiveways serve` on the folder's deployment, on any port; its URL once it says that it is ready."""
    command = [sys.executable, "-m", "fiveways", "serve", str(folder), "--http", "127.0.0.1:0"]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(environment or {})}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("ready: "), line
        yield line.split()[1]
    finally:
        process.terminate()
        await process.communicate()


async def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """A Python program in `folder`: its exit code, what it printed, and its complaints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


def copy(example: str, folder: Path, back_end_url: str, stands_for: str = DEMO_BACK_END) -> Path:
    """The example as it is, but for the port of its back end."""
    target = folder / example
    shutil.copytree(EXAMPLES / example, target, ignore=shutil.ignore_patterns("keys", "data", "__pycache__"))
    file = target / "deployment.yaml"
    text = file.read_text()
    assert stands_for in text
    file.write_text(text.replace(stands_for, back_end_url))
    return target


@pytest.mark.anyio
async def test_the_consumer_gets_a_token_and_reads_a_patient_through_the_example_deployment(tmp_path: Path) -> None:
    async with back_end(tmp_path) as (backend, url):
        folder = copy("pass-through", tmp_path, url)
        code, _, errors = await run("consumer.py", "keys", "ward-system", folder=folder)
        assert (code, errors) == (0, "")
        assert lint(folder / "deployment.yaml") == []
        async with served(folder) as gateway:
            code, out, errors = await run("consumer.py", "read", PATIENT, "--url", gateway, folder=folder)
            assert (code, errors) == (0, "")
            status, _, body = out.partition("\n")
            assert status.startswith("200  X-Correlation-ID: ")
            assert json.loads(body) == backend.patients[PATIENT]
            code, out, errors = await run("consumer.py", "token", "--url", gateway, folder=folder)
            assert (code, errors) == (0, "")
            headers = {"Authorization": f"Bearer {out.strip()}"}
            async with httpx.AsyncClient(base_url=gateway, headers=headers) as client:
                assert (await client.get(f"/demographics/FHIR/R4/Patient/{PATIENT}")).status_code == 200
            missing, out, _ = await run("consumer.py", "read", "9990000000", "--url", gateway, folder=folder)
            assert (missing, out[:3]) == (1, "404")
        correlation = status.split()[-1]
        code, timeline, _ = await run("-m", "fiveways", "trace", correlation, folder=folder)
        assert code == 0
        assert "ward-system" in timeline


@pytest.mark.anyio
async def test_getting_started_from_init_to_a_call_with_a_token(tmp_path: Path) -> None:
    async with back_end(tmp_path) as (backend, url):
        code, out, _ = await run("-m", "fiveways", "init", "mine", folder=tmp_path)
        assert code == 0
        assert "shown once: fwk_" in out
        file = tmp_path / "mine" / "deployment.yaml"
        file.write_text(file.read_text().replace(DEMO_BACK_END, url))
        assert lint(file) == []
        async with served(tmp_path / "mine") as gateway:
            consumer = (str(EXAMPLES / "pass-through" / "consumer.py"), "read", PATIENT, "--url", gateway, "--client-id", "my-app")
            code, out, errors = await run(*consumer, "--key", "mine/keys/my-app.pem", folder=tmp_path)
            assert (code, errors, out[:3]) == (0, "", "200")
            code, _, errors = await run("-m", "fiveways", "reload", "mine", folder=tmp_path)
            assert (code, errors) == (0, "")
        assert backend.seen[-1][2]["nhsd-application"] == "my-app"


@pytest.mark.anyio
async def test_the_example_policies_refuse_remember_and_announce(tmp_path: Path) -> None:
    async with back_end(tmp_path) as (backend, url):
        folder = copy("policy", tmp_path, url)
        assert lint(folder / "deployment.yaml") == []
        async with served(folder, {"PYTHONPATH": str(folder)}) as gateway, httpx.AsyncClient(base_url=gateway) as client:
            refused = await client.get("/hello-world/hello/world")
            assert (refused.status_code, refused.json()["code"], refused.json()["party"]) == (400, "MISSING_VALUE", "consumer")
            odd = await client.get("/hello-world/hello/world", headers={"X-Access-Reason": "curiosity"})
            assert (odd.status_code, odd.json()["code"]) == (400, "INVALID_VALUE")
            assert backend.seen == []
            answered = await client.get("/hello-world/hello/world", headers={"X-Access-Reason": "direct-care"})
            assert (answered.status_code, answered.json()) == (200, {"message": "Hello World!"})
            assert answered.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
            assert answered.headers["deprecation"] == "@1767225600"


@pytest.mark.anyio
async def test_a_letter_is_sent_once_collected_and_answered_through_the_example_mailboxes(tmp_path: Path) -> None:
    folder = tmp_path / "messaging"
    shutil.copytree(EXAMPLES / "messaging", folder, ignore=shutil.ignore_patterns("secrets", "data", "*.txt"))
    assert await run("letters.py", "secrets", folder=folder) == (0, "", "")
    assert lint(folder / "deployment.yaml") == []
    (folder / "letter.txt").write_text("Chest X-ray in six weeks, please.")

    async def letters(*command: str) -> str:
        code, out, errors = await run("letters.py", "--url", url, *command, folder=folder)
        assert (code, errors) == (0, "")
        return out

    async with served(folder) as url:
        sent = await letters("send", "letter.txt")
        assert await letters("send", "letter.txt") == sent
    async with served(folder) as url:  # another process: what was accepted is there
        assert await letters("receive") == "RXN-OUT sends letter.txt: Chest X-ray in six weeks, please.\n"
        assert await letters("receive") == ""
        assert await letters("answers") == "letter.txt: filed\n"


@pytest.mark.anyio
async def test_a_plan_makes_one_answer_of_two_granular_apis(tmp_path: Path) -> None:
    async with back_end(tmp_path) as (backend, url):
        folder = copy("orchestration", tmp_path, url)
        assert lint(folder / "deployment.yaml") == []
        async with served(folder) as gateway, httpx.AsyncClient(base_url=gateway) as client:
            bundle = (await client.get(f"/family/Patient/{PATIENT}")).json()
            first, *others = [entry["resource"] for entry in bundle["entry"]]
            assert first == backend.patients[PATIENT]
            assert others
            assert {each["name"][0]["family"] for each in others} == {first["name"][0]["family"]}
            missing = await client.get("/family/Patient/9990000000")
            assert (missing.status_code, missing.json()["issue"][1]["diagnostics"].partition(":")[0]) == (404, "patient")
            assert (await client.get(f"/demographics/Patient/{PATIENT}")).json() == first


@asynccontextmanager
async def serving(app: Asgi, folder: Path, port: int = 0) -> AsyncIterator[str]:
    """One of the demo's older systems, and its URL."""
    with socket.create_server(("127.0.0.1", port)) as probe:
        listener = Listener(http=f"127.0.0.1:{probe.getsockname()[1]}")
    server = listen(listener, app, folder)
    await server.start()
    try:
        yield listener.url
    finally:
        await server.stop()


@pytest.mark.anyio
async def test_a_laboratory_that_is_polled_answers_who_waits(tmp_path: Path) -> None:
    laboratory = Pathology(0.6)
    async with serving(laboratory.app, tmp_path) as url:
        folder = copy("sync-wrap", tmp_path, url, "http://127.0.0.1:8092")
        assert lint(folder / "deployment.yaml") == []
        async with served(folder) as gateway, httpx.AsyncClient(base_url=gateway) as client:
            order = {"test": "potassium"}
            answer = await client.post("/pathology/orders", json=order)
            assert (answer.status_code, answer.json()["test"]) == (200, "potassium")
            soon = await client.post("/pathology/orders", json=order, headers={"X-Sync-Wait": "0.25"})
            assert (soon.status_code, soon.headers["retry-after"]) == (503, "5")
            told = await client.post("/pathology/orders", json=order, headers={"Prefer": "respond-async"})
            assert (told.status_code, told.headers["content-location"].startswith("/pathology/orders/")) == (202, True)


@pytest.mark.anyio
async def test_an_update_is_received_though_the_records_are_down_and_arrives_when_they_are_back(tmp_path: Path) -> None:
    records = Records()
    async with serving(records.app, tmp_path) as url:
        folder = copy("promise", tmp_path, url, "http://127.0.0.1:8093")
    assert [finding.rule for finding in lint(folder / "deployment.yaml")] == []
    async with served(folder) as gateway, httpx.AsyncClient(base_url=gateway, headers={"apikey": "ward-demo-key"}) as client:
        promises = []
        for version in (1, 2, 3):
            body = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": str(version)}}
            headers = {"Content-Type": "application/fhir+json"}
            answer = await client.put("/updates/Patient/p1", content=json.dumps(body), headers=headers)
            assert answer.status_code == 202
            promises.append(answer.headers["fiveways-promise"])
        _, waiting, _ = await run("-m", "fiveways", "promise", "list", "--waiting", folder=folder)
        assert all(promise in waiting for promise in promises)
        async with serving(records.app, tmp_path, int(url.rpartition(":")[2])), asyncio.timeout(20):
            while len(records.updates) < 3:
                await asyncio.sleep(0.05)
        assert ([update.key for update in records.updates], records.in_order()) == (promises, True)


@pytest.mark.anyio
async def test_a_facade_that_remembers_asks_once(tmp_path: Path) -> None:
    async with back_end(tmp_path) as (backend, url):
        folder = copy("middleware", tmp_path, url)
        assert lint(folder / "deployment.yaml") == []
        async with served(folder) as gateway, httpx.AsyncClient(base_url=gateway) as client:
            answers = [await client.get("/greetings/hello/world") for _ in range(3)]
            assert {answer.text for answer in answers} == {'{"message":"Hello World!"}'}
            assert [("age" in answer.headers) for answer in answers] == [False, True, True]
            assert len(backend.seen) == 1


@pytest.mark.anyio
async def test_a_theatre_that_takes_certificates_only_is_asked_with_a_token(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "pass-through", tmp_path / "pass-through", ignore=shutil.ignore_patterns("keys", "data"))
    folder = tmp_path / "wrapper"
    shutil.copytree(EXAMPLES / "wrapper", folder, ignore=shutil.ignore_patterns("keys", "tls", "data"))
    assert (await run("-m", "fiveways", "certs", "tls", "--client", "gateway", folder=folder))[0] == 0
    assert (await run("../pass-through/consumer.py", "keys", "ward-system", folder=folder))[0] == 0
    theatre = await asyncio.create_subprocess_exec(
        sys.executable, "theatre.py", "--port", "0", cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert theatre.stdout is not None
    try:
        async with asyncio.timeout(20):
            url = (await theatre.stdout.readline()).decode().strip()
        file = folder / "deployment.yaml"
        assert "https://127.0.0.1:8443" in file.read_text()
        file.write_text(file.read_text().replace("https://127.0.0.1:8443", url))
        assert lint(file) == []
        async with served(folder) as gateway:
            code, token, errors = await run("../pass-through/consumer.py", "token", "--url", gateway, folder=folder)
            assert (code, errors) == (0, "")
            async with httpx.AsyncClient(base_url=gateway) as client:
                assert (await client.get("/theatre/lists/today")).status_code == 401
                headers = {"Authorization": f"Bearer {token.strip()}"}
                answer = (await client.get("/theatre/lists/today", headers=headers)).json()
        assert (answer["shown_to_me"], answer["token"]) == ("gateway", None)
        code, register, _ = await run("-m", "fiveways", "debt", folder=folder)
        assert (code, "Theatre systems" in register) == (0, True)
    finally:
        theatre.terminate()
        await theatre.wait()


def test_every_example_has_a_readme_and_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for folder in (path for path in EXAMPLES.iterdir() if path.is_dir()):
        assert (folder / "README.md").exists(), folder
        assert f"({folder.name}/)" in listed
