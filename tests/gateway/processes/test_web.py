"""The process that shows the page."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from anyio import to_thread

from candor.study.errors import CandorError, SettingsError
from gateway.processes import web
from gateway.processes.web import listening, listening_for_health, server
from gateway.settings import Settings
from gateway.web.app import create_app


def test_a_port_that_is_taken_is_said(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        changed = settings.web.model_copy(update={"port": port})
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} cannot be used"):
            listening(settings.model_copy(update={"web": changed}))
        changed = settings.web.model_copy(update={"health_port": port})
        with pytest.raises(SettingsError, match=f"web.health_port: 127.0.0.1:{port} cannot be used"):
            listening_for_health(settings.model_copy(update={"web": changed}))


def test_a_certificate_that_cannot_be_used_is_said(
    settings: Settings, database, spool, tokens, clock, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.pem").write_text("no certificate")
    keys = settings.web.model_copy(update={"certificate": str(tmp_path / "a.pem"), "key": str(tmp_path / "a.pem")})
    changed = settings.model_copy(update={"web": keys})
    with pytest.raises(CandorError, match="certificate"):
        server(changed, create_app(changed, database, spool, tokens, clock))


def test_a_page_without_a_free_thread_does_not_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event loop turns, and nobody gets an answer."""
    monkeypatch.setattr(web, "_BEAT_S", 0.0)
    beats: list[int] = []

    class Page:
        async def serve(self, sockets: list[socket.socket]) -> None:
            to_thread.current_default_thread_limiter().total_tokens = 1
            busy, free = threading.Event(), threading.Event()

            def occupy() -> None:
                busy.set()
                free.wait()

            occupied = asyncio.create_task(to_thread.run_sync(occupy))
            while not busy.is_set():
                await asyncio.sleep(0.001)
            before = len(beats)
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert len(beats) == before
            free.set()
            await occupied
            while len(beats) == before:
                await asyncio.sleep(0.001)

    with socket.socket() as door:
        asyncio.run(web.run(Page(), door, None, None, lambda: beats.append(1)))  # type: ignore[arg-type]
