"""Who we are: tokens for a signed JWT, asked for once and renewed in time; certificates; spans and traces."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.acceptance.client.http.backend import Asked, Backend, Handler, Reply, json_reply
from tests.acceptance.client.http.conftest import Open
from tests.listening import listening

from fiveways.client import ApiKey, Certificate, ClientError, Denied, SignedJwt, Unavailable
from fiveways.client.tracing import _api

pytestmark = pytest.mark.anyio
KEY = RSAKey.generate_key(2048)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A private key."""
    file = tmp_path / "key.pem"
    file.write_bytes(KEY.as_pem(private=True))
    return file


def tokens(lives: int | str = 600, status: int = 200) -> Handler:
    """A token endpoint."""
    given = iter(range(100))

    async def give(asked: Asked) -> Reply:
        await asyncio.sleep(0.02)
        return json_reply({"access_token": f"t{next(given)}", "token_type": "Bearer", "expires_in": lives}, status)

    return give


async def test_a_token_is_asked_for_once_as_the_platform_wants_it(open_: Open, backend: Backend, pem: Path) -> None:
    backend.script["POST", "/oauth2/token"].append(tokens())
    five = open_(access=SignedJwt("my-app", pem, "my-app-1"))
    answers = await asyncio.gather(*(five.call("GET", f"/{n}") for n in range(5)))
    assert {answer.status for answer in answers} == {200}
    (asked,) = backend.of("POST")
    form = {name: value[0] for name, value in parse_qs(asked.body.decode()).items()}
    assert form.keys() == {"grant_type", "client_assertion_type", "client_assertion"}
    token = jwt.decode(form["client_assertion"], KEY, algorithms=["RS512"])
    now = datetime.now(UTC).timestamp()
    assert token.header == {"alg": "RS512", "typ": "JWT", "kid": "my-app-1"}
    assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("my-app", "my-app", f"{backend.origin}/oauth2/token")
    assert now < token.claims["exp"] <= now + 300
    assert token.claims["jti"]
    assert {asked.headers["authorization"] for asked in backend.of("GET")} == {"Bearer t0"}


async def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(open_: Open, backend: Backend, pem: Path) -> None:
    backend.script["POST", "/oauth2/token"].append(tokens("0.1"))
    five = open_(access=SignedJwt("my-app", pem, "1"))
    await five.call("GET", "/x")
    await asyncio.sleep(0.15)
    await five.call("GET", "/x")
    assert [asked.headers["authorization"] for asked in backend.of("GET")] == ["Bearer t0", "Bearer t1"]
    backend.script["POST", "/oauth2/token"].clear()
    backend.script["POST", "/oauth2/token"].append(tokens())
    other = open_(access=SignedJwt("my-app", pem, "1"))
    backend.script["POST", "/x"].extend([Reply(401), Reply(200)])
    assert (await other.call("POST", "/x", body={})).ok
    assert [asked.headers["authorization"] for asked in backend.of("POST", "/x")] == ["Bearer t0", "Bearer t1"]


async def test_where_there_is_no_token_nothing_is_sent(open_: Open, backend: Backend, pem: Path) -> None:
    five = open_(access=SignedJwt("my-app", pem, "1"), timeout=timedelta(seconds=1))
    bad = json_reply({"error": "invalid_request", "error_description": "Invalid 'kid'"}, 400)
    for reply, error, words in (
        (bad, Denied, "Invalid 'kid'"),
        (Reply(200, body=b"<html>"), Denied, "200"),
        (json_reply({"access_token": "a", "token_type": "MAC"}), Denied, "200"),
        (json_reply({"access_token": "a", "token_type": "Bearer", "expires_in": 0}), Denied, "expired"),
    ):
        backend.script["POST", "/oauth2/token"].append(reply)
        with pytest.raises(error, match=words):
            await five.call("GET", "/x")
    backend.script["POST", "/oauth2/token"].append(Reply(503))
    with pytest.raises(Unavailable, match="503"):
        await five.call("POST", "/x")
    assert backend.of("GET") == backend.of("POST", "/x") == []


def test_a_key_is_a_private_key(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_bytes(KEY.as_pem(private=False))
    (tmp_path / "none.pem").write_text("none")
    for name in ("public.pem", "none.pem", "missing.pem"):
        with pytest.raises(ClientError, match="no private key"):
            SignedJwt("a", tmp_path / name, "1")
    with pytest.raises(ClientError, match="go together"):
        Certificate(tmp_path / "none.pem")


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = made.not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    paths = (folder / f"{name}.crt", folder / f"{name}.key")
    paths[0].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


async def test_a_certificate_is_shown_to_the_deployment_and_to_nobody_else(open_: Open, tmp_path: Path) -> None:
    ours, theirs = certified(tmp_path, "ours"), certified(tmp_path, "theirs")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours[0])
    tls.load_cert_chain(*theirs)
    tls.verify_mode = ssl.CERT_OPTIONAL
    shown: list[tuple[int, bool, bool]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            port = writer.get_extra_info("sockname")[1]
            shown.append((port, bool(writer.get_extra_info("peercert")), b"apikey" in head.lower()))
            there = f"Location: https://127.0.0.1:{others}/\r\n"
            reply = f"HTTP/1.1 303 x\r\n{there}" if b"/status" in head else "HTTP/1.1 200 x\r\n"
            if head.startswith(b"POST"):
                reply = "HTTP/1.1 202 x\r\nContent-Location: /status/1\r\nRetry-After: 0\r\n"
            writer.write(f"{reply}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()

    async with listening(serve, tls=tls) as port, listening(serve, tls=tls) as others:
        access = [Certificate(*ours, theirs[0]), ApiKey("k")]
        five = open_(f"https://127.0.0.1:{port}", access, trusted_origins=[f"https://127.0.0.1:{others}"])
        assert (await (await five.submit("POST", "/x")).outcome(timedelta(seconds=5))).status == 200
        await five.close()
        with pytest.raises(Unavailable):  # who issued theirs is not known
            await open_(f"https://127.0.0.1:{port}").call("GET", "/x", timeout=timedelta(seconds=0.3))
    assert set(shown) == {(port, True, True), (others, False, False)}


async def test_the_trace_that_we_are_in_goes_on(open_: Open, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    five = open_()
    with provider.get_tracer("test").start_as_current_span("outer") as outer:
        await five.call("GET", "/Patient/9990000018")
        backend.script["POST", "/x"].append(Reply(500))
        await five.call("POST", "/x")
    spans = exporter.get_finished_spans()
    assert [(span.name, span.kind, span.attributes["http.response.status_code"]) for span in spans[:2] if span.attributes] == [
        ("GET", trace.SpanKind.CLIENT, 200),
        ("POST", trace.SpanKind.CLIENT, 500),
    ]
    assert not spans[1].status.is_ok
    assert "999" not in json.dumps([dict(span.attributes or {}) for span in spans])
    for asked, span in zip(backend.asked, spans, strict=False):
        assert span.context is not None
        ids = f"00-{outer.get_span_context().trace_id:032x}-{span.context.span_id:016x}-"
        assert asked.headers["traceparent"].startswith(ids)


async def test_without_opentelemetry_there_is_nothing_of_it(open_: Open, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    _api.cache_clear()
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert (await open_().call("GET", "/x")).ok
    assert "traceparent" not in backend.asked[0].headers
    _api.cache_clear()
