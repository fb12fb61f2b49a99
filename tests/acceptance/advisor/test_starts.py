"""What the advisor gives to start from: written by the command, checked, served, and used by a client of its kind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from mesh_client import MeshClient
from tests import forked
from tests.acceptance.bulk.conftest import Partner
from tests.acceptance.conftest import Answer, Backend, Seen, Served, free_port, read_body, response
from tests.acceptance.realtime.conftest import Estate, Heard, until
from tests.acceptance.transformation.conftest import OldSystem

from fiveways.linter import lint

LATER = "intent=command slow=true"
UPDATE = "intent=update outcome=receipt"
MESSAGE = {
    "resourceType": "Bundle",
    "type": "message",
    "entry": [{"resource": {"resourceType": "MessageHeader", "eventUri": "urn:e", "source": {"endpoint": "urn:s"}}}],
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
}


def written(folder: Path, said: str, backend: str = "", older: int = 0) -> Path:
    """What is given for a need, with addresses of the test's in the place of its own."""
    done = forked.run(("advise", *said.split(), "--write", str(folder)), {}, folder.parent)
    assert done.returncode == 0, done.stderr
    file = folder / "deployment.yaml"
    text = file.read_text()
    for found in set(re.findall(r"127\.0\.0\.1:(?:8080|8081|2222)\b", text)):
        text = text.replace(found, f"127.0.0.1:{free_port()}")
    text = text.replace("http://127.0.0.1:8090", backend).replace("127.0.0.1:2575", f"127.0.0.1:{older}")
    file.write_text(text)
    return file


@contextmanager
def served(file: Path) -> Iterator[Served]:
    """It runs, and the linter has nothing against it but what the advice warns of."""
    assert {each.severity for each in lint(file)} <= {"warning"}
    found = Served(file.parent, (), {}, {})
    (file.parent / "log").touch()
    found.start()
    try:
        yield found
    finally:
        assert found.stop() == 0


def later(backend: Backend) -> Answer:
    """A back end that answers 202, and is asked."""

    async def answered(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        if seen.method == b"POST":
            writer.write(response(202, b"", ("Content-Location", f"{backend.url}/FHIR/R4/jobs/1")))
        else:
            writer.write(response(200, b'{"resourceType": "Task"}', ("Content-Type", "application/fhir+json")))

    return answered


def key(file: Path) -> dict[str, str]:
    """The header field with the consumer's key."""
    found = re.search(r"its key is (\S+),", file.read_text())
    assert found is not None
    return {"apikey": found[1], "X-Request-ID": "6b1d4a55-5f0f-4bd0-9f2c-8c8f6a3f9f01", "Content-Type": "application/fhir+json"}


def port(file: Path, kind: str) -> int:
    """Where it listens for a kind of client."""
    found = re.search(rf"{kind}: 127\.0\.0\.1:(\d+)", file.read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("said", ["", "backend=old_security", "backend=old_stateful"])
def test_a_call_passes_to_the_back_end(said: str, tmp_path: Path, backend: Backend) -> None:
    backend.otherwise = response(200, b'{"resourceType": "Patient"}', ("Content-Type", "application/fhir+json"))
    file = written(tmp_path / "mine", said, backend.url)
    with served(file) as platform:
        answer = platform.call("GET", "/records/FHIR/R4/Patient/1", headers=key(file))
        assert (answer.status_code, answer.json()) == (200, {"resourceType": "Patient"})
        assert platform.call("GET", "/records/FHIR/R4/Patient/1").status_code == 401
    (seen,) = backend.seen
    assert seen.target == b"/FHIR/R4/Patient/1"
    if said == "backend=old_security":
        assert seen.all(b"apikey") == [(tmp_path / "mine/secrets/back-end").read_bytes()]


def test_an_orchestration_makes_one_answer_of_two(tmp_path: Path, backend: Backend) -> None:
    backend.otherwise = response(200, b'{"resourceType": "Patient"}', ("Content-Type", "application/fhir+json"))
    file = written(tmp_path / "mine", "backend=several", backend.url)
    with served(file) as platform:
        answer = platform.call("GET", "/records/1", headers=key(file))
    assert (answer.status_code, len(answer.json()["entry"])) == (200, 2)
    assert {seen.target for seen in backend.seen} == {b"/FHIR/R4/Patient/1", b"/FHIR/R4/MedicationStatement?subject=1"}


def test_a_transformation_speaks_to_what_is_old(tmp_path: Path) -> None:
    old = OldSystem()
    old.start()
    try:
        file = written(tmp_path / "mine", "intent=update backend=old_format", older=old.port)
        with served(file) as platform:
            answer = platform.call("PUT", "/records/FHIR/R4/Patient/p", headers=key(file), content=json.dumps(PATIENT))
            assert answer.status_code == 200, answer.text
        assert b"ADT^A31" in old.got[0]
    finally:
        old.go()


def test_a_bounded_wait_hides_the_polling(tmp_path: Path, backend: Backend) -> None:
    backend.otherwise = later(backend)
    file = written(tmp_path / "mine", f"{LATER} async_capable=true", backend.url)
    with served(file) as platform:
        answer = platform.call("POST", "/records/FHIR/R4/Task", headers=key(file), content=b"{}")
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Task"})


def test_a_promise_is_kept_when_the_provider_is_back(tmp_path: Path, backend: Backend) -> None:
    file = written(tmp_path / "mine", f"{UPDATE} provider_available=false", backend.url)
    with served(file) as platform:
        answer = platform.call("PUT", "/records/FHIR/R4/Patient/p", headers=key(file), content=json.dumps(PATIENT))
        assert (answer.status_code, "fiveways-promise" in answer.headers) == (202, True)
        backend.wait(lambda: backend.seen)
    assert json.loads(backend.seen[0].body) == PATIENT


@pytest.mark.parametrize("said", ["intent=create human_actor=true", "intent=command peaks_fit=false"])
def test_a_message_reaches_a_mailbox(said: str, tmp_path: Path) -> None:
    file = written(tmp_path / "mine", said)
    with served(file) as platform:
        sender, receiver = (mailbox(platform, name) for name in ("A81001-OUT", "RXN-IN"))
        with sender, receiver:
            sender.send_message("RXN-IN", json.dumps(MESSAGE).encode(), workflow_id="RECORD", content_type="application/fhir+json")
            (message,) = receiver.iterate_all_messages()
            assert json.loads(message.read()) == MESSAGE
            message.acknowledge()


def test_a_call_becomes_a_message(tmp_path: Path) -> None:
    file = written(tmp_path / "mine", "intent=command provider_available=false")
    with served(file) as platform:
        answer = platform.call("POST", "/records/FHIR/R4/$process-message", headers=key(file), content=json.dumps(MESSAGE))
        assert answer.status_code == 202, answer.text
        with mailbox(platform, "RXN-IN") as receiver:
            (message,) = receiver.iterate_all_messages()
            assert json.loads(message.read()) == MESSAGE


def mailbox(platform: Served, name: str) -> MeshClient:
    """The public client."""
    secret = {each: (platform.folder / "secrets" / each).read_text() for each in (name, "shared-key")}
    return MeshClient(platform.url, name, secret[name], shared_key=secret["shared-key"].encode())


def test_an_exchange_is_asked_after_until_there_is_an_outcome(tmp_path: Path, backend: Backend) -> None:
    backend.otherwise = later(backend)
    file = written(tmp_path / "mine", f"{LATER} fixed_constraint=true", backend.url)
    file.write_text(file.read_text().replace("within: 4h", "within: 4h\n    ask: {first: 1s, longest: 1s}"))
    with served(file) as platform:
        begun = platform.call("POST", "/records/FHIR/R4/Task", headers=key(file), content=b"{}")
        assert begun.status_code == 202, begun.text
        where = httpx.URL(begun.headers["content-location"]).path
        for _ in range(10):
            time.sleep(int(begun.headers["retry-after"]))
            begun = answer = platform.call("GET", where, headers=key(file))
            if answer.status_code != 202:
                break
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Task"})


def test_a_file_is_taken_and_its_records_are_looked_at(tmp_path: Path) -> None:
    file = written(tmp_path / "mine", "intent=create payload=bulk purpose=background")
    records = tmp_path / "a.csv"
    records.write_text("id,nhs_number\n1,9990000018\n2,1\n")
    digest = hashlib.sha256(records.read_bytes()).hexdigest()
    manifest = tmp_path / "a.manifest.json"
    manifest.write_text(json.dumps({"files": [{"name": "a.csv", "sha256": digest, "records": 2}]}))
    with served(file) as platform:
        sender, collector = (
            Partner(name, tmp_path / "mine" / "keys" / name, port(file, "sftp")) for name in ("sender", "collector")
        )
        sender.sftp(f"put {records} records/a.csv", f"put {manifest} records/a.manifest.json")
        for _ in range(100):
            if "a.csv" in (listed := collector.sftp("ls records")):
                break
            time.sleep(0.1)
        assert "a.csv" in listed, platform.run("bulk", "list").stdout
        collector.sftp(f"get records/a.csv {tmp_path / 'got'}")
    assert (tmp_path / "got").read_text().splitlines() == ["id,nhs_number", "1,9990000018"]


@pytest.mark.parametrize(
    ("said", "channel"),
    [
        ("intent=converse event_rate_high=true full_duplex=true near_zero_latency=true", "talk:1"),
        ("intent=feed event_rate_high=true near_zero_latency=true", "ward:8:board"),
    ],
)
def test_what_happens_is_heard_at_once(said: str, channel: str, tmp_path: Path) -> None:
    file = written(tmp_path / "mine", said)
    pem = (tmp_path / "mine" / "keys" / "my-app.pem").read_bytes()
    with served(file) as platform:
        platform.keys["my-app"] = RSAKey.import_key(pem)
        estate = Estate(platform, port(file, "realtime"))
        if channel == "talk:1":
            estate.begin(channel, "application:my-app", application="my-app")
        heard = asyncio.run(_heard(estate, channel))
    assert heard[-1] == {"state": "free"}


async def _heard(estate: Estate, channel: str) -> list[Any]:
    client, heard = estate.client("my-app"), Heard()
    await client.connect()
    subscription = client.new_subscription(channel, events=heard)
    await subscription.subscribe()
    await subscription.ready(timeout=5)
    answer = await asyncio.to_thread(estate.publish, channel, {"state": "free"}, "my-app")
    assert answer.status_code in (200, 201), answer.text
    await until(lambda: {"state": "free"} in heard.said)
    await client.disconnect()
    return heard.said
