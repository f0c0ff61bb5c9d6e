"""The page on which the model can be tried with a picture of one's own; off unless the settings switch it on."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.mode import note_act
from gateway.web.content.results import Results, ResultsUnreadable
from gateway.web.content.try_picture import TrialRefused, Trials
from gateway.web.context import Form, Node, Number, Token, Viewer
from gateway.web.pages.studies import picture_response


def routes(node: Node, trials: Trials) -> APIRouter:
    """Make the routes of the upload form.

    Parameters
    ----------
    node
        The node's parts.
    trials
        What was uploaded.
    """
    router = APIRouter()

    @router.get("/trial")
    def form(request: Request) -> Response:
        return node.page(request, "trial_form.html", problem="")

    @router.post("/trial")
    def upload(request: Request, form: Form, user: Viewer) -> Response:
        file = form.get("picture")
        try:
            name = trials.begin(file.file.read() if isinstance(file, UploadFile) else b"")
        except TrialRefused as error:
            problem = str(error)
            return node.page(request, "trial_form.html", 400, problem=problem[:1].upper() + problem[1:] + ".")
        with writing(node.database) as connection:
            note_act(connection, user.name, "trial", name, node.now())
        log_event("trial", user=user.name)
        return RedirectResponse(f"/trial/{name}", 303)

    @router.get("/trial/{token}")
    def trial(request: Request, token: Token) -> Response:
        if not trials.is_there(token):
            raise HTTPException(404)
        return node.page(
            request,
            "trial.html",
            running=trials.runs(token),
            results=None if trials.runs(token) else _results(trials, token),
            pictures=f"/trial/{token}",
        )

    @router.get("/trial/{token}/{kind}/{number}.png")
    def picture(token: Token, kind: str, number: Number) -> Response:
        return picture_response(_results(trials, token), kind, number)

    return router


def _results(trials: Trials, name: str) -> Results | None:
    try:
        return trials.results(name)
    except ResultsUnreadable:
        return None
