"""Network addresses: which of them count as one, and which are on a list."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_IPV6_BLOCK: Final = 64
"""Bits: one host has a whole /64 of IPv6 to choose its address from (RFC 4862)."""


def block_of(address: str) -> str:
    """Return what limits count by: an IPv4 address, or the /64 of an IPv6 address; "" for anything else."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), _IPV6_BLOCK), strict=False))
    return str(parsed) if parsed else ""


class Networks:
    """A list of addresses and networks; ``address in networks`` is true for each address that it covers.

    Parameters
    ----------
    names
        ``192.0.2.1`` or ``192.0.2.0/24``, and the same in IPv6.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._networks = [ip_network(name, strict=False) for name in names]

    def __contains__(self, address: str) -> bool:
        """Return whether an address is on the list; what is no address is not."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
