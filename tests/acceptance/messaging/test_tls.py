"""mesh-client's whole surface over http, TLS and mutual TLS, of `fiveways serve` with certificates that `fiveways certs` made."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient, MeshError
from requests import HTTPError
from requests.exceptions import SSLError
from tests.acceptance.conftest import Serve, Served, free_port

DEPLOYMENT = """\
messaging: {{shared_key: env:MESH_KEY}}
organisations: {{X26: {{name: Northshire}}, X27: {{name: The Surgery}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD}}
  SURGERY: {{organisation: X27, name: In, password: env:MESH_PASSWORD}}
  WARD-MTLS: {{organisation: X26, password: env:MESH_PASSWORD, certificates: [{{subject: CN=ward}}]}}
  SURGERY-MTLS: {{organisation: X27, name: In, password: env:MESH_PASSWORD, certificates: [{{subject: CN=surgery}}]}}
workflows:
  NOTE: {{from: [WARD, SURGERY, WARD-MTLS, SURGERY-MTLS], to: [WARD, SURGERY, WARD-MTLS, SURGERY-MTLS]}}
listeners:
  http: {{http: "127.0.0.1:{http}"}}
  tls: {{https: "127.0.0.1:{tls}", certificate: file:tls/server.pem, key: file:tls/server.key.pem}}
  mtls:
    https: "127.0.0.1:{mtls}"
    certificate: file:tls/server.pem
    key: file:tls/server.key.pem
    client_certificates: {{ca: file:tls/ca.pem, required: true}}
"""
WAYS = ("http", "tls", "mtls")
MEBI = 1024 * 1024


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox, which could be told to forget: each test leaves the inboxes empty, or counts what it sent itself."""


class Platform:
    """A platform that listens in all three ways."""

    def __init__(self, served: Served, ports: dict[str, int]) -> None:
        self.served = served
        self.tls = served.folder / "tls"
        self.urls = {way: f"{'http' if way == 'http' else 'https'}://127.0.0.1:{port}" for way, port in ports.items()}

    def pair(self, name: str) -> tuple[str, str]:
        """The files of a client's certificate and of its key, as mesh-client takes them."""
        return str(self.tls / f"{name}.pem"), str(self.tls / f"{name}.key.pem")


@pytest.fixture(scope="module")
def platform(serve: Serve) -> Iterator[Platform]:
    """Made as an operator makes it: certificates first, then `fiveways serve`."""
    ports = {way: free_port() for way in WAYS}
    environment = {"MESH_KEY": "SharedKey", "MESH_PASSWORD": "password"}
    with serve(DEPLOYMENT.format(**ports), http="", started=False, environment=environment) as served:
        made = served.run("certs", "tls", "--host", "127.0.0.1", "--client", "ward", "--client", "surgery")
        assert made.returncode == 0, made.stderr
        served.start()
        yield Platform(served, ports)


class Way:
    """One of the ways: opens clients on the mailboxes that are used over it."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.name = name
        self._platform = platform
        self._opened: list[MeshClient] = []

    def client(self, role: str, **options: Any) -> MeshClient:
        """mesh-client for 'ward' or 'surgery'."""
        certified = {"cert": self._platform.pair(role)} if self.name == "mtls" else {}
        trusting = {"verify": str(self._platform.tls / "ca.pem")} if self.name != "http" else {}
        options = {"password": "password", "shared_key": b"SharedKey", **trusting, **certified, **options}
        made = MeshClient(self._platform.urls[self.name], self.mailbox(role), **options)
        self._opened.append(made)
        return made

    def mailbox(self, role: str) -> str:
        """The mailbox of 'ward' or 'surgery'."""
        return role.upper() + ("-MTLS" if self.name == "mtls" else "")

    def close(self) -> None:
        for each in self._opened:
            each.close()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Way]:
    opened = Way(platform, request.param)
    yield opened
    opened.close()


def refused(call: Callable[[], object]) -> tuple[int, str]:
    """How a call is refused."""
    with pytest.raises(HTTPError) as error:
        call()
    assert error.value.response is not None
    return error.value.response.status_code, error.value.response.text


def test_every_call_of_the_client(way: Way) -> None:
    ward, surgery, to = way.client("ward"), way.client("surgery"), way.mailbox("surgery")
    ward.ping()
    assert (ward.handshake(), surgery.handshake()) == (b"hello", b"hello")
    assert ward.lookup_endpoint("X27", "NOTE")["results"] == [
        {"mailbox_id": mailbox, "mailbox_name": "In"} for mailbox in ("SURGERY", "SURGERY-MTLS")
    ]
    sent = [ward.send_message(to, b"%d" % number, workflow_id="NOTE", local_id=f"L{number}") for number in range(12)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert surgery.count_messages() == 12
    assert surgery.list_messages(max_results=10) == sent[:10]
    assert surgery.list_messages(workflow_filter="!NOTE") == []
    assert list(surgery.iterate_message_ids(batch_size=10)) == sent
    assert surgery.retrieve_message_chunk(sent[0], 1).content == b"0"
    assert ward.track_message(message_id=sent[0])["status"] == "accepted"
    surgery.acknowledge_message(sent[0])
    assert ward.track_message(message_id=sent[0])["status"] == "acknowledged"
    assert [message.id() for message in surgery.iterate_messages(batch_size=10)] == sent[1:]
    read = []
    for message in surgery.iterate_all_messages():
        with message:
            read.append((message.local_id, message.sender, message.read()))
    assert read == [(f"L{number}", way.mailbox("ward"), b"%d" % number) for number in range(1, 12)]
    assert surgery.list_messages() == []


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("chunk_size", [10 * MEBI, MEBI])
def test_content_arrives_whole(way: Way, tmp_path: Path, chunk_size: int, compress: bool) -> None:
    data = bytes(range(251)) * (3 * MEBI // 251)
    file = tmp_path / "content"
    file.write_bytes(data)
    ward, surgery = way.client("ward", max_chunk_size=chunk_size), way.client("surgery")
    with file.open("rb") as content:
        sent = ward.send_message(way.mailbox("surgery"), content, workflow_id="NOTE", compress=compress)
    with surgery.retrieve_message(sent) as message:
        assert message.mex_header("chunk-range") == f"1:{-(-len(data) // chunk_size)}"
        assert message.compressed == compress
        assert message.read() == data


def test_chunks_sent_one_by_one(way: Way) -> None:
    ward, surgery = way.client("ward"), way.client("surgery")
    to = way.mailbox("surgery")
    sent = ward.send_chunk(to, b"1", 1, 3, workflow_id="NOTE").json()["message_id"]
    for number in (3, 2):
        assert surgery.list_messages() == []
        assert ward.send_chunk(to, b"%d" % number, number, 3, message_id=sent, workflow_id="NOTE").status_code == 202
    with surgery.retrieve_message(sent) as message:
        assert message.read() == b"123"


def test_refusals_can_be_read(way: Way) -> None:
    ward, surgery = way.client("ward"), way.client("surgery")
    with pytest.raises(MeshError, match="Unregistered to address"):
        ward.send_message("NOBODY", b"x", workflow_id="NOTE")
    with pytest.raises(MeshError, match="Workflow ID not registered"):
        ward.send_message(way.mailbox("surgery"), b"x", workflow_id="OTHER")
    assert refused(way.client("ward", password="wrong").handshake)[0] == 403
    assert refused(lambda: surgery.retrieve_message("NONE"))[0] == 404
    assert refused(lambda: surgery.acknowledge_message("NONE"))[0] == 404


def test_a_message_sent_in_one_way_is_collected_in_another(platform: Platform) -> None:
    ways = [Way(platform, name) for name in WAYS]
    for sending in ways:
        for collecting in ways:
            to = collecting.mailbox("surgery")
            sent = sending.client("ward").send_message(to, b"x" * 100_000, workflow_id="NOTE")
            with collecting.client("surgery").retrieve_message(sent) as message:
                assert (message.sender, message.read()) == (sending.mailbox("ward"), b"x" * 100_000)
    for each in ways:
        each.close()


def test_the_client_refuses_a_server_whose_authority_it_does_not_trust(platform: Platform) -> None:
    way = Way(platform, "tls")
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        way.client("ward", verify=True, max_retries=0).handshake()
    way.close()


def test_a_listener_that_requires_certificates_takes_nobody_without(platform: Platform) -> None:
    trusting = ssl.create_default_context(cafile=platform.tls / "ca.pem")
    with httpx.Client(verify=trusting, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"{platform.urls['mtls']}/messageexchange/_ping")


def test_a_mailbox_with_certificates_is_closed_to_whoever_has_only_its_password(platform: Platform) -> None:
    options: dict[str, Any] = {"shared_key": b"SharedKey", "max_retries": 0, "verify": str(platform.tls / "ca.pem")}
    for url, cert in ((platform.urls["tls"], None), (platform.urls["mtls"], platform.pair("surgery"))):
        with MeshClient(url, "WARD-MTLS", "password", cert=cert, **options) as client:
            assert refused(client.handshake)[0] == 403
