"""A local authority whose certificates TLS accepts, and applications known by theirs."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fiveways.clock import ManualClock, SystemClock
from fiveways.errors import DeploymentError
from fiveways.security.certificates import (
    CertificateIdentity,
    ClientCertificates,
    KeyPair,
    identify,
    issue_client,
    issue_server,
    make_authority,
)
from fiveways.security.settings import ClientCertificate


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return make_authority("Northshire Care local CA", SystemClock())


def shake_hands(folder: Path, authority: KeyPair, server: KeyPair, client: KeyPair, name: str) -> bytes:
    """A mutual TLS handshake over loopback; the client's certificate as the server saw it, in DER."""
    paths = [folder / "ca.pem"]
    paths[0].write_bytes(authority.certificate)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(*server.write(folder, "server"))
    listening.load_verify_locations(paths[0])
    listening.verify_mode = ssl.CERT_REQUIRED
    calling = ssl.create_default_context(cafile=str(paths[0]))
    calling.load_cert_chain(*client.write(folder, "client"))
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with listening.wrap_socket(plain, server_side=True) as secure:
                seen.append(secure.getpeercert(binary_form=True) or b"")
                secure.sendall(b"!")

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as plain,
            calling.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.recv(1) == b"!"
        thread.join(timeout=5)
    return seen[0]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_server_and_client_certificates_work_in_tls(tmp_path: Path, authority: KeyPair, name: str) -> None:
    clock = SystemClock()
    client = issue_client(authority, clock, name="ward-tablet", organisation="Northshire Hospitals", uri="urn:fiveways:ward-tablet")
    seen = shake_hands(tmp_path, authority, issue_server(authority, clock), client, name)
    identity = identify(seen)
    assert identity.subject == "CN=ward-tablet,O=Northshire Hospitals"
    assert identity.uris == {"urn:fiveways:ward-tablet"}
    assert len(identity.sha256) == 64


def test_files_are_the_owners_alone_and_never_replaced(tmp_path: Path, authority: KeyPair) -> None:
    paths = authority.write(tmp_path / "tls", "ca")
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
    with pytest.raises(FileExistsError):
        authority.write(tmp_path / "tls", "ca")
    assert b"PRIVATE" not in paths[0].read_bytes()
    assert "PRIVATE" not in repr(authority)


def test_an_authority_signs_no_further_authority_and_a_leaf_signs_nothing(authority: KeyPair) -> None:
    parsed = x509.load_pem_x509_certificate(authority.certificate)
    assert parsed.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    leaf = x509.load_pem_x509_certificate(issue_server(authority, SystemClock()).certificate)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    leaf.verify_directly_issued_by(parsed)


def test_certificates_are_valid_from_now_on() -> None:
    clock = ManualClock()
    parsed = x509.load_pem_x509_certificate(make_authority("CA", clock, valid=timedelta(days=2)).certificate)
    assert parsed.not_valid_before_utc < clock.now() < parsed.not_valid_after_utc
    assert parsed.not_valid_after_utc == clock.now() + timedelta(days=2)


IDENTITY = CertificateIdentity(
    "CN=ward-tablet,O=Northshire", frozenset({"ward.northshire.test"}), frozenset({"urn:ward"}), "ab" * 32
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"subject": "CN=ward-tablet,O=Northshire"}, True),
        ({"subject": "CN=ward-tablet"}, False),
        ({"dns": "WARD.northshire.test"}, True),
        ({"dns": "northshire.test"}, False),
        ({"uri": "urn:ward"}, True),
        ({"uri": "urn:WARD"}, False),
        ({"sha256": ":".join(["AB"] * 32)}, True),
        ({"sha256": "cd" * 32}, False),
        ({"dns": "ward.northshire.test", "uri": "urn:ward"}, True),
        ({"dns": "ward.northshire.test", "uri": "urn:other"}, False),
    ],
)
def test_an_application_is_known_by_what_its_certificate_says(wanted: dict[str, str], found: bool) -> None:
    known = ClientCertificates([(ClientCertificate(**wanted), "ward-tablet")])
    assert known.find(IDENTITY) == ("ward-tablet" if found else None)


def test_two_applications_that_claim_one_certificate_are_refused_both() -> None:
    by_name, by_uri = ClientCertificate(dns="ward.northshire.test"), ClientCertificate(uri="urn:ward")
    assert ClientCertificates([(by_name, "a"), (by_uri, "b")]).find(IDENTITY) is None
    with pytest.raises(DeploymentError, match="a and b"):
        ClientCertificates([(by_name, "a"), (by_name, "b")])


def test_what_is_no_certificate_cannot_be_identified(authority: KeyPair) -> None:
    with pytest.raises(ValueError, match="parsing"):
        identify(b"not DER")
    parsed = x509.load_pem_x509_certificate(authority.certificate)
    assert identify(parsed) == identify(parsed.public_bytes(Encoding.DER))
