"""The SMART team's bulk client, `smart-fetch`, unchanged: it begins an export, polls, downloads and deletes, through the gateway.

The back end serves an export by FHIR's asynchronous pattern, and calls itself what the gateway says that its consumers call it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, read_body, response

DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire}}}}
applications: {{ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}}}
products: {{all: {{apis: [bulk]}}}}
apis:
  bulk:
    pattern: pass-through
    at: /bulk/FHIR/R4
    target: {{url: "{url}/fhir"}}
    security: [signed-jwt]
    model: {{fhir: {{version: R4}}}}
exchanges:
  bulk: {{interaction: "GET /**", requests: preferred, transitional: {{constraint: it takes long, retire_by: 2099-01-01}}}}
"""
FHIR, LINES = ("Content-Type", "application/fhir+json"), ("Content-Type", "application/fhir+ndjson")
PATIENTS = [{"resourceType": "Patient", "id": "a"}, {"resourceType": "Patient", "id": "b"}]


class Exporting:
    """A FHIR server that exports. `polls` are how often it was asked how far it is."""

    def __init__(self) -> None:
        self.polls = 0

    async def __call__(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await read_body(seen, reader)
        base = f"http://{seen.all(b'x-forwarded-host')[0].decode()}/bulk/FHIR/R4"
        writer.write(self._answer(seen, urlsplit(seen.target.decode()).path.removeprefix("/fhir"), base))

    def _answer(self, seen: Seen, path: str, base: str) -> bytes:
        match seen.method, path:
            case b"GET", "/metadata":
                return response(200, json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}).encode(), FHIR)
            case b"GET", "/$export":
                return response(202, b"", ("Content-Location", f"{base}/export-status/1"))
            case b"GET", "/export-status/1" if self.polls < 2:
                self.polls += 1
                return response(202, b"", ("X-Progress", f"{self.polls * 30} %"), ("Retry-After", "1"))
            case b"GET", "/export-status/1":
                output = [{"type": "Patient", "url": f"{base}/files/patient.ndjson", "count": 2}]
                manifest = {
                    "transactionTime": "2026-11-23T10:00:00Z", "request": f"{base}/$export", "requiresAccessToken": True,
                    "output": output, "error": [],
                }  # fmt: skip
                return response(200, json.dumps(manifest).encode(), ("Content-Type", "application/json"))
            case b"DELETE", "/export-status/1":
                return response(202, b"")
            case b"GET", "/files/patient.ndjson":
                return response(200, b"".join(json.dumps(each).encode() + b"\n" for each in PATIENTS), LINES)
        return response(404)


@pytest.fixture(scope="module")
def exporting(serve: Serve) -> Iterator[tuple[Served, Backend]]:
    """The gateway, and the server behind it."""
    backend = Backend()
    backend.otherwise = Exporting()
    with serve(DEPLOYMENT.format(url=backend.url)) as served:
        yield served, backend
    backend.stop()


def test_an_export_is_begun_polled_downloaded_and_deleted(exporting: tuple[Served, Backend], tmp_path: Path) -> None:
    served, backend = exporting
    (tmp_path / "token").write_text(served.token("ward"))
    program = Path(sys.executable).with_name("smart-fetch")
    done = subprocess.run(
        [program, "bulk", "--fhir-url", f"{served.url}/bulk/FHIR/R4", "--bearer-token", tmp_path / "token", "--type", "Patient",
         tmp_path / "out"],
        capture_output=True, text=True, timeout=90, check=False, env={**os.environ, "NO_PROXY": "*"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "out").glob("Patient*.ndjson.gz")
    assert [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] == PATIENTS
    asked = [f"{seen.method.decode()} {urlsplit(seen.target.decode()).path}" for seen in backend.seen]
    status = "/fhir/export-status/1"
    assert [each for each in asked if "export" in each] == ["GET /fhir/$export", *[f"GET {status}"] * 3, f"DELETE {status}"]
    listed = json.loads(served.run("exchange", "list", "--json").stdout)
    assert [job["state"] for job in listed] == ["cancelled"], "it was let go of"
