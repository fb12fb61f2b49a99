"""An operator takes tokens back on a running platform: every process refuses them within a second, and ever after."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests import forked
from tests.acceptance.conftest import Backend, Serve, Served

DEPLOYMENT = """
organisations: {{RXN: {{name: Northshire Hospitals}}}}
applications:
  ward: {{organisation: RXN, jwks: "file:keys/ward.json", products: [all]}}
  second: {{organisation: RXN, jwks: "file:keys/second.json", products: [all]}}
products: {{all: {{apis: [fhir]}}}}
apis:
  fhir: {{pattern: pass-through, at: /fhir, target: {{url: "{url}"}}, security: [signed-jwt], model: {{fhir: {{version: R4}}}}}}
"""


@pytest.fixture(scope="module")
def served(serve: Serve) -> Iterator[Served]:
    """A platform of three processes, two of which take tokens."""
    behind = Backend()
    with serve(DEPLOYMENT.format(url=behind.url), "--processes", "--gateways", "2") as served:
        yield served
    behind.stop()


def revoke(served: Served, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """`fiveways token revoke`, with a token on its standard input."""
    command = ("token", "revoke", str(served.file), *arguments)
    return forked.run(command, {**os.environ, "COLUMNS": "200"}, None, typed=token)


def fresh(served: Served, application: str) -> str:
    """A token of its own."""
    return str(served.ask_token(served.assertion(application)).json()["access_token"])


def statuses(served: Served, token: str, times: int = 12) -> set[int]:
    """What calls with a token are answered, each on a connection of its own: so by either process."""
    return {served.call("GET", "/fhir/x", headers={"Authorization": f"Bearer {token}"}).status_code for _ in range(times)}


def refused_within(served: Served, token: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if statuses(served, token) == {401}:
            return True
    return False


def test_one_token_is_revoked_on_every_process_and_others_are_not(served: Served) -> None:
    token, other = fresh(served, "ward"), fresh(served, "ward")
    assert statuses(served, token) == statuses(served, other) == {200}
    done = revoke(served, token=f"{token}\n")
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout
    assert refused_within(served, token, 5)
    assert statuses(served, other) == {200}
    answer = served.call("GET", "/fhir/x", headers={"Authorization": f"Bearer {token}"})
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    again = revoke(served, token=token)
    assert (again.returncode, again.stdout) == (0, "nothing to revoke: this token has expired or is revoked already\n")
    [event] = [event for event in served.events(kind="token.revoked") if event["details"].get("jti", "-") in done.stdout]
    assert (event["application"], event["outcome"], event["details"]["by"]) == ("ward", "revoked", "operator")
    assert event["details"]["account"]


def test_all_tokens_of_an_application_are_revoked_but_not_those_issued_after(served: Served) -> None:
    tokens, other = [fresh(served, "second") for _ in range(3)], fresh(served, "ward")
    assert all(statuses(served, token, 3) == {200} for token in tokens)
    done = revoke(served, "--application", "second")
    assert done.returncode == 0, done.stderr
    later = fresh(served, "second")
    assert all(refused_within(served, token, 5) for token in tokens)
    assert statuses(served, later) == statuses(served, other) == {200}
    [event] = [event for event in served.events(kind="token.revoked") if "issued_before" in event["details"]]
    assert (event["application"], event["details"]["by"]) == ("second", "operator")


def test_what_is_revoked_stays_so_over_a_restart_and_the_audit_is_whole(serve: Serve, backend: Backend) -> None:
    with serve(DEPLOYMENT.format(url=backend.url), http="127.0.0.1:0") as served:
        one, all_of_it = fresh(served, "ward"), fresh(served, "second")
        assert revoke(served, token=one).returncode == 0
        assert served.stop() == 0
        assert revoke(served, "--application", "second").returncode == 0, "nor need the platform be running"
        served.start()
        assert statuses(served, one, 1) == statuses(served, all_of_it, 1) == {401}
        verified = served.run("audit", "verify", str(served.file))
        assert verified.returncode == 0, verified.stdout
        assert "intact" in verified.stdout


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "no token on standard input"),
        ("\n", "no token on standard input"),
        ("hunter2", "no access token of this platform (malformed)"),
        ("\xff" * 10, "no access token of this platform (malformed)"),
        ("a" * 100_000, "no access token of this platform (malformed)"),
        ("eyJhbGciOiJub25lIn0.e30.", "no access token of this platform"),
    ],
    ids=lambda value: value[:12],
)
def test_what_is_no_token_is_a_clear_error_that_does_not_repeat_it(served: Served, token: str, complaint: str) -> None:
    done = revoke(served, token=token)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(token) < 2 or token not in done.stderr


def test_a_token_of_another_platform_is_an_error(served: Served) -> None:
    token = fresh(served, "ward")
    head, payload, signature = token.split(".")
    forged = ".".join([head, payload, signature[:-8] + ("AAAAAAAA" if not signature.endswith("AAAAAAAA") else "BBBBBBBB")])
    done = revoke(served, token=forged)
    assert (done.returncode, "(signature)" in done.stderr) == (1, True)
    assert statuses(served, token) == {200}


def test_an_unknown_application_is_an_error_with_a_hint(served: Served) -> None:
    done = revoke(served, "--application", "secnd")
    assert done.returncode == 1
    assert "did you mean 'second'?" in done.stderr


def test_a_token_on_the_command_line_is_not_taken(served: Served) -> None:
    done = served.run("token", "revoke", fresh(served, "ward"))
    assert done.returncode == 1
    assert "standard input" in done.stderr
    assert "eyJ" not in done.stderr


def test_a_token_that_is_typed_is_not_shown(served: Served) -> None:
    token = fresh(served, "ward")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "fiveways", "token", "revoke", str(served.file)]
    process = subprocess.Popen(command, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    os.close(child)
    assert process.stderr is not None
    asked = process.stderr.read(len(b"access token: "))  # what is typed before it asks is thrown away, as at any such question
    os.write(parent, token.encode() + b"\n")
    out, err = process.communicate(timeout=60)
    os.set_blocking(parent, False)
    try:
        echoed = os.read(parent, 65536)
    except OSError:
        echoed = b""
    os.close(parent)
    assert (process.returncode, asked) == (0, b"access token: "), err
    assert out.startswith(b"revoked: token ")
    assert token.encode() not in echoed + out + err


def test_data_that_nothing_has_run_with_is_an_error(serve: Serve) -> None:
    with serve("apis: {}\n", started=False) as served:
        done = served.run("token", "revoke", "--application", "ward")
    assert done.returncode == 1
    assert "has `fiveways serve` run" in done.stderr


def test_the_tables_keep_no_token(served: Served) -> None:
    token = fresh(served, "ward")
    assert revoke(served, token=token).returncode == 0
    signature = token.rpartition(".")[2].encode()
    for file in served.data.rglob("*"):
        assert not file.is_file() or signature not in file.read_bytes(), file
