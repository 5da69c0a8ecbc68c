"""Client addresses that belong to one visitor."""

import ipaddress

import pytest

from qa_service.server.addresses import visitor_of


@pytest.mark.parametrize(
    ("host", "visitor"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("::ffff:192.0.2.7%eth0", "192.0.2.7"),
        ("2002:c000:207::1", "192.0.2.7"),
        ("2002:c000:207:ffff:1:2:3:4", "192.0.2.7"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ("64:ff9b::c000:207%3", "192.0.2.7"),
        ("64:ff9b:1::c000:207", "64:ff9b:1::/64"),
        ("2001:0:c633:6401:0:0:3fff:fdf8", "192.0.2.7"),
        ("", ""),
        ("unknown", "unknown"),
        ("192.0.2.7:80", "192.0.2.7:80"),
        ("192.0.2.007", "192.0.2.007"),
        ("192.0.2.7%eth0", "192.0.2.7%eth0"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("/run/qa.sock", "/run/qa.sock"),
    ],
)
def test_an_address_belongs_to_a_visitor(host: str, visitor: str) -> None:
    """IPv6 counts by its /64, an address that carries IPv4 as that address, any other text as it is."""
    assert visitor_of(host) == visitor


def test_every_way_to_carry_an_ipv4_address_is_the_same_visitor() -> None:
    """For any IPv4 address; a Teredo address carries it inverted."""
    for number in (0, 1, 0xC0000207, 0x7F000001, 0xFFFFFFFF):
        plain = str(ipaddress.IPv4Address(number))
        prefixes = {"::ffff:0:0": number, "64:ff9b::": number, "2002::": number << 80}
        carriers = [ipaddress.IPv6Address(int(ipaddress.IPv6Address(p)) | bits) for p, bits in prefixes.items()]
        carriers.append(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001::")) | (number ^ 0xFFFFFFFF)))
        assert {visitor_of(str(carrier)) for carrier in carriers} == {plain}
