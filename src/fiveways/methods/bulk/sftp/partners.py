"""A partner as the server knows it: its access, with its keys read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

import asyncssh

from fiveways.errors import DeploymentError
from fiveways.methods.bulk.sftp.settings import Access, Network

_LARGEST_FILE: Final = 2**20
_SMALLEST_RSA: Final = 2048


@dataclass(frozen=True, slots=True)
class Partner:
    """Somebody who may come in. Made by `resolve`."""

    name: str
    access: Access
    keys: Mapping[bytes, str] = field(default_factory=dict)
    """Public keys as they are on the wire, and their fingerprints (SHA256:…)."""
    authorities: Mapping[bytes, str] = field(default_factory=dict)
    """Those of certificate authorities."""
    certificates: asyncssh.SSHAuthorizedKeys | None = None
    """What certificates are checked against; None where no authority is trusted."""

    @property
    def principals(self) -> tuple[str, ...]:
        """Of which a certificate has to have one."""
        return self.access.principals or (self.name,)

    def admits(self, address: str) -> bool:
        """Whether it may come from there."""
        return within(address, self.access.addresses)


def resolve(name: str, access: Access, base: Path) -> Partner:
    """A partner, with its keys read; `file:` references below `base`, the deployment file's folder. Raises DeploymentError."""
    keys = _read(name, "keys", access.keys, base)
    authorities = _read(name, "certificate_authorities", access.certificate_authorities, base)
    partner = Partner(name, access, _fingerprints(keys), _fingerprints(authorities))
    if not authorities:
        return partner
    options = f'cert-authority,principals="{",".join(partner.principals)}" '
    lines = "\n".join(options + key.export_public_key("openssh").decode().strip() for key in authorities)
    certificates = asyncssh.import_authorized_keys(lines)
    return Partner(name, access, partner.keys, partner.authorities, certificates)


def within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of these networks; where there are none, it is. IPv4 inside IPv6 is IPv4."""
    if not networks:
        return True
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return any(known.version == network.version and known in network for network in networks)


def _read(name: str, setting: str, written: tuple[str, ...], base: Path) -> list[asyncssh.SSHKey]:
    lines: list[str] = []
    for each in written:
        if not each.startswith("file:"):
            lines.append(each)
            continue
        path = base / each.removeprefix("file:")
        try:
            with path.open("rb") as file:
                text = file.read(_LARGEST_FILE + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise DeploymentError(f"partner {name}: {setting}: {path} cannot be read: {type(error).__name__}") from None
        if len(text) > _LARGEST_FILE:
            raise DeploymentError(f"partner {name}: {setting}: {path} is larger than 1 MiB")
        found = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not found:
            raise DeploymentError(f"partner {name}: {setting}: there is no key in {path}")
        lines += found
    return [_key(name, setting, line) for line in lines]


def _key(name: str, setting: str, line: str) -> asyncssh.SSHKey:
    shown = f"{line[:40]}…"
    try:
        key = asyncssh.import_public_key(line)
    except (asyncssh.KeyImportError, ValueError):
        raise DeploymentError(f"partner {name}: {setting}: no public key as OpenSSH writes it: {shown}") from None
    if key.get_algorithm() == "ssh-dss":
        raise DeploymentError(f"partner {name}: {setting}: DSA keys are not taken: {shown}")
    if key.get_algorithm() == "ssh-rsa":
        bits = getattr(key.pyca_key, "key_size", 0)
        if bits < _SMALLEST_RSA:
            raise DeploymentError(f"partner {name}: {setting}: an RSA key of {bits} bits; {_SMALLEST_RSA} at least: {shown}")
    return key


def _fingerprints(keys: list[asyncssh.SSHKey]) -> dict[bytes, str]:
    return {key.public_data: key.get_fingerprint() for key in keys}
