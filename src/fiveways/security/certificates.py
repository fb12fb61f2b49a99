"""X.509 certificates: a local authority for `fiveways certs`, and which application a client's certificate belongs to.

Keys are ECDSA on P-256. Whether a client's certificate is genuine is for the TLS listener, which trusts the authorities that
the deployment names; here only what it says is read.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fiveways.clock import Clock
from fiveways.errors import DeploymentError
from fiveways.security.settings import ClientCertificate
from fiveways.types import Interaction

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_BACKDATED = timedelta(minutes=5)
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `{name}.pem` and `{name}.key.pem` into `folder`, readable by the owner alone; what is there is not replaced.

        FileExistsError, and nothing written, where either is there.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = folder / f"{name}.pem", folder / f"{name}.key.pem"
        for path in paths:
            if path.exists():
                raise FileExistsError(f"{path} exists")
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        return paths


def make_authority(name: str, clock: Clock, *, valid: timedelta = timedelta(days=3650)) -> KeyPair:
    """A self-signed certificate authority that may sign servers' and clients' certificates, and no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), clock.now(), valid)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue_server(
    authority: KeyPair, clock: Clock, *, names: Sequence[str] = LOCAL_NAMES, valid: timedelta = timedelta(days=397)
) -> KeyPair:
    """A server certificate for `names`, which are DNS names and IP addresses."""
    alternatives = [_general_name(name) for name in names]
    return _issue(authority, clock, names[0], None, alternatives, ExtendedKeyUsageOID.SERVER_AUTH, valid)


def issue_client(
    authority: KeyPair,
    clock: Clock,
    *,
    name: str,
    organisation: str = "",
    uri: str = "",
    valid: timedelta = timedelta(days=397),
) -> KeyPair:
    """A client certificate for the application `name` of `organisation`; `uri` is put among its alternative names."""
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
    return _issue(authority, clock, name, organisation or None, alternatives, ExtendedKeyUsageOID.CLIENT_AUTH, valid)


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """What a certificate says of its holder. `subject` is as RFC 4514 writes it, `sha256` the fingerprint in lower-case hex."""

    subject: str
    dns: frozenset[str]
    uris: frozenset[str]
    sha256: str


def identify(certificate: bytes | x509.Certificate) -> CertificateIdentity:
    """The identity in a certificate (DER, or parsed); ValueError where it cannot be read."""
    parsed = x509.load_der_x509_certificate(certificate) if isinstance(certificate, bytes) else certificate
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))
        uris = frozenset(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        dns, uris = frozenset(), frozenset()
    return CertificateIdentity(parsed.subject.rfc4514_string(), dns, uris, parsed.fingerprint(hashes.SHA256()).hex())


def presented(interaction: Interaction) -> CertificateIdentity | None:
    """Whose certificate a request came with; None where its listener asked for none, or the client had none."""
    tls = (interaction.scope or {}).get("extensions", {}).get("tls", {})
    found: CertificateIdentity | None = tls.get("fiveways.identity")
    return found


class ClientCertificates:
    """Applications by their client certificates. Immutable: a reload makes another."""

    def __init__(self, certificates: Iterable[tuple[ClientCertificate, str]] = ()) -> None:
        """`certificates` pairs what identifies a certificate with an application; DeploymentError where two share one."""
        self._known: list[tuple[ClientCertificate, str]] = []
        for certificate, application in certificates:
            for other, owner in self._known:
                if other == certificate and owner != application:
                    raise DeploymentError(f"applications {owner} and {application} have the same client certificate")
            self._known.append((certificate, application))

    def find(self, identity: CertificateIdentity) -> str | None:
        """The application that `identity` belongs to; None where there is none, or more than one claims it."""
        owners = {application for certificate, application in self._known if _matches(certificate, identity)}
        return owners.pop() if len(owners) == 1 else None


def _matches(wanted: ClientCertificate, identity: CertificateIdentity) -> bool:
    return (
        (wanted.subject is None or wanted.subject == identity.subject)
        and (wanted.dns is None or wanted.dns.lower() in identity.dns)
        and (wanted.uri is None or wanted.uri in identity.uris)
        and (wanted.sha256 is None or wanted.sha256.replace(":", "").lower() == identity.sha256)
    )


def _issue(
    authority: KeyPair,
    clock: Clock,
    name: str,
    organisation: str | None,
    alternatives: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    valid: timedelta,
) -> KeyPair:
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = load_pem_private_key(authority.key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an ECDSA key")
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, issuer.subject, key.public_key(), clock.now(), valid)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(int.from_bytes(secrets.token_bytes(19)) + 1)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
