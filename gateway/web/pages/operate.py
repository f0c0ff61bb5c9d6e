"""The pages about the node, and the acts of its operators."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from candor.study.errors import CandorError
from gateway.assess.fit import load_fit
from gateway.jobs.lease import live_executors
from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.mode import is_shadow, note_act, set_mode
from gateway.store.schema import alarms
from gateway.store.states import Mode
from gateway.store.study import Study
from gateway.web.content import charts, figures, queries
from gateway.web.content.view import calendar, clock
from gateway.web.context import LARGEST_NUMBER, Form, Node, Number, Operator, field_of

_CONFIRMED: Final = "yes"


def routes(node: Node) -> APIRouter:
    """Make the routes about the node."""
    router = APIRouter()

    @router.get("/node")
    def about(request: Request) -> Response:
        return _about(node, request)

    @router.get("/dead-letter")
    def dead_letter(request: Request, user: Operator) -> Response:
        with node.database.connect() as connection:
            dead, more_dead = queries.dead_deliveries(connection)
            failed, more_failed = queries.failed_studies(connection)
        return node.page(
            request,
            "dead_letter.html",
            dead=dead,
            more_dead=more_dead,
            failed=failed,
            more_failed=more_failed,
            can_replay=node.acts is not None,
        )

    @router.post("/dead-letter")
    def replay(form: Form, user: Operator) -> Response:
        return _replay(node, field_of(form, "study"), field_of(form, "version", 10), field_of(form, "to"), user.name)

    @router.get("/mode")
    def mode(request: Request, user: Operator) -> Response:
        return _mode_page(node, request)

    @router.post("/mode")
    def change_mode(request: Request, form: Form, user: Operator) -> Response:
        fields = (field_of(form, name) for name in ("mode", "reason", "confirmed", "foreign_fit"))
        return _change_mode(node, request, user.name, *fields)

    @router.post("/alarms/{number}")
    def clear(number: Number, form: Form, user: Operator) -> Response:
        return _clear(node, number, user.name)

    @router.get("/trail")
    def trail(request: Request, user: Operator, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> Response:
        with node.database.connect() as connection:
            rows, more = queries.trail(connection, page)
        return node.page(request, "trail.html", rows=rows, more=more, page=page)

    return router


def _about(node: Node, request: Request) -> Response:
    now = node.now()
    with node.database.connect() as connection:
        counts = figures.count_states(connection)
        day = figures.day(connection, now)
        deferrals = figures.deferrals(connection, now)
        health = figures.health(connection, node.settings, now)
        values = figures.value_counts(connection)
        alive = len(connection.execute(live_executors(node.database)).all())
    hours = figures.hour_labels(now, clock)
    return node.page(
        request,
        "node.html",
        counts=counts,
        day=day,
        health=health,
        values=values,
        alive=alive,
        free=node.spool.free_bytes() / 2**30,
        throughput=charts.hours_chart(
            "Studies for each hour of the last day", ("received", "assessed"), (day.received, day.assessed), hours
        ),
        queue=charts.hours_chart("Studies waiting at the end of each hour", ("waiting",), (day.waiting,), hours),
        drift=_drift_chart(node, deferrals, now),
        baseline=deferrals.baseline,
        allowed=node.settings.alarms.deferral_drift,
    )


def _drift_chart(node: Node, deferrals: figures.Deferrals, now: float) -> charts.Chart:
    rules = {}
    if deferrals.baseline is not None:
        share, allowed = deferrals.baseline.share, node.settings.alarms.deferral_drift
        rules = {"baseline": share, "alarm above": share + allowed, "alarm below": share - allowed}
    days = figures.day_labels(now, calendar)
    return charts.share_chart("Share of findings deferred, for each of 28 days", deferrals.shares, days, rules)


def _replay(node: Node, token: str, version: str, destination: str, who: str) -> Response:
    if node.acts is None:
        raise HTTPException(503)
    with node.database.connect() as connection:
        number = int(version) if version.isdecimal() else 0
        row = queries.find_study(connection, token, number) if number <= LARGEST_NUMBER else None
    if row is None:
        raise HTTPException(404)
    if destination:
        node.acts.resend(row.study_instance_uid, destination, who)
    else:
        node.acts.replay_study(Study.of(row), who)
    log_event("replayed", user=who, study=token, version=row.version, what="replay")
    return RedirectResponse("/dead-letter", 303)


def _mode_page(node: Node, request: Request, status_code: int = 200, problem: str = "") -> Response:
    """Show the form; in shadow mode with what speaks against going live with this bundle."""
    foreign = ""
    if is_shadow(node.database):  # the way back never depends on the bundle
        try:
            foreign = load_fit(node.settings).problem
        except CandorError as error:
            problem = problem or str(error)
    values = {"problem": problem, "foreign": foreign, "destinations": node.settings.destinations}
    return node.page(request, "mode.html", status_code, **values)


def _change_mode(
    node: Node, request: Request, who: str, word: str, reason: str, confirmed: str, why_foreign: str
) -> Response:
    problem, foreign_fit = _problem(node, word, reason, confirmed), None
    if not problem and word == Mode.LIVE.value:
        try:
            foreign_fit = load_fit(node.settings).permit(why_foreign)
        except CandorError as error:
            problem = str(error)
    if problem:
        return _mode_page(node, request, 400, problem)
    if set_mode(node.database, Mode(word), who, node.now(), reason, foreign_fit):
        log_event("mode changed", "warning", user=who, what=f"mode {word}")
        if word == Mode.LIVE.value and node.acts is not None:
            node.acts.queue_held()
    return RedirectResponse("/node", 303)


def _problem(node: Node, word: str, reason: str, confirmed: str) -> str:
    """Return why the mode cannot be changed so; "" where it can."""
    if word not in {mode.value for mode in Mode}:
        return "Choose shadow or live."
    if word == Mode.LIVE.value and not node.settings.destinations:
        return "The settings name no destination; results could go nowhere."
    if confirmed != _CONFIRMED:
        return "Confirm the change with the box."
    return "" if reason else "Give the reason; it stands in the audit trail."


def _clear(node: Node, number: int, who: str) -> Response:
    now = node.now()
    still_open = alarms.c.id == number, alarms.c.cleared.is_(None)
    with writing(node.database) as connection:
        row = connection.execute(alarms.select().where(*still_open)).one_or_none()
        if row is None:
            raise HTTPException(404)
        connection.execute(alarms.update().where(*still_open).values(cleared=now))
        note_act(connection, who, "clear alarm", row.subject, now, row.kind)
    log_event("alarm cleared", user=who, kind=row.kind)
    return RedirectResponse("/node", 303)
