"""Keys for TLS, and what is said about those that cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from candor.study.errors import SettingsError
from gateway.dimse.tls import client_context, server_context
from gateway.settings import Tls
from tests.gateway.network import Authority


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = Authority(tmp_path)
    certificate, key, _ = authority.issue("node")
    return Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))


def test_both_sides_demand_a_certificate_and_tls_1_2(tls: Tls) -> None:
    for context in (server_context(tls), client_context(tls)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context(tls).check_hostname


def test_a_key_of_another_certificate(tls: Tls, tmp_path: Path) -> None:
    _, other, _ = Authority(tmp_path, "other").issue("other-node")
    with pytest.raises(SettingsError, match="key values mismatch"):
        server_context(tls.model_copy(update={"key": str(other)}))


def test_a_key_with_a_passphrase_is_no_question_at_a_terminal(tls: Tls, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(Path(tls.key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(SettingsError, match="passphrase"):
        server_context(tls.model_copy(update={"key": str(locked)}))


@pytest.mark.parametrize("name", ["certificate", "authorities"])
def test_files_that_are_missing_or_nonsense(tls: Tls, tmp_path: Path, name: str) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for file in (tmp_path / "missing.pem", nonsense):
        with pytest.raises(SettingsError, match=file.name):
            client_context(tls.model_copy(update={name: str(file)}))
