"""The routes for machines: is it alive, is it ready, and how is it doing."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Final

import sqlalchemy as sa
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from gateway.watch.metrics import render_metrics
from gateway.web.context import Node

_STYLE: Final = files("gateway.web").joinpath("static", "candor.css")


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

    @router.get("/healthz")
    async def alive() -> Response:
        return JSONResponse({"alive": True})

    @router.get("/readyz")
    async def ready() -> Response:
        is_ready = await to_thread.run_sync(_is_ready, node, limiter=threads)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        content = await to_thread.run_sync(_metrics, node, limiter=threads)
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def add_style(app: FastAPI) -> None:
    """Add the page's style sheet to an application."""

    @app.get("/static/candor.css")
    def style() -> Response:
        return Response(_STYLE.read_bytes(), media_type="text/css")


def _metrics(node: Node) -> bytes:
    return render_metrics(node.database, node.settings, node.spool.free_bytes(), node.now())


def _is_ready(node: Node) -> bool:
    return _database_answers(node.database) and os.access(node.spool.root, os.W_OK | os.X_OK)


def _database_answers(database: sa.Engine) -> bool:
    try:
        with database.connect() as connection:
            connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError:
        return False
    return True
