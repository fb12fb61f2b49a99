"""Which addresses are the public Internet's, and which are somebody's own: loopback, private, link-local, or nothing to connect to.

The tables are IANA's registries of special-purpose addresses (RFC 6890) and of multicast; whatever is no global unicast address of
either is refused. An IPv6 address that stands for an IPv4 address is judged by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network (RFC 791)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared by a carrier's customers (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local (RFC 3927)"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.31.196.0/24", "AS112 (RFC 7535)"),
    ("192.52.193.0/24", "AMT (RFC 7450)"),
    ("192.88.99.0/24", "6to4 relay (RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("192.175.48.0/24", "AS112 (RFC 7534)"),
    ("198.18.0.0/15", "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved (RFC 1112)"),
    ("::/128", "unspecified (RFC 4291)"),
    ("::1/128", "loopback (RFC 4291)"),
    ("64:ff9b:1::/48", "local translation (RFC 8215)"),
    ("100::/64", "discard (RFC 6666)"),
    ("2001::/23", "protocol assignments, Teredo (RFC 2928, RFC 4380)"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("2620:4f:8000::/48", "AS112 (RFC 7534)"),
    ("3fff::/20", "documentation (RFC 9637)"),
    ("5f00::/16", "segment routing (RFC 9602)"),
    ("fc00::/7", "unique local (RFC 4193)"),
    ("fe80::/10", "link-local (RFC 4291)"),
    ("ff00::/8", "multicast (RFC 4291)"),
)
NOT_PUBLIC: tuple[tuple[Network, str], ...] = tuple((ip_network(network), why) for network, why in _NOT_PUBLIC)
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The only IPv6 addresses that have been given out to the public (RFC 4291 §2.4)."""

METADATA: frozenset[Address] = frozenset(
    ip_address(address)
    for address in ("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192",
                    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254")
)  # fmt: skip
"""Where clouds hand a machine its credentials: allowed only by name of the very address, never with a range around it."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")


def meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for: mapped, compatible (RFC 4291 §2.5.5) or translated (RFC 6052)."""
    if isinstance(address, IPv6Address) and any(address in network for network in (_MAPPED, _NAT64, _COMPATIBLE)):
        inner = int(address) & 0xFFFFFFFF
        if address not in _COMPATIBLE or inner > 1:  # :: and ::1 are themselves
            return IPv4Address(inner)
    return address


def objection(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Why nothing may be sent to `address`; None where it may: it is public, or in one of the networks `allowed`."""
    address = meant(address)
    within = [network for network in allowed if address in network]
    if address in METADATA:
        return None if any(network.num_addresses == 1 for network in within) else "a cloud's metadata service"
    if within:
        return None
    for network, why in NOT_PUBLIC:
        if address in network:
            return why
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return "no global unicast address (RFC 4291)"
    return None
