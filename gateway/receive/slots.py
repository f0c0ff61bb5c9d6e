"""Connections and associations are counted by address, so that no peer takes the places of all others.

An address may hold a limited number of connections. A quarter of all places is kept for the addresses from which a
caller on the list has had an association before: a stranger who takes all others leaves these to the modalities.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final

from gateway.receive.callers import Callers

_ENDING: Final = 8
"""Connections beyond twice ``max_associations``: a rejected peer takes a moment to hang up."""

_RESERVED: Final = 4
"""One place in so many is reserved."""

_SITE_BITS: Final = 64
"""A site has at least a /64 of IPv6 addresses (RFC 6177), so these count as one address."""


class Slots:
    """Counts the connections that are open.

    Parameters
    ----------
    callers
        The list of callers, with the settings.
    known
        Addresses from which a caller on the list has sent before.
    """

    def __init__(self, callers: Callers, known: Iterable[str] = ()) -> None:
        settings = callers.settings
        self._callers = callers
        self._associations = settings.max_associations
        self._connections = 2 * settings.max_associations + _ENDING
        self._known = {_origin(address) for address in known}
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()

    def take(self, address: str) -> str:
        """Take a slot for a connection.

        Returns
        -------
        "", or why the connection is not taken.
        """
        if not self._callers.may_connect(address):
            return "no caller has this address"
        origin = _origin(address)
        with self._counting:
            if self._open[origin] >= self._callers.max_connections(address):
                return "too many connections from this address are open"
            if self._open.total() >= self._connections - self._reserved(origin, self._connections):
                return "too many connections are open"
            self._open[origin] += 1
        return ""

    def free(self, address: str) -> None:
        """Give back what :meth:`take` took."""
        with self._counting:
            self._open -= Counter({_origin(address): 1})

    def may_associate(self, address: str, associations: int) -> bool:
        """Return whether one more association may begin.

        Parameters
        ----------
        address
            Where it comes from.
        associations
            How many there are, this one among them.
        """
        with self._counting:
            return associations <= self._associations - self._reserved(_origin(address), self._associations)

    def remember(self, address: str) -> None:
        """Let the reserve be open to an address; a caller on the list has an association from there."""
        with self._counting:
            self._known.add(_origin(address))

    @property
    def taken(self) -> int:
        """The number of connections that are open."""
        with self._counting:
            return self._open.total()

    def _reserved(self, origin: str, places: int) -> int:
        """Return how many of the places are not for this origin."""
        return 0 if not self._callers.settings.callers or origin in self._known else places // _RESERVED


def _origin(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or a /64 of IPv6."""
    here = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(here, ipaddress.IPv4Address):
        return str(here)
    if here.ipv4_mapped:
        return str(here.ipv4_mapped)
    return str(ipaddress.ip_network((here, _SITE_BITS), strict=False))
