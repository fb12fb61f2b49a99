"""A mailbox may demand a client certificate besides its token: the public client over mutual TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from mesh_client import MeshClient, MeshError
from requests import HTTPError, RequestException
from tests.acceptance.conftest import Serve, Served, free_port

from fiveways.clock import SystemClock
from fiveways.deployment import document
from fiveways.errors import DeploymentError
from fiveways.platform.model import validate
from fiveways.security.certificates import issue_client, issue_server, make_authority

DEPLOYMENT = """\
messaging: {{shared_key: env:MESH_KEY, open_workflows: true, client_certificates: {mode}}}
organisations: {{X26: {{name: Northshire}}, X27: {{name: The Surgery}}}}
mailboxes:
  WARD: {{organisation: X26, password: env:MESH_PASSWORD, certificates: [{{subject: CN=ward}}, {{subject: CN=ward-next}}]}}
  SURGERY: {{organisation: X27, password: env:MESH_PASSWORD, certificates: [{{sha256: "{print}"}}]}}
  OPEN: {{organisation: X27, password: env:MESH_PASSWORD{also}}}
listeners:
  plain: {{http: "127.0.0.1:{plain}"}}
  mutual:
    https: "127.0.0.1:{mutual}"
    certificate: file:tls/server.pem
    key: file:tls/server.key.pem
    client_certificates: {{ca: file:tls/ca.pem}}
"""
REFUSED = "Client certificate is missing or not one of the mailbox's"


class Secured:
    """A platform with a listener that asks for client certificates and one that does not; opens clients on it."""

    def __init__(self, served: Served, tls: Path, plain: str, mutual: str) -> None:
        self.served = served
        self.plain = plain
        self.mutual = mutual
        self._tls = tls
        self._opened: list[MeshClient] = []

    def client(self, mailbox: str, certificate: str | None = None, *, url: str = "", **options: Any) -> MeshClient:
        """mesh-client on a mailbox, with a certificate or without."""
        cert = (str(self._tls / f"{certificate}.pem"), str(self._tls / f"{certificate}.key.pem")) if certificate else None
        options = {"password": "password", "shared_key": b"TestKey", "max_retries": 0, **options}
        made = MeshClient(url or self.mutual, mailbox, cert=cert, verify=str(self._tls / "ca.pem"), **options)
        self._opened.append(made)
        return made

    def close(self) -> None:
        """Close every client."""
        for each in self._opened:
            each.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority that the listener trusts, and one of another's."""
    folder, clock = tmp_path_factory.mktemp("tls"), SystemClock()
    authority, foreign = make_authority("Local authority", clock), make_authority("Somebody else", clock)
    authority.write(folder, "ca")
    issue_server(authority, clock, names=("localhost", "127.0.0.1")).write(folder, "server")
    for name in ("ward", "ward-next", "surgery", "stranger"):
        issue_client(authority, clock, name=name).write(folder, name)
    issue_client(foreign, clock, name="ward").write(folder, "forged")
    return folder


@pytest.fixture(scope="module")
def secured(serve: Serve, tls: Path) -> Iterator[Callable[..., Secured]]:
    """Runs a platform where certificates are required of all mailboxes, or of those that name some."""
    running: dict[str, Secured] = {}
    platforms = ExitStack()

    def run(mode: str) -> Secured:
        if mode not in running:
            ports = {"plain": free_port(), "mutual": free_port()}
            print_ = x509.load_pem_x509_certificate((tls / "surgery.pem").read_bytes()).fingerprint(hashes.SHA256()).hex()
            also = ", certificates: [{subject: CN=ward}]" if mode == "required" else ""
            text = DEPLOYMENT.format(mode=mode, print=print_.upper(), also=also, **ports)
            environment = {"MESH_KEY": "TestKey", "MESH_PASSWORD": "password"}
            served = platforms.enter_context(serve(text, http="", started=False, environment=environment))
            (served.folder / "tls").symlink_to(tls)
            served.start()
            urls = f"http://127.0.0.1:{ports['plain']}", f"https://127.0.0.1:{ports['mutual']}"
            running[mode] = Secured(served, tls, *urls)
        return running[mode]

    yield run
    for each in running.values():
        each.close()
    platforms.close()


@pytest.fixture(autouse=True)
def clean() -> None:
    """There is no sandbox here to be cleaned."""


def refused(call: Callable[[], object]) -> str:
    """How a call is refused: 403, in JSON that mesh-client's readers of both versions know."""
    with pytest.raises(HTTPError) as error:
        call()
    answer = error.value.response
    assert answer is not None
    assert answer.status_code == 403
    said = answer.json()
    return str(said["detail"][0]["msg"] if "detail" in said else said["errorDescription"])


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_message_passes_between_mailboxes_that_demand_certificates(secured: Callable[..., Secured], mode: str) -> None:
    platform = secured(mode)
    ward, surgery = platform.client("WARD", "ward", max_chunk_size=5), platform.client("SURGERY", "surgery")
    for text in (b"Hello", b"in several chunks"):
        sent = ward.send_message("SURGERY", text, workflow_id="NOTE")
        assert surgery.list_messages() == [sent]
        with surgery.retrieve_message(sent) as message:
            assert message.read() == text
    assert platform.client("WARD", "ward-next").handshake() == b"hello", "a second one, while one replaces the other"


@pytest.mark.parametrize("mode", ["optional", "required"])
@pytest.mark.parametrize(
    ("mailbox", "certificate"), [("WARD", None), ("WARD", "surgery"), ("SURGERY", "ward"), ("WARD", "stranger")]
)
def test_without_a_certificate_that_the_mailbox_names_every_request_is_refused(
    secured: Callable[..., Secured], mode: str, mailbox: str, certificate: str | None
) -> None:
    client = secured(mode).client(mailbox, certificate)
    for call in (client.handshake, client.list_messages, lambda: client.retrieve_message("0" * 20)):
        assert refused(call) == REFUSED
    with pytest.raises((MeshError, HTTPError), match=r"Client certificate|403"):
        client.send_message("SURGERY", b"x", workflow_id="NOTE")


def test_a_mailbox_that_names_none_needs_none_unless_all_must(secured: Callable[..., Secured]) -> None:
    optional, required = secured("optional"), secured("required")
    for certificate in (None, "stranger"):
        assert optional.client("OPEN", certificate).handshake() == b"hello"
        assert refused(required.client("OPEN", certificate).handshake) == REFUSED
    assert required.client("OPEN", "ward").handshake() == b"hello", "one certificate may serve several mailboxes"


def test_a_listener_that_asks_for_no_certificates_lets_nobody_in_where_one_is_demanded(secured: Callable[..., Secured]) -> None:
    platform = secured("optional")
    assert refused(platform.client("WARD", "ward", url=platform.plain).handshake) == REFUSED
    assert platform.client("OPEN", url=platform.plain).handshake() == b"hello"


def test_who_has_not_the_password_does_not_learn_that_a_certificate_is_missing(secured: Callable[..., Secured]) -> None:
    assert refused(secured("optional").client("WARD", password="guessed").handshake) == "Invalid Authentication Token"
    assert refused(secured("optional").client("WARD", "ward", password="guessed").handshake) == "Invalid Authentication Token"


def test_a_certificate_of_an_authority_that_is_not_trusted_is_turned_away_in_the_handshake(
    secured: Callable[..., Secured],
) -> None:
    with pytest.raises(RequestException):
        secured("optional").client("WARD", "forged").handshake()


FITTING = """\
messaging:
  shared_key: env:KEY
  client_certificates: required
organisations: {X26: {name: Northshire}}
mailboxes:
  WARD:
    organisation: X26
    password: env:PASSWORD
    certificates: [{subject: CN=ward}]
listeners:
  main: {https: "127.0.0.1:8443", certificate: file:c, key: file:k, client_certificates: {ca: file:ca}}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            ", client_certificates: {ca: file:ca}",
            "",
            [
                "d.yaml:3:3: messaging.client_certificates: found 'required', and no listener asks for client certificates",
                "d.yaml:9:5: mailboxes.WARD.certificates: no listener asks for client certificates",
            ],
        ),
        ("\n    certificates: [{subject: CN=ward}]", "", ["d.yaml:6:3: mailboxes.WARD: names no certificates:"]),
        (
            "required",
            "demanded",
            ["d.yaml:3:3: messaging.client_certificates: found 'demanded', expected 'required' or"],
        ),
        (
            "subject: CN=ward",
            "",
            ["d.yaml:9:20: mailboxes.WARD.certificates[0]: found a mapping, expected at least one of"],
        ),
        ("CN=ward", "ward", ["d.yaml:9:21: mailboxes.WARD.certificates[0].subject: found 'ward', expected a distinguished name"]),
    ],
)
def test_a_demand_that_nobody_could_meet_is_a_mistake_with_its_place(old: str, new: str, said: list[str]) -> None:
    validate(document.parse(FITTING, "d.yaml"))
    with pytest.raises(DeploymentError) as mistaken:
        validate(document.parse(FITTING.replace(old, new), "d.yaml"))
    lines = str(mistaken.value).splitlines()
    assert [line[: len(expected)] for line, expected in zip(lines, said, strict=True)] == said
