"""Network addresses of clients, grouped into visitors."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_PREFIX_BITS = 64
"""An IPv6 network of this length usually belongs to one customer."""
_NAT64 = IPv6Network("64:ff9b::/96")


def unmapped(host: str) -> str:
    """Return an address as its own family writes it: a socket of both families reports ``::ffff:10.0.0.7``."""
    address = _parsed(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return host if mapped is None else str(mapped)


def visitor_of(host: str) -> str:
    """Return the visitor that an address belongs to: an IPv4 address or an IPv6 network.

    An IPv6 address that carries an IPv4 address (mapped, 6to4, Teredo or NAT64) counts as the latter. Text that is not
    an address is returned unchanged.
    """
    address = _parsed(host)
    if not isinstance(address, IPv6Address):
        return host
    carried = _carried(address)
    return str(IPv6Network((int(address), _PREFIX_BITS), strict=False) if carried is None else carried)


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo_client = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo_client
