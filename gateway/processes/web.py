"""The process that shows the page."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from candor.study.errors import SettingsError
from gateway.logs import log_event
from gateway.processes.queue import opened_queue
from gateway.processes.start import on_stop_signal, started
from gateway.settings import Settings
from gateway.store.tokens import Tokens
from gateway.web.actions import acts_of
from gateway.web.app import create_app

_CONNECTIONS: Final = 64


def run_web(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "web") as (database, spool), opened_queue(database, settings) as jobs:
        acts = acts_of(database, settings, jobs, time.time)
        tokens = Tokens(Path(settings.spool))
        page = server(settings, create_app(settings, database, spool, tokens, time.time, acts))

        def stop(_: signal.Signals) -> None:
            page.should_exit = True

        on_stop_signal(stop)  # uvicorn takes the signals while it serves, and hands them on to us when it has ended
        with listening(settings) as door:
            log_event("page started")
            asyncio.run(page.serve(sockets=[door]))


def server(settings: Settings, app: FastAPI) -> uvicorn.Server:
    """Return the server of the page. It logs no request, since URLs and times say who looked at what.

    Parameters
    ----------
    settings
        The node's.
    app
        The page.

    Raises
    ------
    SettingsError
        The certificate or the key cannot be used.
    """
    web = settings.web
    config = uvicorn.Config(
        app,
        host=web.host,
        port=web.port,
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=web.behind_proxy,
        limit_concurrency=_CONNECTIONS,
        lifespan="off",
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError("web.certificate or web.key cannot be used; name PEM files that belong together") from error
    return uvicorn.Server(config)


def listening(settings: Settings) -> socket.socket:
    """Open the page's port.

    Raises
    ------
    SettingsError
        It cannot be opened.
    """
    address = (settings.web.host, settings.web.port)
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in settings.web.host else socket.AF_INET)
    except OSError as error:
        where = f"{settings.web.host}:{settings.web.port}"
        raise SettingsError(f"web.host and web.port: {where} cannot be used ({error.strerror})") from error
