"""The process that shows the page."""

from __future__ import annotations

import socket

import pytest

from candor.study.errors import CandorError, SettingsError
from gateway.processes.web import listening, listening_for_health, server
from gateway.settings import Settings
from gateway.web.app import create_app


def test_a_port_that_is_taken_is_said(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        web = settings.web.model_copy(update={"port": port})
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} cannot be used"):
            listening(settings.model_copy(update={"web": web}))
        web = settings.web.model_copy(update={"health_port": port})
        with pytest.raises(SettingsError, match=f"web.health_port: 127.0.0.1:{port} cannot be used"):
            listening_for_health(settings.model_copy(update={"web": web}))


def test_a_certificate_that_cannot_be_used_is_said(
    settings: Settings, database, spool, tokens, clock, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.pem").write_text("no certificate")
    web = settings.web.model_copy(update={"certificate": str(tmp_path / "a.pem"), "key": str(tmp_path / "a.pem")})
    changed = settings.model_copy(update={"web": web})
    with pytest.raises(CandorError, match="certificate"):
        server(changed, create_app(changed, database, spool, tokens, clock))
