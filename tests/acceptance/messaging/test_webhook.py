"""The webhook on arrival: told within a second, in order, signed, and whatever dies in between (A10, A37)."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mesh_client import MeshClient
from tests.acceptance.conftest import Serve, Served, free_port
from tests.acceptance.messaging.wire import V2, token
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

from fiveways.signing import BadSignature, verify

OLD, NEW = "the-secret-that-was-used-so-far", "the-secret-that-is-used-from-now-on"
KEY = b"SharedKey"
DEPLOYMENT = """\
{store}messaging: {{shared_key: env:MESH_KEY, open_workflows: true{more}}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  SURGERY:
    organisation: X26
    password: env:MESH_PASSWORD
    webhook: {{url: "{url}", secrets: [env:OLD_SECRET, env:NEW_SECRET]{capacity}}}
outbound: {{{outbound}}}
"""
ENVIRONMENT = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password", "OLD_SECRET": OLD, "NEW_SECRET": NEW}
OPEN = "allow: [127.0.0.1], networks: [127.0.0.1/32], plain_http: true"


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox: each test has a store of its own."""


class Call(NamedTuple):
    """A request as the receiver got it, and when."""

    path: str
    fields: dict[str, str]
    body: bytes
    at: float

    @property
    def told(self) -> dict[str, Any]:
        """What it says."""
        said: dict[str, Any] = json.loads(self.body)
        return said


class Receiver:
    """A receiver over real HTTP. `status` is what it answers; `down` has nobody listening on its port."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.status = 204
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/arrived?from=fiveways"

    def up(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # its sender was killed: what is not whole tells nothing
                    self.close_connection = True
                    return
                receiver.calls.append(Call(self.path, {k.lower(): v for k, v in self.headers.items()}, body, time.monotonic()))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def ids(self) -> list[str]:
        """The messages that it was told of, in order, each as often as it was."""
        return [call.told["message_id"] for call in self.calls]

    def wait(self, number: int, seconds: float = 20) -> list[Call]:
        """Its calls, once there are so many."""
        until = time.monotonic() + seconds
        while len(self.calls) < number:
            assert time.monotonic() < until, f"{len(self.calls)} calls, not {number}"
            time.sleep(0.01)
        return self.calls


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.down()


def deployment(url: str, *, store: str = "", more: str = "", capacity: str = "", outbound: str = OPEN) -> str:
    return DEPLOYMENT.format(url=url, store=store, more=more, capacity=capacity, outbound=outbound)


@contextmanager
def mailbox(served: Served, name: str = "WARD", **options: Any) -> Iterator[MeshClient]:
    with MeshClient(served.url, name, "password", shared_key=KEY, **options) as client:
        yield client


def send(served: Served, number: int = 1, **more: Any) -> list[str]:
    """Send messages from the ward to the surgery; their ids."""
    with mailbox(served) as ward:
        return [ward.send_message("SURGERY", f"message {each}".encode(), workflow_id="NOTE", **more) for each in range(number)]


def dead(served: Served) -> list[dict[str, Any]]:
    listed = served.run("delivery", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


def until(held: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := held()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_an_arrival_is_told_within_a_second_signed_and_without_what_may_be_of_a_patient(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), environment=ENVIRONMENT) as served:
        send(served)
        receiver.wait(1)
        begun = time.monotonic()
        said = {"authorization": token("WARD", key=KEY), "mex-to": "SURGERY", "mex-workflowid": "NOTE", "mex-localid": "mine"}
        said |= {"accept": V2, "mex-subject": "Mrs Smith", "mex-filename": "smith.pdf", "x-correlation-id": "of-this-exchange"}
        sent = served.call("POST", "/messageexchange/WARD/outbox", headers=said, content=b"x" * 9).json()["message_id"]
        call = receiver.wait(2)[1]
        assert call.at - begun < 1
        told = call.told
        accepted = datetime.fromisoformat(told.pop("accepted"))
        assert abs((datetime.now(UTC) - accepted).total_seconds()) < 10
        assert told == {
            "event": "message.arrived", "message_id": sent, "mailbox": "SURGERY", "workflow_id": "NOTE", "kind": "DATA",
            "sender": "WARD", "local_id": "mine", "chunks": 1, "size": 9, "correlation_id": "of-this-exchange",
            "download": f"/messageexchange/SURGERY/inbox/{sent}",
        }  # fmt: skip
        assert b"mith" not in call.body
        assert call.path == "/hooks/arrived?from=fiveways"
        assert call.fields["content-type"] == "application/json"
        assert call.fields["idempotency-key"] == f"{sent}:webhook"
        assert call.fields["x-correlation-id"] == "of-this-exchange"
        signature = call.fields["fiveways-signature"]
        for secret in (OLD, NEW):
            verify([secret.encode()], signature, call.body, time.time())
        for secrets, body, now in (
            ([b"of somebody else entirely"], call.body, time.time()),
            ([NEW.encode()], call.body.replace(b"WARD", b"WORD"), time.time()),
            ([NEW.encode()], call.body, time.time() + 600),
        ):
            with pytest.raises(BadSignature):
                verify(secrets, signature, body, now)
        with mailbox(served, "SURGERY") as surgery:
            assert surgery.retrieve_message(told["message_id"]).read() == b"x" * 9
    assert OLD not in served.log
    assert NEW not in served.log


def test_a_message_of_several_chunks_is_told_of_once_it_is_whole_with_its_size(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), environment=ENVIRONMENT) as served, mailbox(served, max_chunk_size=10) as ward:
        sent = ward.send_message("SURGERY", b"x" * 35, workflow_id="NOTE")
        told = receiver.wait(1)[0].told
        assert (told["message_id"], told["chunks"], told["size"]) == (sent, 4, 35)
        time.sleep(0.3)
        assert receiver.ids == [sent]


def test_a_report_is_told_of_like_a_message(serve: Serve, receiver: Receiver) -> None:
    text = deployment(receiver.url, more=", collect_within: 1s")
    with serve(text, environment=ENVIRONMENT) as served, mailbox(served, "SURGERY") as surgery:
        linked = surgery.send_message("WARD", b"nobody collects it", workflow_id="NOTE", local_id="mine")
        told = receiver.wait(1)[0].told
        assert (told["kind"], told["local_id"], told.get("sender")) == ("REPORT", "mine", None)
        assert dict(surgery.retrieve_message(told["message_id"]).mex_headers())["linkedmsgid"] == linked


def test_a_receiver_that_was_down_is_told_of_everything_in_order(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), environment=ENVIRONMENT) as served:
        receiver.down()
        sent = send(served, 10)
        time.sleep(0.5)
        receiver.up()
        receiver.wait(10)
        receiver.status = 503
        sent += send(served, 3)
        receiver.wait(11)
        receiver.status = 204
        until(lambda: receiver.ids[-1] == sent[-1])
    assert list(dict.fromkeys(receiver.ids)) == sent, "in order, each as often as it took"


def test_what_a_receiver_will_not_take_is_a_dead_letter_that_can_be_sent_again(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), environment=ENVIRONMENT) as served:
        receiver.status = 410
        (refused,) = send(served)
        (letter,) = until(lambda: dead(served))
        assert (letter["id"], letter["queue"], letter["key"]) == (f"{refused}:webhook", "messaging.webhook", "SURGERY")
        assert "410" in letter["reason"]
        receiver.status = 204
        (sent,) = send(served)
        assert served.run("delivery", "resend", letter["id"], "--reason", "the receiver is back").returncode == 0
        receiver.wait(3)
        assert receiver.ids == [refused, sent, refused]
        until(lambda: dead(served) == [])
        shown = until(lambda: [line for line in served.call("GET", "/metrics").text.splitlines() if "delivery_outcomes" in line])
        assert 'fiveways_delivery_outcomes_total{outcome="dead",queue="messaging.webhook"} 1.0' in shown
        assert 'fiveways_delivery_outcomes_total{outcome="delivered",queue="messaging.webhook"} 2.0' in shown


def test_a_receiver_is_told_no_faster_than_it_has_declared_to_take(serve: Serve, receiver: Receiver) -> None:
    text = deployment(receiver.url, capacity=", capacity: {rate: 5/s, at_once: 1}")
    with serve(text, environment=ENVIRONMENT) as served:
        begun = time.monotonic()
        sent = send(served, 15)
        receiver.wait(15)
        assert receiver.calls[-1].at - begun > 1.5
        assert receiver.ids == sent


def test_no_arrival_is_untold_when_the_node_is_killed(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), http=f"127.0.0.1:{free_port()}", environment=ENVIRONMENT) as served:
        sent: list[str] = []
        for _ in range(2):
            sent += send(served, 20)
            served.stop(signal.SIGKILL)
            served.start()
        until(lambda: set(receiver.ids) == set(sent), 60)
        assert list(dict.fromkeys(receiver.ids)) == sent, "in order of arrival"
        assert len(receiver.ids) <= len(sent) + 2, "a kill repeats what was under way, and that is one of a mailbox"
        assert dead(served) == []


def test_two_nodes_tell_once_and_the_one_goes_on_where_the_other_was_killed(
    serve: Serve,
    receiver: Receiver,
    postgres: Callable[[], str],  # noqa: F811
    tmp_path: Path,
) -> None:
    text = deployment(receiver.url, store=f'store: {{url: "{postgres()}", payloads: "file://{tmp_path}/payloads"}}\n')
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        nodes = [
            stack.enter_context(
                serve(text, "--node", name, http=f"127.0.0.1:{free_port()}", started=False, environment=ENVIRONMENT)
            )
            for name in ("one", "two")
        ]
        list(starting.map(Served.start, nodes))
        several = list(starting.map(send, nodes * 2, [10] * 4))
        sent = {id_ for ids in several for id_ in ids}
        until(lambda: set(receiver.ids) == sent)
        assert len(receiver.calls) == len(sent), "both alive: each is told once"
        for ids in several:
            assert [id_ for id_ in receiver.ids if id_ in ids] == ids, "one sender's in order"
        one, two = nodes
        more = send(one, 10)
        one.stop(signal.SIGKILL)
        more += send(two, 10)
        until(lambda: set(receiver.ids) == sent | set(more), 60)
        assert sum(Counter(receiver.ids).values()) <= len(sent) + len(more) + 1


def test_a_private_address_is_refused_unless_it_is_allowed(serve: Serve, receiver: Receiver) -> None:
    named = receiver.url.replace("127.0.0.1", "localhost")
    for url, outbound, line in (
        (receiver.url, "plain_http: true", "127.0.0.1 is not on the allow-list"),
        (receiver.url, "allow: [127.0.0.1], plain_http: true", "loopback (RFC 1122)"),
        (receiver.url, "allow: [127.0.0.1], networks: [127.0.0.1/32]", "only https URLs"),
    ):
        with serve(deployment(url, outbound=outbound), started=False, environment=ENVIRONMENT) as served:
            checked = served.run("check")
            assert checked.returncode == 1
            assert line in checked.stderr
            assert "deployment.yaml:8:" in checked.stderr, "with its line"
    with serve(deployment(named, outbound="allow: [localhost], plain_http: true"), environment=ENVIRONMENT) as served:
        send(served)
        (letter,) = until(lambda: dead(served))
        assert "not the public Internet's" in letter["reason"]
    assert receiver.calls == []


def test_a_short_secret_is_refused_and_not_repeated(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), started=False, environment={**ENVIRONMENT, "NEW_SECRET": "hunter2"}) as served:
        refused = served.run("serve", "--http", "127.0.0.1:0")
        assert refused.returncode == 1
        assert "mailboxes.SURGERY.webhook.secrets" in refused.stdout + refused.stderr
        assert "hunter2" not in refused.stdout + refused.stderr


def test_a_webhook_that_was_taken_away_is_not_told_and_a_secret_is_changed_by_a_reload(serve: Serve, receiver: Receiver) -> None:
    with serve(deployment(receiver.url), environment=ENVIRONMENT) as served:
        served.file.write_text(served.file.read_text().replace("env:OLD_SECRET, ", ""))
        served.process.send_signal(signal.SIGHUP)

        def changed() -> bool:
            send(served)
            signature = receiver.wait(1)[-1].fields["fiveways-signature"]
            return signature.count("v1=") == 1

        until(changed)
        receiver.status = 503
        before = len(receiver.calls)
        send(served)
        receiver.wait(before + 1)
        served.file.write_text("\n".join(line for line in served.file.read_text().splitlines() if "webhook:" not in line))
        served.process.send_signal(signal.SIGHUP)
        (letter,) = until(lambda: dead(served), 30)
        assert letter["reason"] == "the mailbox has no webhook any more"
