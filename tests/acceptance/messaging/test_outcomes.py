"""What came of a promise of work, as the public mesh-client collects it: one correlation id, from the request to the message."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from mesh_client import MeshClient
from tests.acceptance.conftest import Backend, Serve, Served, response
from tests.acceptance.messaging.wire import KEY

DEPLOYMENT = """\
messaging: {{shared_key: env:MESH_KEY}}
organisations: {{X26: {{name: Northshire}}}}
applications:
  ward: {{organisation: X26, jwks: file:keys/ward.json, products: [all]}}
  second: {{organisation: X26, jwks: file:keys/second.json, products: [all]}}
products: {{all: {{apis: [updates]}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  PAS: {{organisation: X26, password: env:MESH_PASSWORD}}
workflows: {{UPDATED: {{from: [PAS], to: [WARD]}}}}
apis:
  updates:
    pattern: promise
    at: /updates
    target: {{url: "{url}"}}
    security: [signed-jwt]
    promise: {{first_wait: 50ms, outcome: {{workflow: UPDATED, from: PAS, to: {{ward: WARD}}}}}}
"""
ENVIRONMENT = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password"}


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def served(serve: Serve, provider: Backend) -> Iterator[Served]:
    with serve(DEPLOYMENT.format(url=provider.url), environment=ENVIRONMENT) as served:
        yield served


def collected(served: Served, seconds: float = 10) -> Any:
    """The next message of the ward's mailbox: its header fields and content, acknowledged; None where none comes."""
    until = time.monotonic() + seconds
    with closing(MeshClient(served.url, "WARD", "password", shared_key=KEY)) as client:
        while time.monotonic() < until:
            for message in client.iterate_all_messages():
                with message:
                    return dict(message.mex_headers()), message.read()
            time.sleep(0.05)
    return None


@pytest.mark.parametrize(("body", "kind"), [(b'{"version": 2}', "application/json"), (b"", "")])
def test_the_providers_answer_is_in_the_mailbox_of_who_made_the_promise(
    served: Served, provider: Backend, body: bytes, kind: str
) -> None:
    path = provider.at(response(201, body, *([("Content-Type", kind)] if kind else [])))
    correlation = str(uuid4())
    headers = {**served.bearer(), "X-Correlation-ID": correlation}
    promise = served.call("POST", f"/updates{path}", headers=headers, content=b"x").headers["fiveways-promise"]
    told, content = collected(served)
    assert (told["workflowid"], told["from"], told["localid"], told["subject"]) == ("UPDATED", "PAS", promise, "answered 201")
    assert json.loads(content) == (json.loads(body) if body else {"promise": promise, "status": 201})
    trail = served.run("trace", correlation).stdout
    assert "202" in trail
    assert "201" in trail


def test_what_is_given_up_and_whoever_has_no_mailbox_is_not_told(served: Served, provider: Backend) -> None:
    refused, done = provider.at(response(422)), provider.at(response(200))
    served.call("POST", f"/updates{refused}", headers=served.bearer(), content=b"x")
    served.call("POST", f"/updates{done}", headers=served.bearer("second"), content=b"x")
    provider.wait(lambda: provider.requests(refused) and provider.requests(done))
    assert collected(served, 1) is None


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("workflow: UPDATED,", "workflow: NOTHING,", "found 'NOTHING', expected one of workflows"),
        ("from: PAS,", "from: NOBODY,", "found 'NOBODY', expected one of mailboxes"),
        ("from: PAS,", "from: WARD,", "WARD does not send UPDATED"),
        ("{ward: WARD}", "{ward: PAS}", "PAS does not receive UPDATED"),
        ("{ward: WARD}", "{nobody: WARD}", "found 'nobody', expected one of applications"),
    ],
)
def test_an_outcome_that_could_not_be_told_is_a_mistake_of_the_file(serve: Serve, old: str, new: str, mistake: str) -> None:
    text = DEPLOYMENT.format(url="http://x")
    assert old in text
    with serve(text.replace(old, new), started=False, environment=ENVIRONMENT) as served:
        refused = served.run("check")
        assert (refused.returncode, mistake in refused.stdout + refused.stderr) == (1, True), refused.stdout + refused.stderr
