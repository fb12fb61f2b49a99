"""Addresses: what is not the public Internet's is refused, in whatever form it is written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.delivery.addresses import METADATA, NOT_PUBLIC, Address, Network, objection

addresses = st.ip_addresses()
v4 = st.ip_addresses(v=4)


def inside(network: Network) -> st.SearchStrategy[Address]:
    """Addresses of a network."""
    first = int(network.network_address)
    kind = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(first, first + network.num_addresses - 1).map(kind)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
        "100.64.0.1", "100.127.255.255", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1",
        "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2002:7f00:1::", "2001:0:4136:e378::1", "2001:db8::1",
        "fec0::1", "4000::1", "::ffff:0:127.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    assert objection(ip_address(address)) is not None


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.15.255.255", "172.32.0.0", "100.128.0.0", "2606:4700::1", "2a00:1450::1", "::ffff:8.8.8.8",
     "64:ff9b::808:808"],
)  # fmt: skip
def test_what_is_public_passes(address: str) -> None:
    assert objection(ip_address(address)) is None


@given(st.sampled_from([network for network, _ in NOT_PUBLIC]).flatmap(inside))
def test_no_address_of_a_special_network_passes(address: Address) -> None:
    assert objection(address) is not None


@given(addresses)
def test_what_the_standard_library_knows_as_special_never_passes(address: Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        assert objection(address) is not None or (isinstance(address, IPv6Address) and address.ipv4_mapped is not None)


@given(v4)
def test_an_ipv4_address_written_as_ipv6_is_judged_as_itself(address: IPv4Address) -> None:
    for prefix in ("::ffff:", "64:ff9b::"):
        assert objection(ip_address(f"{prefix}{address}")) == objection(address)


@given(addresses)
def test_a_network_that_is_allowed_passes_but_for_the_metadata_in_it(address: Address) -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert (objection(address, everything) is None) == (address not in METADATA)


@pytest.mark.parametrize("address", sorted(METADATA, key=str))
def test_a_clouds_metadata_is_allowed_only_by_its_very_address(address: Address) -> None:
    around = ip_network(f"{address}/{16 if address.version == 4 else 64}", strict=False)
    assert objection(address, [around]) == "a cloud's metadata service"
    assert objection(address, [ip_network(address)]) is None
