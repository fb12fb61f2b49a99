"""A deployment's life: written, checked, served, reloaded, stopped; and what is wrong with it said in a sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2.connection
import httpx
import pytest
from cryptography import x509
from tests import forked
from tests.acceptance.conftest import Backend, Serve, after, free_port

OPEN = 'apis: {{a: {{pattern: pass-through, at: /a, target: {{url: "{url}"}}, security: [open]}}}}\n'


def fiveways(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return forked.run(arguments, environment, folder)


WRONG = """\
organisations: {a81: {name: x}}
applications:
  ward: {organisation: RXN, products: [nothing], api_keys: [plain-text-key]}
apis:
  a: {pattern: pass-thru, at: a/b, target: {url: "ftp://x", timeout: {connect: soon}}, security: [opn]}
  a: {pattern: pass-through, at: /a, target: {url: "http://x"}, security: [open]}
  b: {pattern: pass-through, at: /b, target: {url: "http://x"}, security: [open, signed-jwt], limit: {body: 1}}
"""


def test_every_mistake_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text(
        WRONG.replace("  a: {pattern: pass-through, at: /a,", "  c: {pattern: pass-through, at: /a,")
    )
    checked = fiveways("check", str(tmp_path))
    said = checked.stderr + checked.stdout
    assert checked.returncode == 1
    assert "Traceback" not in said
    for line, path in (
        (1, "organisations.a81"), (3, "applications.ward.api_keys[0]"), (5, "apis.a.pattern"), (5, "apis.a.at"),
        (5, "apis.a.target.url"), (5, "apis.a.target.timeout.connect"), (5, "apis.a.security[0]"), (7, "apis.b.limit"),
    ):  # fmt: skip
        assert any(f"deployment.yaml:{line}:" in each and path in each for each in said.splitlines()), path
    assert "did you mean 'limits'?" in said
    assert "found 'pass-thru'" in said


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text(WRONG)
    assert "the key 'a' stands here again (first on line 5)" in fiveways("check", str(tmp_path)).stderr


@pytest.mark.parametrize(
    "text", ["", "- a\n", "a: [", "apis: &a [*a]\n", "apis: !!python/object:os.system {}\n", "\x00", "apis: 3\n"]
)
def test_no_file_is_a_stack_trace(tmp_path: Path, text: str) -> None:
    (tmp_path / "deployment.yaml").write_text(text)
    checked = fiveways("check", str(tmp_path))
    assert "Traceback" not in checked.stderr
    assert checked.returncode == (0 if text == "" else 1)


def test_init_check_and_serve_follow_each_other(tmp_path: Path) -> None:
    assert fiveways("init", str(tmp_path)).returncode == 0
    checked = fiveways("check", "--strict", str(tmp_path))
    assert (checked.returncode, checked.stdout.strip()) == (0, "deployment.yaml: no findings")
    again = fiveways("init", str(tmp_path))
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_certs_keep_what_is_there_and_add_to_it(tmp_path: Path) -> None:
    assert fiveways("certs", str(tmp_path / "tls")).returncode == 0
    authority = (tmp_path / "tls" / "ca.pem").read_bytes()
    again = fiveways("certs", str(tmp_path / "tls"), "--client", "second")
    assert again.returncode == 0
    assert (tmp_path / "tls" / "second.key.pem").exists()
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == authority
    issuer = x509.load_pem_x509_certificate((tmp_path / "tls" / "second.pem").read_bytes())
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


@pytest.mark.parametrize(
    "command",
    [
        "",
        "init",
        "certs",
        "serve",
        "check",
        "demo",
        "schema",
        "routes",
        "trace",
        "reload",
        "audit",
        "audit verify",
        "key new",
        "token revoke",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    shown = fiveways(*command.split(), "--help")
    assert shown.returncode == 0
    assert "Usage:" in shown.stdout


def test_a_taken_address_is_a_clear_error(serve: Serve, backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serve(OPEN.format(url=backend.url), started=False) as served:
            ended = served.run("serve", str(served.file), "--http", address)
    assert ended.returncode == 1
    assert f"cannot listen on {address}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_files_are_a_clear_error(serve: Serve, backend: Backend) -> None:
    port = free_port()
    listener = f'listeners: {{main: {{https: "127.0.0.1:{port}", certificate: file:no.pem, key: file:no.key}}}}\n'
    with serve(listener + OPEN.format(url=backend.url), started=False) as served:
        ended = served.run("serve", str(served.file))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_a_reload_fails_no_request_and_a_bad_file_changes_nothing(serve: Serve, backend: Backend) -> None:
    first, second = backend.url + "/first", backend.url + "/second"
    with serve(OPEN.format(url=first)) as served:
        stop, statuses = threading.Event(), []

        def load() -> None:
            with served.client() as client:
                while not stop.is_set():
                    statuses.append(client.get("/a/x").status_code)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for url in (second, first, second):
                served.file.write_text(OPEN.format(url=url))
                done = served.run("reload", str(served.file))
                assert (done.returncode, done.stdout.partition(";")[0].strip()) == (0, "reloaded"), done.stderr
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert set(statuses) == {200}
        assert backend.seen[-1].target == b"/second/x"
        served.file.write_text("apis: {a: {pattern: nonsense}}\n")
        refused = served.run("reload", str(served.file))
        assert refused.returncode == 1
        assert "apis.a.pattern" in refused.stderr
        served.process.send_signal(signal.SIGHUP)
        backend.wait(lambda: "the old deployment goes on" in served.log)
        assert served.call("GET", "/a/x").status_code == 200


def test_a_stop_finishes_what_is_under_way(serve: Serve, backend: Backend) -> None:
    with serve(OPEN.format(url=backend.url)) as served:
        path = backend.at(after(0.8))
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(served.call, "GET", f"/a{path}")
            backend.wait(lambda: backend.requests(path))
            assert served.stop() == 0
            assert slow.result().status_code == 200
        with pytest.raises(httpx.TransportError):
            served.call("GET", "/_ping")


def test_a_killed_process_comes_back(serve: Serve, backend: Backend) -> None:
    with serve(OPEN.format(url=backend.url), "--processes") as served:
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
        assert len(children) == 2
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        until, answered = time.monotonic() + 15, False
        while not answered and time.monotonic() < until:
            try:
                answered = served.call("GET", "/a/x").status_code == 200
            except httpx.TransportError:
                time.sleep(0.1)
        assert answered
        assert served.stop() == 0


def test_an_idle_http2_connection_does_not_hold_up_the_stop(serve: Serve) -> None:
    with serve("apis: {}\n") as served:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        fields = [(":method", "GET"), (":path", "/_ping"), (":scheme", "http"), (":authority", "localhost")]
        client.send_headers(1, fields, end_stream=True)
        with served.connect() as connection:
            connection.sendall(client.data_to_send())
            assert connection.recv(65536)
            assert served.stop(seconds=15) == 0
