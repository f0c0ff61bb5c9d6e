"""Who may send to the node: AE titles, addresses and certificates on a list."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum, unique
from hashlib import sha256
from hmac import compare_digest

from gateway.settings import Caller, Receive


@unique
class Rejection(Enum):
    """Why an association is rejected, with the fields of the A-ASSOCIATE-RJ.

    Parameters
    ----------
    result, source, diagnostic
        Of the A-ASSOCIATE-RJ (PS3.8 9.3.4).
    reason
        What the log says.
    """

    CALLED_AE_TITLE = (1, 1, 7, "it asked for another AE title than ours")
    CALLING_AE_TITLE = (1, 1, 3, "its AE title is not on the list of callers")
    ADDRESS = (1, 1, 3, "it calls from an address that is not on the list for its AE title")
    CERTIFICATE = (1, 1, 3, "its certificate is not the one on the list for its AE title")
    FULL = (2, 3, 2, "as many associations are open as receive.max_associations allows")

    def __init__(self, result: int, source: int, diagnostic: int, reason: str) -> None:
        self.result = result
        self.source = source
        self.diagnostic = diagnostic
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Callers:
    """The list of callers, and the rules for it.

    Parameters
    ----------
    settings
        Without callers anybody may send, under our AE title.
    """

    settings: Receive

    def may_connect(self, address: str) -> bool:
        """Whether any caller may call from an address; decided before a byte of theirs is read."""
        return not self.settings.callers or any(_is_from(caller, address) for caller in self.settings.callers)

    def lists(self, calling: str, address: str) -> bool:
        """Return whether a caller of this AE title may call from this address.

        Parameters
        ----------
        calling
            An AE title, without blanks around it.
        address
            An IP address.
        """
        return any(caller.ae_title == calling and _is_from(caller, address) for caller in self.settings.callers)

    def max_connections(self, address: str) -> int:
        """Return how many connections an address may have open: the largest limit of the callers that are there."""
        default = self.settings.max_connections_per_address
        own = [caller.max_connections for caller in self.settings.callers if _is_from(caller, address)]
        return max((default if limit is None else limit for limit in own), default=default)

    def admit(self, calling: str, called: str, address: str, certificate: bytes | None) -> Caller | Rejection | None:
        """Decide on an association.

        Parameters
        ----------
        calling, called
            AE titles as the peer gave them, without blanks around them.
        address
            Where the peer calls from.
        certificate
            Of the peer, as DER; its chain has been checked. None without TLS.

        Returns
        -------
        The caller on the list, None where there is no list and anybody may send, or why not.
        """
        if self.settings.require_called_ae_title and called != self.settings.ae_title:
            return Rejection.CALLED_AE_TITLE
        if not self.settings.callers:
            return None
        named = [caller for caller in self.settings.callers if caller.ae_title == calling]
        if not named:
            return Rejection.CALLING_AE_TITLE
        near = [caller for caller in named if _is_from(caller, address)]
        if not near:
            return Rejection.ADDRESS
        return next((caller for caller in near if _shows(caller, certificate)), Rejection.CERTIFICATE)


def _is_from(caller: Caller, address: str) -> bool:
    if not caller.addresses:
        return True
    here = ipaddress.ip_address(address.partition("%")[0])  # without the zone of an IPv6 address
    if isinstance(here, ipaddress.IPv6Address) and here.ipv4_mapped:
        here = here.ipv4_mapped
    return any(here in ipaddress.ip_network(network, strict=False) for network in caller.addresses)


def _shows(caller: Caller, certificate: bytes | None) -> bool:
    if caller.certificate_sha256 is None:
        return True
    return certificate is not None and compare_digest(sha256(certificate).hexdigest(), caller.certificate_sha256)
