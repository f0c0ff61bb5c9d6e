"""The routes for machines: is it alive, is it ready, and how is it doing."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Final

import sqlalchemy as sa
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from gateway.watch.metrics import render_metrics
from gateway.web.context import Node

_STYLE: Final = files("gateway.web").joinpath("static", "candor.css")


def routes(node: Node) -> APIRouter:
    """Make the routes for machines."""
    router = APIRouter()

    @router.get("/healthz")
    def alive() -> Response:
        return JSONResponse({"alive": True})

    @router.get("/readyz")
    def ready() -> Response:
        is_ready = _database_answers(node.database) and os.access(node.spool.root, os.W_OK | os.X_OK)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @router.get("/metrics")
    def metrics() -> Response:
        content = render_metrics(node.database, node.settings, node.spool.free_bytes(), node.now())
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @router.get("/static/candor.css")
    def style() -> Response:
        return Response(_STYLE.read_bytes(), media_type="text/css")

    return router


def _database_answers(database: sa.Engine) -> bool:
    try:
        with database.connect() as connection:
            connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError:
        return False
    return True
