"""`fiveways check --probe`: a back end that answers whoever asks is seen to, and one that does not is none (GW01, S34)."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.conftest import Backend, Serve, after, dying, free_port, response

from fiveways.cli.certs import make
from fiveways.deployment import document
from fiveways.linter import probe
from fiveways.linter.probe import reached
from fiveways.platform.model import Deployment, validate

Secured = Callable[[bool], Backend]


def deployed(*urls: str) -> Deployment:
    """A deployment of APIs with these back ends."""
    lines = [
        f"  a{index}: {{pattern: pass-through, at: /a{index}, security: [open], target: {{url: '{url}'}}}}\n"
        for index, url in enumerate(urls)
    ]
    return validate(document.parse("apis:\n" + "".join(lines)))


def seen(*urls: str, seconds: float = 2.0) -> dict[str, str]:
    """What is seen of back ends, by API."""
    return {str(loc[1]): said for loc, said in reached(deployed(*urls), timedelta(seconds=seconds))}


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    """A back end with TLS, with or without a client's certificate."""
    files = {file.name: str(file) for pair in make(tmp_path, ["localhost", "127.0.0.1"], ["client"]) for file in pair}
    made: list[Backend] = []

    def start(certificates: bool) -> Backend:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
        context.load_cert_chain(files["server.pem"], files["server.key.pem"])
        context.verify_mode = ssl.CERT_REQUIRED if certificates else ssl.CERT_NONE
        made.append(Backend(context))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def test_a_back_end_that_answers_is_an_error(serve: Serve, backend: Backend) -> None:
    path = backend.at(response(401))
    text = (
        f"apis:\n  open: {{pattern: pass-through, at: /a, security: [api-key], target: {{url: '{backend.url}{path}'}}}}\n"
        f"  shut: {{pattern: pass-through, at: /b, security: [api-key], target: {{url: 'http://127.0.0.1:{free_port()}'}}}}\n"
    )
    with serve(text, started=False) as served:
        assert served.run("check", str(served.file)).returncode == 0
        ran = served.run("check", str(served.file), "--probe", "--format", "json")
    assert ran.returncode == 1
    (finding,) = [each for each in json.loads(ran.stdout) if each["rule"] == "GW01"]
    assert (finding["severity"], finding["path"], finding["line"]) == ("error", "apis.open.target.url", 2)
    assert "127.0.0.1 answers requests that do not come from the gateway, with 401" in finding["message"]
    (request,) = backend.requests(path)
    assert request.method == b"HEAD"


def test_whatever_it_answers_it_was_reached(backend: Backend) -> None:
    answers = response(200), dying(b"welcome to nothing\r\n"), dying(b"x" * 100_000), after(60)
    found = seen(*(backend.url + backend.at(answer) for answer in answers), seconds=0.5)
    assert "with 200" in found["a0"]
    assert "breaks them off" in found["a1"]
    assert "breaks them off" in found["a2"]
    assert "answers nothing" in found["a3"]


def test_one_that_wants_the_gateways_certificate_is_not_reached(secured: Secured) -> None:
    plain, mutual = secured(False), secured(True)
    found = seen(plain.url, mutual.url)
    assert found.keys() == {"a0"}, "whose certificate nobody trusts, and which answers all the same"
    assert "with 200" in found["a0"]


def test_names_that_are_nowhere_and_ports_that_are_shut_are_fine() -> None:
    assert seen("http://no-such-host.invalid", f"http://127.0.0.1:{free_port()}", "https://[::1]:1/x") == {}


def test_two_apis_of_one_back_end_are_one_request(backend: Backend) -> None:
    url = backend.url + backend.at(response())
    assert set(seen(url, url)) == {"a0", "a1"}
    assert len(backend.seen) == 1


def test_many_are_tried_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as deaf:  # takes connections, and never says anything
        port = deaf.getsockname()[1]
        begun = time.monotonic()
        found = seen(*(f"http://127.0.0.1:{port}/{index}" for index in range(60)), seconds=0.5)
        assert time.monotonic() - begun < 5
    assert len(found) == 60


def test_what_speaks_no_http_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        api = (
            f"pattern: transformation, at: /a, security: [open], mllp: {{address: '{address}'}}, "
            "transform: {by: fhir-to-hl7v2}, debt: {owner: i, reason: r, target: pass-through, retire_by: 2099-01-01}"
        )
        deployment = validate(document.parse(f"apis:\n  a: {{{api}}}\n"))
        ((loc, said),) = reached(deployment, timedelta(seconds=1))
    assert loc == ("apis", "a", "mllp", "address")
    assert "takes connections from whoever asks" in said


def test_nothing_of_a_url_gets_into_a_head_of_its_own() -> None:
    head = probe._head("h\r\nX: y", "/a\r\n\r\nGET /b\u00e9")
    assert head.startswith(b"HEAD /aGET /b HTTP/1.1\r\nHost: hX: y\r\n")
    assert head.count(b"\r\n") == 5
