"""Logging in and out."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.web.access.accounts import TooManyFailures
from gateway.web.access.guard import Cookies, address_of
from gateway.web.context import Form, Node, Viewer


def routes(node: Node) -> APIRouter:
    """Make the routes of the page's own login."""
    router = APIRouter()
    cookies = Cookies(node.settings.web)

    @router.get("/login")
    def login_form(request: Request) -> Response:
        if request.state.user is not None:
            return RedirectResponse("/studies", 303)
        return node.page(request, "login.html", problem="")

    @router.post("/login")
    def login(request: Request, form: Form) -> Response:
        name, password = (
            str(form.get("name", "")),
            str(form.get("password", "")),
        )  # a name that is too long is nobody's, and not cut
        try:
            user = (
                node.logins.check(name, password, address_of(request))
                if node.settings.web.login_header is None
                else None
            )
        except TooManyFailures:
            return node.page(request, "login.html", 429, problem="Too many failed logins. Wait some minutes.")
        if user is None:
            return node.page(request, "login.html", 401, problem="Name or password is wrong.")
        answer = RedirectResponse("/studies", 303)
        age = round(node.settings.web.session_h * 3600)
        answer.headers["Set-Cookie"] = cookies.written(cookies.session_name, node.logins.begin(user), age)
        return answer

    @router.post("/logout")
    def logout(request: Request, form: Form, user: Viewer) -> Response:
        if request.state.session:
            node.logins.end(request.state.session, user)
        answer = RedirectResponse("/login", 303)
        answer.headers["Set-Cookie"] = cookies.written(cookies.session_name, "", 0)
        return answer

    return router
