"""TLS to the back end (private CA, names, client certificates, reload) and the way through an outbound proxy."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fiveways.methods.synchronous.upstream import (
    TargetTls,
    UpstreamFault,
    UpstreamFaulty,
    UpstreamRequest,
    UpstreamUnreachable,
)
from fiveways.methods.synchronous.upstream.tls import client_context

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Backend, Network

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = UpstreamRequest(b"GET", b"/Patient", [])


class Authority:
    """A private certificate authority that writes PEM files into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / f"{name}.pem"
        signed = certificate.add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        ).sign(self._key, hashes.SHA256())  # fmt: skip
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(self, name: str, *, file: str | None = None) -> tuple[Path, Path]:
        """Certificate and key files for a host name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            general: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            general = x509.DNSName(name)
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key.public_key())
            .add_extension(x509.SubjectAlternativeName([general]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = self.folder / (file or name)
        certificate_file, key_file = Path(f"{stem}.crt"), Path(f"{stem}.key")
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return certificate_file, key_file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_context(authority: Authority, name: str, *, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


async def answering(network: Network, context: ssl.SSLContext) -> tuple[Backend, list[str]]:
    """A TLS back end; the list gets the common name of each client certificate presented."""
    clients: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("ssl_object").getpeercert()
        clients.append(dict(pair for part in certificate["subject"] for pair in part)["commonName"] if certificate else "")
        while True:
            await backend.read_head(reader)
            writer.write(OK)

    backend = await network.serve(handler, tls=context)
    return backend, clients


async def test_a_private_ca_is_trusted_and_connections_are_used_again(network: Network, authority: Authority) -> None:
    backend, _ = await answering(network, server_context(authority, "127.0.0.1"))
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    for method in (b"GET", b"POST", b"GET", b"POST"):
        assert (await upstream.send(UpstreamRequest(method, b"/", []))).body == b"ok"
    assert backend.connections == 1


async def test_an_unknown_ca_is_refused(network: Network, authority: Authority) -> None:
    backend, _ = await answering(network, server_context(authority, "127.0.0.1"))
    with pytest.raises(UpstreamUnreachable, match="certificate was not accepted") as caught:
        await network.upstream(url=f"https://127.0.0.1:{backend.port}").send(GET)
    assert (caught.value.phase, caught.value.reached) == ("tls", False)
    assert backend.heads == []


async def test_the_public_cas_are_not_trusted_beside_a_private_one(authority: Authority) -> None:
    context = client_context(TargetTls.model_validate({"ca": "file:ca.pem"}), authority.folder)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_another_hosts_certificate_is_refused(network: Network, authority: Authority) -> None:
    backend, _ = await answering(network, server_context(authority, "elsewhere.example"))
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    with pytest.raises(UpstreamUnreachable, match="certificate was not accepted"):
        await upstream.send(GET)


async def test_the_server_name_declared_is_asked_for_and_verified(network: Network, authority: Authority) -> None:
    asked: list[str | None] = []
    context = server_context(authority, "records.example")
    context.sni_callback = lambda _object, name, _context: asked.append(name)
    backend, _ = await answering(network, context)
    tls = {"ca": "file:ca.pem", "server_name": "records.example"}
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls=tls, base=authority.folder)
    assert (await upstream.send(GET)).status == 200
    assert asked == ["records.example"]


async def test_tls_below_1_2_is_refused(network: Network, authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    backend, _ = await answering(network, context)
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    with pytest.raises(UpstreamUnreachable, match="handshake"):
        await upstream.send(GET)


async def test_our_certificate_is_presented_and_reloaded(network: Network, authority: Authority) -> None:
    authority.issue("first.example", file="us")
    backend, clients = await answering(network, server_context(authority, "127.0.0.1", client_ca=authority.file))
    tls = {"ca": "file:ca.pem", "certificate": "file:us.crt", "key": "file:us.key"}
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls=tls, base=authority.folder)
    await upstream.send(GET)
    authority.issue("second.example", file="us")
    await upstream.send(GET)
    assert clients == ["first.example"]
    upstream.reload_tls()
    await upstream.send(GET)
    assert clients == ["first.example", "second.example"]
    (authority.folder / "us.key").write_text("not a key")
    with pytest.raises(OSError, match=r"."):
        upstream.reload_tls()
    await upstream.send(GET)
    assert clients == ["first.example", "second.example"], "a bad file leaves the old one in use"


async def test_a_missing_certificate_of_ours_is_a_fault(network: Network, authority: Authority) -> None:
    """With TLS 1.3 the back end's refusal comes after the handshake, so that the request may have been written."""
    backend, _ = await answering(network, server_context(authority, "127.0.0.1", client_ca=authority.file))
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    with pytest.raises(UpstreamFault):
        await upstream.send(GET)


@pytest.mark.parametrize("authentic", [True, False])
async def test_a_body_without_length_must_end_with_a_tls_close(network: Network, authority: Authority, authentic: bool) -> None:
    """An end of the connection that TLS does not vouch for could be anyone's doing (RFC 9112 §9.8)."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it?")
        await asyncio.sleep(0.05)
        if not authentic:
            writer.transport.abort()

    backend = await network.serve(handler, tls=server_context(authority, "127.0.0.1"))
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    answer = await upstream.send(GET)
    assert not isinstance(answer.body, bytes)
    assert await anext(answer.body) == b"all of it?"
    with pytest.raises(StopAsyncIteration if authentic else UpstreamFaulty):
        await anext(answer.body)


async def test_large_bodies_pass_over_tls(network: Network, authority: Authority) -> None:
    size = 20_000_000

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            await reader.readexactly(size)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            writer.write(b"y" * size)

    backend = await network.serve(handler, tls=server_context(authority, "127.0.0.1"))
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", tls={"ca": "file:ca.pem"}, base=authority.folder)
    for _ in range(2):
        answer = await upstream.send(UpstreamRequest(b"POST", b"/", [], b"x" * size))
        assert not isinstance(answer.body, bytes)
        assert sum([len(piece) async for piece in answer.body]) == size
    assert backend.connections == 1


async def test_http_2_is_negotiated_over_tls_with_our_certificate(network: Network, authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1", client_ca=authority.file)
    context.set_alpn_protocols(["h2"])
    chosen: list[str | None] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded) and event.stream_id is not None:
                    connection.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            writer.write(connection.data_to_send())

    backend = await network.serve(handler, tls=context)
    authority.issue("us.example", file="us")
    url = f"https://127.0.0.1:{backend.port}"
    tls = {"ca": "file:ca.pem", "certificate": "file:us.crt", "key": "file:us.key"}
    upstream = network.upstream(url=url, http="2", tls=tls, base=authority.folder)
    assert (await upstream.send(GET)).status == 204
    upstream.reload_tls()
    assert (await upstream.send(GET)).status == 204
    assert chosen == ["h2", "h2"]
    with pytest.raises(UpstreamUnreachable) as caught:
        await network.upstream(url=url, http="2").send(GET)
    assert not caught.value.reached, "a private CA that was not declared is not trusted"


# --- proxy ------------------------------------------------------------------------------------------------------------------


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def tunnelling(opening: bytes, heads: list[bytes]) -> Callable[..., Awaitable[None]]:
    """A proxy that opens every tunnel asked for, or says `opening` instead of agreeing."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[-1].split(b" ")[1].decode().rpartition(":")
        writer.write(opening)
        if b" 200 " not in opening:
            return
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.transport.abort()
            with suppress(OSError):
                await far_writer.wait_closed()

    return handler


@pytest.mark.parametrize("opening", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"])
async def test_https_goes_through_a_tunnel(network: Network, authority: Authority, opening: bytes) -> None:
    heads: list[bytes] = []
    backend, _ = await answering(network, server_context(authority, "127.0.0.1"))
    proxy = await network.serve(tunnelling(opening, heads))
    upstream = network.upstream(
        url=f"https://127.0.0.1:{backend.port}",
        proxy=f"http://127.0.0.1:{proxy.port}",
        tls={"ca": "file:ca.pem"},
        base=authority.folder,
    )
    for _ in range(3):
        assert (await upstream.send(GET)).body == b"ok"
    assert heads == [b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % (backend.port, backend.port)]
    assert backend.heads[0].startswith(b"GET /Patient HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "opening",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 100\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_a_proxy_that_does_not_agree_means_not_reached(network: Network, opening: bytes) -> None:
    proxy = await network.serve(tunnelling(opening, []))
    upstream = network.upstream(url="https://records.example", proxy=f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(UpstreamUnreachable, match="tunnel") as caught:
        await upstream.send(GET)
    assert (caught.value.phase, caught.value.reached) == ("proxy", False)


async def test_http_is_asked_of_the_proxy_in_absolute_form(network: Network) -> None:
    proxy = await network.answering(OK)
    upstream = network.upstream(url="http://records.example:8080/fhir", proxy=f"http://127.0.0.1:{proxy.port}")
    assert (await upstream.send(GET)).body == b"ok"
    assert proxy.heads[0].startswith(b"GET http://records.example:8080/Patient HTTP/1.1\r\nhost: records.example:8080\r\n")
