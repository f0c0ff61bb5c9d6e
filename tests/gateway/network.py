"""The other side of the node's receiver, for tests: a well-behaved sender, and raw bytes."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import KeyObjectSelectionDocumentStorage, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from gateway.dimse.pynetdicom_races import keep_answers
from tests.factory import radiograph_dataset


def image(seed: str = "0", **attributes: Any) -> Dataset:
    """A small radiograph."""
    pixels = np.random.default_rng(len(seed)).integers(0, 4095, (64, 64)).astype(np.uint16)
    return radiograph_dataset(pixels, seed=seed, **attributes)


def other(sop_class_uid: str, **attributes: Any) -> Dataset:
    """An object of a study that is no radiograph."""
    made = image(sop_class_uid, study="a", **attributes)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = sop_class_uid
    return made


def rejection_note(code: str, rejected: Dataset) -> Dataset:
    """A Key Object Selection whose title has a code, and which names an image."""
    made = other(KeyObjectSelectionDocumentStorage)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(made, keyword)
    title, item, study, series, content = (Dataset() for _ in range(5))
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = code, "DCM", "title"
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = rejected.SOPClassUID, rejected.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = rejected.SeriesInstanceUID, [item]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = rejected.StudyInstanceUID, [series]
    content.ValueType, content.RelationshipType, content.ReferencedSOPSequence = "IMAGE", "CONTAINS", [item]
    made.ConceptNameCodeSequence, made.ContentSequence = [title], [content]
    made.CurrentRequestedProcedureEvidenceSequence = [study]
    return made


def file_of(dataset: Dataset) -> bytes:
    """Its Part 10 file."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def reread(path: Path) -> Dataset:
    """A file, with its pixels."""
    return dcmread(path)


@contextmanager
def association(
    port: int,
    *syntaxes: tuple[str, str],
    called: str = "CANDOR",
    calling: str = "MODALITY",
    tls: ssl.SSLContext | None = None,
    **more: Any,
) -> Iterator[Association]:
    """An association with the receiver, established or not; by default for the radiographs of :func:`image`."""
    ae = AE(calling)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    offered = syntaxes or ((image().SOPClassUID, image().file_meta.TransferSyntaxUID),)
    contexts = [build_context(*pair) for pair in offered]
    tls_args = (tls, "localhost") if tls else None
    opened = ae.associate("127.0.0.1", port, contexts, called, tls_args=tls_args, **more)
    keep_answers(opened)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def store(port: int, dataset: Dataset, priority: int = 0, **how: Any) -> Dataset:
    """Send one instance and return the answer; an empty one where there was none."""
    pair = (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    with association(port, pair, **how) as opened:
        return opened.send_c_store(dataset, priority=priority) if opened.is_established else Dataset()


def pdu(kind: int, content: bytes, length: int | None = None) -> bytes:
    """One PDU (PS3.8 9.3.1); ``length`` may lie."""
    return struct.pack(">BBL", kind, 0, len(content) if length is None else length) + content


def raw(port: int, *data: bytes, timeout_s: float = 60.0) -> bytes:
    """Send bytes, and return what comes back until the other side ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        try:
            for piece in data:
                connection.sendall(piece)
            return connection.recv(1 << 16)
        except ConnectionError:
            return b""


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path, bytes]:
        """Make a key for localhost; returns the files of certificate and key, and the certificate as DER."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._sign(subject, key, x509.BasicConstraints(ca=False, path_length=None))
        certificate, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return certificate, key_file, signed.public_bytes(serialization.Encoding.DER)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, constraints: x509.BasicConstraints
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(constraints, critical=True).add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
