"""A feed over TLS: who sends is whom the client certificate says; and an old system that wants to see one."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from string import Template

import pytest
from tests.acceptance.conftest import Backend, Serve, received
from tests.acceptance.transformation.conftest import DONE, adt, free_ports

from fiveways.clock import SystemClock
from fiveways.hl7v2.frames import framed
from fiveways.hl7v2.message import Message
from fiveways.security.certificates import issue_client, issue_server, make_authority

DEPLOYMENT = """
listeners:
  main: {http: "127.0.0.1:$main"}
  adt:
    mllp: "127.0.0.1:$feed"
    api: adt
    certificate: file:$tls/server.pem
    key: file:$tls/server.key.pem
    client_certificates: {ca: file:$tls/ca.pem}
organisations: {RXN: {name: Northshire Hospital}}
applications:
  pas: {organisation: RXN, products: [feeds], certificates: [{subject: CN=pas}]}
products: {feeds: {apis: [adt]}}
apis:
  adt:
    pattern: transformation
    at: /adt
    transform: {by: hl7v2-to-fhir}
    target: {url: "$url"}
    security: [client-certificate]
    debt: {owner: i, reason: an old PAS, target: FHIR, retire_by: 2027-12-31}
  back:
    pattern: transformation
    at: /back
    transform: {by: fhir-to-hl7v2}
    mllp:
      address: 127.0.0.1:$feed
      tls: {ca: file:$tls/ca.pem, certificate: file:$tls/pas.pem, key: file:$tls/pas.key.pem}
    model: {fhir: {version: R4}}
    security: [open]
    debt: {owner: i, reason: an old PAS, target: FHIR, retire_by: 2027-12-31}
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the feed's certificate, and those of two who send."""
    folder, clock = tmp_path_factory.mktemp("tls"), SystemClock()
    authority = make_authority("Northshire", clock)
    authority.write(folder, "ca")
    issue_server(authority, clock, names=["127.0.0.1", "localhost"]).write(folder, "server")
    for name in ("pas", "stranger"):
        issue_client(authority, clock, name=name).write(folder, name)
    issue_client(make_authority("Another", clock), clock, name="pas").write(folder, "forged")
    return folder


def send(port: int, tls: Path, name: str, message: bytes) -> Message:
    """Send a message over TLS, showing a certificate."""
    context = ssl.create_default_context(cafile=tls / "ca.pem")
    if name:
        context.load_cert_chain(tls / f"{name}.pem", tls / f"{name}.key.pem")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(framed(message))
        got = b""
        while not got.endswith(b"\x1c\r"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError("closed")
            got += piece
    return Message.parse(got[1:-2].decode())


def test_the_certificate_says_who_sends(serve: Serve, tls: Path) -> None:
    backend, (main, feed) = Backend(), free_ports(2)
    url = backend.url + backend.at(DONE)
    text = Template(DEPLOYMENT).substitute(main=main, feed=feed, tls=tls, url=url)
    with serve(text, http="") as served:
        assert send(feed, tls, "pas", adt("TLS1")).get("MSA-1") == "AA"
        assert served.events(api="adt")[-1]["application"] == "pas"
        stranger = send(feed, tls, "stranger", adt("TLS2"))
        assert (stranger.get("MSA-1"), stranger.get("MSA-2")) == ("AR", "TLS2")
        for name in ("", "forged"):
            with pytest.raises((OSError, ConnectionError)):
                send(feed, tls, name, adt("TLS3"))
        with socket.create_connection(("127.0.0.1", feed), timeout=20) as plain:
            plain.sendall(framed(adt("TLS4")))
            assert b"MSA" not in received(plain), "nothing is answered in the clear"
        assert len(backend.seen) == 1
        # And the other way: an update goes out over TLS, with our certificate, to the feed itself.
        patient = {"resourceType": "Patient", "id": "1", "name": [{"family": "Khan"}]}
        headers = {"content-type": "application/fhir+json"}
        answer = served.call("PUT", "/back/Patient/1", content=json.dumps(patient), headers=headers)
        assert answer.status_code == 200, answer.text
        assert len(backend.seen) == 2
    backend.stop()
