"""What the deployment file says of the SFTP server, and of how a partner comes in."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fiveways.deployment.settings import Duration, Settings, Size, Unsayable
from fiveways.methods.bulk.sftp import passwords

Network = IPv4Network | IPv6Network


def _hash(value: str) -> str:
    try:
        return passwords.checked(value)
    except ValueError as error:
        raise Unsayable(str(error)) from None


PasswordHash = Annotated[str, AfterValidator(_hash)]
"""A password as `fiveways bulk password` says it: scrypt:…"""

PublicKey = Annotated[
    str,
    Field(
        pattern=r"^(file:.+|(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( .*)?)$",
        max_length=16 * 1024,
        examples=["ssh-ed25519 AAAA… transfer@northshire", "file:partners/northshire.pub"],
    ),
]
"""A public key as OpenSSH writes it, or `file:PATH` of a file with one on each line."""

Cipher = Literal["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"]
"""A cipher. chacha20-poly1305 is not among them: OpenSSH's client puts it first, the client's order decides (RFC 4253 §7.1), and
where processors have instructions for AES it costs half the speed."""

KeyExchange = Literal[
    "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256",
]  # fmt: skip
"""A way to agree on keys."""

Mac = Literal["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]
"""What protects packets under a cipher that does not do so itself (aes…-ctr)."""


class LockOut(Settings):
    """When somebody is taken for a guesser, and for how long: by the address that they come from and, as to passwords, by the name
    that they try, whether or not there is a partner of that name. Each process of the platform counts for itself."""

    failures: int = Field(default=10, ge=1, le=1000)
    """Connections that ended without a log-in, and wrong passwords, within that time."""
    within: Duration = Field(default=timedelta(minutes=10), gt=timedelta(0))
    """How far back failures count."""
    lasts: Duration = Field(default=timedelta(minutes=15), gt=timedelta(0))
    """How long an address is refused, and how long no password of a name is looked at. Keys and certificates, which cannot be
    guessed, let in a partner whose name somebody else tries."""
    never: tuple[Network, ...] = ()
    """Addresses that are never locked out: those of a load balancer that all partners come through."""


class SftpSettings(Settings):
    """The SFTP server."""

    ciphers: tuple[Cipher, ...] = Field(default=("aes128-gcm@openssh.com", "aes256-gcm@openssh.com"), min_length=1)
    """Ciphers that are offered. The client's order decides, and OpenSSH's has aes…-ctr before AES-GCM, which is faster: they are
    offered only where they are named here, for clients that know no AES-GCM."""
    key_exchanges: tuple[KeyExchange, ...] = Field(
        default=(
            "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256",
        ),
        min_length=1,
    )  # fmt: skip
    """Ways to agree on keys that are offered."""
    macs: tuple[Mac, ...] = Field(
        default=("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"), min_length=1
    )
    """Message authentication codes that are offered, for ciphers that need one."""
    addresses: tuple[Network, ...] = ()
    """Addresses that connections are taken from; none is from everywhere. A partner's own may narrow it further."""
    log_in: Duration = Field(default=timedelta(seconds=60), gt=timedelta(0), le=timedelta(minutes=10))
    """How long logging in may take; and agreeing on new keys."""
    attempts: int = Field(default=6, ge=1, le=50)
    """Keys and passwords that one connection may try."""
    idle: Duration = Field(default=timedelta(minutes=15), gt=timedelta(0))
    """After how long without a request, or without taking an answer, a session is ended; an upload that is open is abandoned."""
    alive: Duration = Field(default=timedelta(seconds=60), ge=timedelta(seconds=1))
    """How often a client that says nothing is asked whether it is there; after three times without an answer it has gone."""
    sessions: int = Field(default=256, ge=1)
    """Connections of all partners at once, in each process."""
    sessions_per_partner: int = Field(default=16, ge=1)
    """Connections of one partner at once, in each process, where the partner's access does not say otherwise."""
    channels: int = Field(default=8, ge=1, le=64)
    """SFTP channels at once in one connection."""
    open_files: int = Field(default=128, ge=1, le=10_000)
    """Files and folders that a channel may have open at once."""
    handshakes: int = Field(default=64, ge=1)
    """Connections at once, in each process, that have not logged in yet; more are closed."""
    lock_out: LockOut = LockOut()
    """When somebody is taken for a guesser."""
    rekey_after: Size = Field(default=2**30, ge=2**16, le=2**35)
    """Bytes sent after which new keys are agreed on (RFC 4253 §9)."""
    rekey_every: Duration = Field(default=timedelta(hours=1), ge=timedelta(seconds=10))
    """Time after which new keys are agreed on."""
    hot_path: bool = True
    """Whether connections under AES-GCM take the short way. Without it they are slower, and nothing else: to find out whether it is
    at fault."""


class Access(Settings):
    """How a partner comes in: by keys, by certificates of an authority, or by a password."""

    keys: tuple[PublicKey, ...] = ()
    """The partner's public keys. RSA keys have 2048 bits at least."""
    certificate_authorities: tuple[PublicKey, ...] = ()
    """Authorities whose OpenSSH user certificates let the partner in."""
    principals: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")], ...] = ()
    """Principals of a certificate of which it has to have one. Default: the partner's name."""
    password: PasswordHash | None = None
    """The hash of a password, as `fiveways bulk password` makes it. Keys are better: nobody can guess them."""
    addresses: tuple[Network, ...] = ()
    """Addresses that the partner comes from; none is from everywhere that the server takes connections from."""
    rate: Size | None = Field(default=None, ge=1024)
    """Bytes a second, both ways and over all of the partner's sessions in a process. None: as fast as it goes."""
    sessions: int | None = Field(default=None, ge=1)
    """Connections at once, in each process. Default: what the server says (`sessions_per_partner`)."""

    @model_validator(mode="after")
    def _some_way_in(self) -> Self:
        if not self.keys and not self.certificate_authorities and self.password is None:
            raise ValueError("expected keys, certificate_authorities or a password: there is no other way in")
        if self.principals and not self.certificate_authorities:
            raise ValueError("principals: means nothing without certificate_authorities")
        return self
