"""TLS 1.2 and later with certificates on both sides (DICOM PS3.15 B.9, B.10: BCP 195)."""

from __future__ import annotations

import ssl

from candor.study.errors import SettingsError
from gateway.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """Make the context of a server that takes peers with a certificate of the authorities, and no others.

    Raises
    ------
    SettingsError
        A file is missing, or holds no key or certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """Make the context of a client that shows our certificate, and checks the server's and the name in it.

    Raises
    ------
    SettingsError
        A file is missing, or holds no key or certificate.
    """
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _loaded(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"tls: certificate {tls.certificate} and key {tls.key} cannot be used ({_said(error)}); both are PEM "
            "files, the key belongs to the certificate and has no passphrase"
        ) from error
    try:
        context.load_verify_locations(tls.authorities)
    except OSError as error:
        raise SettingsError(
            f"tls: authorities {tls.authorities} cannot be used ({_said(error)}); it is a PEM file of certificates"
        ) from error
    return context


def _no_passphrase() -> str:
    """Keep OpenSSL from asking at the terminal: a service that waits there has silently not started."""
    raise ValueError("the key has a passphrase")


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "unknown").lower().replace("_", " ")
    return (error.strerror or "unknown") if isinstance(error, OSError) else str(error)
