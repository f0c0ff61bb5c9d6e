"""The page as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from candor.files.privacy import name_of, place_of
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.web.access.accounts import Logins
from gateway.web.access.guard import HEADERS, Guard
from gateway.web.access.proxy import Proxies
from gateway.web.actions import Acts
from gateway.web.content.try_picture import RunApplication, Trials, application
from gateway.web.context import Node
from gateway.web.pages import login, machines, operate, studies, try_picture

_THREADS: Final = 40
_MACHINES_THREADS: Final = 4

_WORDS: Final = {
    400: "The form cannot be read. Go back, load the page anew, and try again.",
    403: "You may not do that, or the form is out of date. Go back, load the page anew, and try again.",
    404: "There is no such page, study or picture.",
    405: "That cannot be done here.",
    413: "That is more than the form takes.",
    503: "This process cannot do that now.",
}


def create_app(
    settings: Settings,
    database: sa.Engine,
    spool: Spool,
    tokens: Tokens,
    now: Callable[[], float],
    acts: Acts | None = None,
    run_application: RunApplication | None = None,
) -> FastAPI:
    """Make the page.

    Parameters
    ----------
    settings
        The node's.
    database
        The node's.
    spool
        The node's images and results.
    tokens
        Name studies without their UIDs.
    now
        Seconds since 1970.
    acts
        What operators can have done again; without them the dead letter can only be looked at.
    run_application
        For the upload form; by default a process of its own.
    """
    logins = Logins(database, now, settings.web.session_h * 3600)
    trials = None
    if settings.web.upload:
        trials = Trials(Path(settings.spool) / "trials", run_application or application(settings.work), now)
    node = Node(settings, database, spool, tokens, now, logins, acts, trials)
    threads, machines_threads = CapacityLimiter(_THREADS), CapacityLimiter(_MACHINES_THREADS)
    app = _guarded(node, threads)
    app.include_router(machines.routes(node, machines_threads))
    machines.add_style(app)
    for router in (login.routes(node), studies.routes(node), operate.routes(node)):
        app.include_router(router)
    if trials is not None:
        app.include_router(try_picture.routes(node, trials))
    app.state.node = node
    return app


def create_health_app(page: FastAPI) -> FastAPI:
    """Make what answers at the health port: the page's routes for machines alone, in threads of their own.

    Parameters
    ----------
    page
        Of the same process; a guess at a password counts for both.
    """
    node: Node = page.state.node
    threads = CapacityLimiter(_MACHINES_THREADS)
    app = _guarded(node, threads)
    app.include_router(machines.routes(node, threads))
    return app


def _guarded(node: Node, threads: CapacityLimiter) -> FastAPI:
    """Make an application without routes, behind the guard."""
    app = FastAPI(title="Candor", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, settings=node.settings.web, logins=node.logins, threads=threads)
    app.add_middleware(Proxies, settings=node.settings.web)  # added last, it stands before the guard
    _answer_errors(app, node)
    return app


def _answer_errors(app: FastAPI, node: Node) -> None:
    """Answer every error with a page of ours, which quotes nothing of the request and nothing of the error."""

    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404  # parameters that are none of ours
        answer = node.page(request, "error.html", status, status=status, words=_WORDS.get(status, "That went wrong."))
        if status == 405 and isinstance(error, HTTPException):
            answer.headers.update(error.headers or {})  # which methods there are (RFC 9110 15.5.6)
        return answer

    def failed(request: Request, error: Exception) -> Response:
        log_event("page failed", "error", kind=name_of(error), where=place_of(error))
        words = "The page could not be made; the node's log says where it failed."
        return Response(words, 500, HEADERS, media_type="text/plain")  # it passes the guard by

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(Exception, failed)
