"""The routes for machines: is it alive, is it ready, and how is it doing."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Any, Final

import sqlalchemy as sa
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from gateway.watch.heartbeats import Heartbeats
from gateway.watch.kept_alarms import kept_alarms
from gateway.watch.metrics import render_metrics
from gateway.web.context import Node

_STYLE: Final = files("gateway.web").joinpath("static", "candor.css")

_MENDED_S: Final = 120.0
"""Within so long the supervisor has ended what hangs."""


def routes(node: Node, threads: CapacityLimiter) -> APIRouter:
    """Make the routes for machines.

    Parameters
    ----------
    node
        The node's parts.
    threads
        For what has to wait for the database or the disk.
    """
    router = APIRouter()

    heartbeats, own_thread = Heartbeats(node.spool.root), CapacityLimiter(1)

    @router.get("/healthz")
    async def alive() -> Response:
        """Answer with 503 where a loop of this machine hangs that the supervisor should have ended long ago."""
        hung = await to_thread.run_sync(_hung, heartbeats, _MENDED_S, limiter=own_thread)
        return JSONResponse({"alive": not hung} | ({"hangs": hung} if hung else {}), 503 if hung else 200)

    @router.get("/readyz")
    async def ready() -> Response:
        """Answer with 503 where this machine cannot do its work, or where an alarm of a supervisor goes on."""
        answer = await to_thread.run_sync(_ready, node, heartbeats, limiter=threads)
        return JSONResponse(answer, 200 if answer["ready"] else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        content = await to_thread.run_sync(_metrics, node, heartbeats, limiter=threads)
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def add_style(app: FastAPI) -> None:
    """Add the page's style sheet to an application."""

    @app.get("/static/candor.css")
    def style() -> Response:
        return Response(_STYLE.read_bytes(), media_type="text/css")


def _metrics(node: Node, heartbeats: Heartbeats) -> bytes:
    free_bytes, beats, kept = node.spool.free_bytes(), heartbeats.look(), kept_alarms(node.spool.root)
    return render_metrics(node.database, node.settings, free_bytes, node.now(), beats, kept)


def _ready(node: Node, heartbeats: Heartbeats) -> dict[str, Any]:
    """Return whether this machine can do its work, and where it cannot, what hangs and which alarms go on."""
    found = {
        "hangs": _hung(heartbeats, 0.0),
        "alarms": [alarm.kind for alarm in kept_alarms(node.spool.root) if alarm.goes_on],
    }
    told = {name: values for name, values in found.items() if values}
    is_usable = _database_answers(node.database) and os.access(node.spool.root, os.W_OK | os.X_OK)
    return {"ready": is_usable and not told} | told


def _hung(heartbeats: Heartbeats, grace_s: float) -> list[str]:
    """Name the loops of this machine that are late by more than some seconds."""
    late = [beat for beat in heartbeats.own() if beat.is_late and beat.age_s > beat.limit_s + grace_s]
    return [f"{beat.process} {beat.loop}" for beat in late]


def _database_answers(database: sa.Engine) -> bool:
    try:
        with database.connect() as connection:
            connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError:
        return False
    return True
