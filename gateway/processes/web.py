"""The process that shows the page."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from candor.study.errors import SettingsError
from gateway.logs import log_event
from gateway.processes.queue import opened_queue
from gateway.processes.start import on_stop_signal, started
from gateway.settings import Settings
from gateway.store.database import database_clock
from gateway.store.tokens import Tokens
from gateway.watch.heartbeats import Heartbeat
from gateway.web.access.addresses import Networks
from gateway.web.access.connections import Connection, Door, Limits
from gateway.web.actions import acts_of
from gateway.web.app import create_app, create_health_app

_CONNECTIONS: Final = 256
_CONNECTIONS_OF_ONE: Final = 32
"""From one address; a browser opens six."""

_HEALTH_CONNECTIONS: Final = 64
_HEALTH_CONNECTIONS_OF_ONE: Final = 16
_STOP_S: Final = 10
_BEAT_S: Final = 1.0


def run_web(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "web") as (database, spool), opened_queue(database, settings) as jobs, ExitStack() as doors:
        now = database_clock(database)
        acts = acts_of(database, settings, jobs, now)
        app = create_app(settings, database, spool, Tokens(Path(settings.spool)), now, acts)
        page = server(settings, app)
        health = None if settings.web.health_port is None else server(settings, create_health_app(app), Beside)

        def stop(_: signal.Signals) -> None:
            page.should_exit = True

        on_stop_signal(stop)  # uvicorn takes the signals while it serves, and hands them on to us when it has ended
        door = doors.enter_context(listening(settings))
        health_door = doors.enter_context(listening_for_health(settings)) if health else None
        log_event("page started")
        asyncio.run(run(page, door, health, health_door, Heartbeat(Path(settings.spool), "web", "page")))


async def run(
    page: uvicorn.Server,
    door: Door,
    health: uvicorn.Server | None,
    health_door: Door | None,
    beat: Callable[[], None],
) -> None:
    """Serve the page, and beat in one of the threads that make it: a page that has no thread left does not answer.

    Parameters
    ----------
    page
        The page's server.
    door
        Its port.
    health
        The server of the health port; None without one.
    health_door
        The health port; None without one.
    beat
        The heartbeat of the page.
    """

    async def beating() -> None:
        while True:
            await anyio.to_thread.run_sync(beat)
            await asyncio.sleep(_BEAT_S)

    task = asyncio.create_task(beating())
    try:
        await serve(page, door, health, health_door)
    finally:
        task.cancel()


async def serve(page: uvicorn.Server, door: Door, health: uvicorn.Server | None, health_door: Door | None) -> None:
    """Serve the page, and the routes for machines at a port of their own, until the page ends.

    Parameters
    ----------
    page
        The page's server.
    door
        Its port.
    health
        The server of the health port; None without one.
    health_door
        The health port; None without one.
    """
    if health is None or health_door is None:
        await page.serve(sockets=[door])
        return
    beside = asyncio.create_task(health.serve(sockets=[health_door]))
    try:
        await page.serve(sockets=[door])
    finally:
        health.should_exit = True
        await beside


class Beside(uvicorn.Server):
    """A second server in the process, which leaves the signals to the first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server(settings: Settings, app: FastAPI, kind: type[uvicorn.Server] = uvicorn.Server) -> uvicorn.Server:
    """Return a server of the page. It logs no request, since URLs and times say who looked at what.

    Parameters
    ----------
    settings
        The node's.
    app
        The page, or what answers at the health port.
    kind
        :class:`Beside` for the second one of a process.

    Raises
    ------
    SettingsError
        The certificate or the key cannot be used.
    """
    web = settings.web
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the page does that itself, for the proxies of the settings
        timeout_graceful_shutdown=_STOP_S,
        lifespan="off",
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError("web.certificate or web.key cannot be used; name PEM files that belong together") from error
    return kind(config)


def listening(settings: Settings) -> Door:
    """Open the page's port.

    Raises
    ------
    SettingsError
        It cannot be opened.
    """
    web = settings.web
    proxies = Networks(web.proxies if web.behind_proxy else ())
    return _opened("", web.host, web.port, Limits(_CONNECTIONS, _CONNECTIONS_OF_ONE, proxies))


def listening_for_health(settings: Settings) -> Door:
    """Open the health port.

    Raises
    ------
    SettingsError
        It cannot be opened.
    """
    web = settings.web
    limits = Limits(_HEALTH_CONNECTIONS, _HEALTH_CONNECTIONS_OF_ONE)
    return _opened("health_", web.health_host, web.health_port or 0, limits)


def _opened(name: str, host: str, port: int, limits: Limits) -> Door:
    try:
        return Door.open((host, port), limits)
    except OSError as error:
        where = f"{host}:{port}"
        raise SettingsError(f"web.{name}host and web.{name}port: {where} cannot be used ({error.strerror})") from error
