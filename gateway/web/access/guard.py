"""What stands before every route: no login, no answer; and what stands on every answer: headers that confine it.

A route is closed unless it stands in the list of those that are open, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from hashlib import sha256
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.settings import Web
from gateway.web.access.accounts import Logins, TooManyFailures, User, is_name
from gateway.web.access.roles import Role

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""On every answer. No script runs, whatever a file or a peer has smuggled into a page."""

OPEN: Final = frozenset({"/login", "/healthz", "/readyz", "/static/candor.css"})
"""The routes that answer without a login; none says anything about a study."""

METRICS: Final = "/metrics"
LARGEST_FORM: Final = 64 << 10
LARGEST_UPLOAD: Final = 64 << 20
UPLOAD: Final = "/trial"

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_SAFE: Final = ("GET", "HEAD")


class Guard:
    """Find out who asks, and let nobody else in.

    The user is in ``request.state.user``, None on the open routes; ``request.state.secret`` is what the forms' tokens
    are made with (:func:`form_token`).

    Parameters
    ----------
    settings
        Of the page.
    logins
        The page's own logins; metrics are read with a name and a password too (HTTP Basic).
    """

    def __init__(self, app: ASGIApp, settings: Web, logins: Logins) -> None:
        self._app, self._settings, self._logins = app, settings, logins
        self._cookies = Cookies(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive), scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # there are none here

    async def _http(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        session, secret = self._cookies.session(request), self._cookies.form(request)
        refusal = _body_refused(request)
        user = None
        if refusal is None:
            try:
                user = await run_in_threadpool(self._who, request, session)
            except TooManyFailures as error:
                refusal = PlainTextResponse(str(error), 429)
        if refusal is None and user is None and request.url.path not in OPEN:
            refusal = self._sent_away(request)
        fresh = "" if secret else secrets.token_urlsafe(32)
        request.state.user = user
        request.state.session = session
        request.state.secret = session if user and session else secret or fresh

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if fresh and request.url.path not in OPEN - {"/login"}:
                    headers.append("Set-Cookie", self._cookies.written(self._cookies.form_name, fresh))
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _who(self, request: Request, session: str) -> User | None:
        if request.url.path == METRICS and "authorization" in request.headers:
            return self._basic(request)
        if self._settings.login_header is not None:
            return _named_by_proxy(request, self._settings)
        return self._logins.user_of(session) if session else None

    def _basic(self, request: Request) -> User | None:
        """Read RFC 7617's name and password, which Prometheus sends."""
        kind, _, encoded = request.headers["authorization"].partition(" ")
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:  # neither base64 nor UTF-8
            return None
        if kind.lower() != "basic" or not colon:
            return None
        return self._logins.check(name, password, address_of(request))

    def _sent_away(self, request: Request) -> Response:
        path = request.url.path
        if path == METRICS:
            return PlainTextResponse("log in", 401, {"WWW-Authenticate": 'Basic realm="Candor", charset="UTF-8"'})
        if request.method in _SAFE and not path.endswith(".png") and self._settings.login_header is None:
            return RedirectResponse("/login", 303)
        return PlainTextResponse("log in", 401)


class Cookies:
    """Names and attributes of the page's two cookies: the login's, and the one that forms are signed with.

    Over TLS, the prefix ``__Host-`` keeps other hosts of the same domain from setting them (RFC 6265bis 4.1.3.2).
    """

    def __init__(self, settings: Web) -> None:
        self._secure = settings.certificate is not None or settings.behind_proxy
        prefix = "__Host-" if self._secure else ""
        self.session_name, self.form_name = f"{prefix}candor", f"{prefix}candor_form"

    def session(self, request: Request) -> str:
        """Return the login's token; "" where there is none."""
        return _secret(request, self.session_name)

    def form(self, request: Request) -> str:
        """Return the secret of the forms of somebody without a login of ours; "" where there is none."""
        return _secret(request, self.form_name)

    def written(self, name: str, value: str, max_age_s: int | None = None) -> str:
        """Write a ``Set-Cookie``; without an age the cookie ends with the browser."""
        age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{'; Secure' if self._secure else ''}"


def form_token(request: Request) -> str:
    """Make the token that a form of this user carries, so that no other site can send it."""
    user: User | None = request.state.user
    message = f"form:{user.name if user else ''}".encode()
    return hmac.new(request.state.secret.encode(), message, sha256).hexdigest()


def is_own_form(request: Request, token: object) -> bool:
    """Tell whether a POST comes from a form of ours: by its token, and by what the browser says of its origin."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return isinstance(token, str) and hmac.compare_digest(token.encode(), form_token(request).encode())


def address_of(request: Request) -> str:
    """Return the other side's address."""
    return request.client.host if request.client else ""


def _secret(request: Request, name: str) -> str:
    value = request.cookies.get(name, "")
    return value if _SECRET.fullmatch(value) else ""


def _named_by_proxy(request: Request, settings: Web) -> User | None:
    names = request.headers.getlist(settings.login_header or "")
    if len(names) != 1 or not is_name(names[0]):  # a second one may have slipped past the proxy
        return None
    return User(names[0], Role.OPERATOR if names[0] in settings.operators else Role.VIEWER)


def _body_refused(request: Request) -> Response | None:
    """Refuse a body that is too large or does not say how large it is, before anything of it is read."""
    if request.method in _SAFE:
        return None
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return PlainTextResponse("say how long it is", 411)
    largest = LARGEST_UPLOAD if request.url.path == UPLOAD else LARGEST_FORM
    return PlainTextResponse("too large", 413) if int(length) > largest else None
