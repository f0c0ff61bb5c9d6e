"""The pages about studies: the list, and one study with its pictures."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from candor.dicom.shared.attributes import is_uid
from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.mode import note_act
from gateway.web.access.accounts import User
from gateway.web.content import figures, queries
from gateway.web.content.patient import Patient, patient_of
from gateway.web.content.pictures import PictureUnreadable, image_png, overlay_png
from gateway.web.content.results import Results, ResultsUnreadable, results_of
from gateway.web.context import Form, Node, Number, Token, Viewer, field_of

_LOOKED_S = 8 * 3600.0
"""A picture is part of the look at its study that the trail has, if that is no longer ago."""


def routes(node: Node) -> APIRouter:
    """Make the routes about studies."""
    router = APIRouter()

    @router.get("/")
    def home() -> Response:
        return RedirectResponse("/studies", 303)

    @router.get("/studies")
    def listed(
        request: Request,
        show: Annotated[str, Query(pattern=f"^({'|'.join(queries.FILTERS)})$")] = "all",
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    ) -> Response:
        with node.database.connect() as connection:
            rows, more = queries.list_studies(connection, show, page, node.now())
            counts = figures.count_states(connection)
        filters = {name: words for name, (words, _) in queries.FILTERS.items()}
        return node.page(
            request, "studies.html", rows=rows, more=more, show=show, page=page, filters=filters, counts=counts
        )

    @router.post("/find")
    def find(form: Form) -> Response:
        uid = field_of(form, "uid")
        token = node.tokens.token(uid) if is_uid(uid) else ""
        with node.database.connect() as connection:
            found = bool(token) and queries.find_study(connection, token) is not None
        if not found:
            raise HTTPException(404)
        return RedirectResponse(f"/studies/{token}", 303)

    @router.get("/studies/{token}")
    def newest(request: Request, user: Viewer, token: Token) -> Response:
        return _study(node, request, user, token, None)

    @router.get("/studies/{token}/{version}")
    def one(request: Request, user: Viewer, token: Token, version: Number) -> Response:
        return _study(node, request, user, token, version)

    @router.get("/studies/{token}/{version}/{kind}/{number}.png")
    def picture(user: Viewer, token: Token, version: Number, kind: str, number: Number) -> Response:
        row = _row(node, token, version)
        _note_look(node, user, token, version, unless_within_s=_LOOKED_S)
        return picture_response(_results(node, row), kind, number)

    return router


def picture_response(results: Results | None, kind: str, number: int) -> Response:
    """Answer with a picture of results.

    Parameters
    ----------
    results
        None where there are none.
    kind
        ``"image"`` or ``"overlay"``.
    number
        Its place among them, from 0.

    Raises
    ------
    HTTPException
        404: there is no such picture, or it cannot be decoded.
    """
    render = {"image": image_png, "overlay": overlay_png}.get(kind)
    if results is None or render is None:
        raise HTTPException(404)
    try:
        return Response(render(results.path(kind, number)), media_type="image/png")
    except (ResultsUnreadable, PictureUnreadable):
        raise HTTPException(404) from None


def _study(node: Node, request: Request, user: User, token: str, version: int | None) -> Response:
    row = _row(node, token, version)
    _note_look(node, user, token, row.version)
    with node.database.connect() as connection:
        versions, more_versions = queries.versions_of(connection, token)
        deliveries, more_deliveries = queries.deliveries_of(connection, row)
        patient = _patient(node, connection, row)
    return node.page(
        request,
        "study.html",
        row=row,
        versions=versions,
        more_versions=more_versions,
        deliveries=deliveries,
        more_deliveries=more_deliveries,
        patient=patient,
        results=_results(node, row),
        pictures=f"/studies/{token}/{row.version}",
    )


def _row(node: Node, token: str, version: int | None) -> Any:
    with node.database.connect() as connection:
        row = queries.find_study(connection, token, version)
    if row is None:
        raise HTTPException(404)
    return row


def _note_look(node: Node, user: User, token: str, version: int, unless_within_s: float = 0.0) -> None:
    """Write a look at a patient's study into the audit trail, before anything of it is shown."""
    now = node.now()
    with writing(node.database) as connection:
        if unless_within_s and queries.has_seen(connection, user.name, token, now - unless_within_s):
            return
        note_act(connection, user.name, "view", token, now, f"version {version}")
    log_event("study viewed", user=user.name, study=token, version=version)


def _patient(node: Node, connection: sa.Connection, row: Any) -> Patient | None:
    return patient_of(node.spool.path(file) for file in queries.files_of(connection, row))


def _results(node: Node, row: Any) -> Results | None:
    """Read a version's results; None where there are none, or none any more."""
    if row.results is None or row.purged is not None:
        return None
    output = node.spool.path(row.results)  # studies/<token>/<version>/out/<try>
    try:
        return results_of(output, output.parent.parent / "in", row.study_instance_uid)
    except ResultsUnreadable:
        return None
