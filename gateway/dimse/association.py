"""Our side of an association that we ask for, within limits by the clock (:mod:`gateway.dimse.watch`).

Nagle's algorithm is off: with it on, each message waits for an ACK.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext

from candor.study.errors import CandorError
from gateway.dimse.framing import install
from gateway.dimse.header import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.dimse.pynetdicom_races import drop_late_data, keep_answers
from gateway.dimse.tls import client_context
from gateway.dimse.watch import STOPPED, IsStopped, Watch, address_of, never
from gateway.settings import Destination, Settings, Tls

_config.LOG_HANDLER_LEVEL = "none"
_config.STORE_SEND_CHUNKED_DATASET = True  # a file that is sent by its path goes out as it is, a piece at a time


class NoAssociation(CandorError):
    """The other side cannot be reached, or does not want to talk to us."""


class NothingAccepted(NoAssociation):
    """The other side talks to us, and takes nothing of what was offered.

    Parameters
    ----------
    text
        The error, for a person.
    results
        Of the presentation contexts (PS3.8 9.3.3.2).
    """

    def __init__(self, text: str, results: frozenset[int | None]) -> None:
        super().__init__(text)
        self.results = results


@dataclass(frozen=True, slots=True)
class Remote:
    """Whom to call.

    Parameters
    ----------
    tls
        Our keys; None for plain TCP.
    """

    ae_title: str
    host: str
    port: int
    tls: Tls | None

    @classmethod
    def destination(cls, destination: Destination) -> Remote:
        """Call a destination of the settings."""
        return cls(destination.ae_title, destination.host, destination.port, destination.tls)

    @classmethod
    def ourselves(cls, settings: Settings) -> Remote:
        """Call our own receiver, on this machine."""
        receive = settings.receive
        anywhere = receive.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        return cls(receive.ae_title, "localhost" if anywhere else receive.host, receive.port, receive.tls)


@contextmanager
def associated(
    remote: Remote,
    calling_ae_title: str,
    contexts: Sequence[PresentationContext],
    timeout_s: float,
    handlers: Sequence[EventHandlerType] = (),
    is_stopped: IsStopped = never,
) -> Iterator[Association]:
    """Open an association, and release it in the end.

    Whatever the peer does, these take ``2 * timeout_s`` at most: to open the association, to write a piece (a MiB) of a
    message, to get the answer, to release. A connection on which nothing moves for ``timeout_s`` is closed.

    Parameters
    ----------
    remote
        Whom to call.
    calling_ae_title
        Our own.
    contexts
        At most 128 (PS3.8 7.1.1.13).
    timeout_s
        Longest wait for the connection, and for each answer.
    handlers
        pynetdicom's event handlers, for what the other side may ask on this association.
    is_stopped
        Returns whether the association is to end at once, in the middle of an object too.

    Raises
    ------
    NoAssociation
        Nobody answers, or the other side refuses; says which.
    NothingAccepted
        It accepts no presentation context.
    SettingsError
        The keys for TLS cannot be used.
    """
    where = f"{remote.ae_title} at {remote.host}:{remote.port}"
    tls = (client_context(remote.tls), remote.host) if remote.tls else None
    try:
        address = address_of(remote.host, timeout_s)
    except OSError:
        raise NoAssociation(f"{where} has no address that can be found: check its name and the name server") from None
    if is_stopped():
        raise NoAssociation(f"{where} is not called: {STOPPED}")
    entity = ApplicationEntity(calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    with Watch(timeout_s, is_stopped) as watch:
        watch.allow()
        association = entity.associate(
            address,
            remote.port,
            contexts=list(contexts),
            ae_title=remote.ae_title,
            tls_args=tls,
            evt_handlers=[*handlers, (evt.EVT_REQUESTED, watch.opening)],
        )
        if not association.is_established:
            raise _failure(association, where, watch.reason)
        connection = association.dul.socket.socket if association.dul.socket else None
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(timeout_s)  # pynetdicom takes it away once it is connected
        install(association, watch)
        drop_late_data(association)
        keep_answers(association)
        try:
            yield association
        finally:
            if association.is_established:
                watch.allow()
                association.release()


def _failure(association: Association, where: str, reason: str) -> NoAssociation:
    """Return the error that says why an association was not established.

    Parameters
    ----------
    association
        As pynetdicom left it.
    where
        Whom we called.
    reason
        Why the watch ended it; "" where it did not.
    """
    results = frozenset(context.result for context in association.rejected_contexts)
    if results:  # pynetdicom has ended an association of no use
        return NothingAccepted(f"{where} takes nothing of what was offered", results)
    if reason:
        return NoAssociation(f"{where}: {reason}")
    if association.is_rejected:
        return NoAssociation(f"{where} refuses the association: check AE titles and its list of callers")
    return NoAssociation(f"{where} does not answer, or ends the connection: check address, port and certificates")
