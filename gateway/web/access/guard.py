"""Let nobody in without a login, and put headers on every answer that confine it.

A route is closed unless it stands in the list of those that are open, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from hashlib import sha256
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.settings import Web
from gateway.web.access.accounts import Logins, TooManyFailures, User, is_name
from gateway.web.access.addresses import block_of
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
LOGIN: Final = "/login"
UPLOAD: Final = "/trial"
LARGEST_LOGIN: Final = 16 << 10
"""Bytes; a name of 64 characters and a password of 1000, as a browser encodes them."""

LARGEST_FORM: Final = 64 << 10
LARGEST_UPLOAD: Final = 64 << 20
_LONGEST_TARGET: Final = 2 << 10
_LARGEST_HEAD: Final = 16 << 10

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_SAFE: Final = ("GET", "HEAD")
_METHODS: Final = (*_SAFE, "POST")
_CLOSE: Final = {"Connection": "close"}
"""On an answer to a request whose body is not read, so that it is not taken for the next request."""


class Guard:
    """Find out who asks, and let nobody else in.

    The user is in ``request.state.user``, None on the open routes; ``request.state.secret`` is what the forms' tokens
    are made with (:func:`form_token`).

    Parameters
    ----------
    app
        The application behind it.
    settings
        Of the page.
    logins
        The page's own logins; metrics are read with a name and a password too (HTTP Basic).
    threads
        For what has to wait for the database.
    """

    def __init__(self, app: ASGIApp, settings: Web, logins: Logins, threads: CapacityLimiter) -> None:
        self._app, self._settings, self._logins, self._threads = app, settings, logins, threads
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
        path = scope["path"]  # and not request.url, into which the Host header goes
        refusal = _head_refused(request)
        user = None
        if refusal is None and path not in OPEN - {LOGIN}:
            try:
                user = await to_thread.run_sync(self._who, request, session, limiter=self._threads)
            except TooManyFailures as error:
                refusal = PlainTextResponse(str(error), 429)
            if refusal is None and user is None and path != LOGIN:
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
                if fresh and path not in OPEN - {LOGIN}:
                    headers.append("Set-Cookie", self._cookies.written(self._cookies.form_name, fresh))
            await send(message)

        await (refusal or self._app)(scope, _bounded(receive, _largest_body(scope)), send_with_headers)

    def _who(self, request: Request, session: str) -> User | None:
        if request.scope["path"] == METRICS and "authorization" in request.headers:
            return self._basic(request)
        if self._settings.login_header is not None:
            return _named_by_proxy(request, self._settings) if getattr(request.state, "proxied", False) else None
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
        path = request.scope["path"]
        if path == METRICS:
            return PlainTextResponse("log in", 401, {"WWW-Authenticate": 'Basic realm="Candor", charset="UTF-8"'})
        if request.method in _SAFE and not path.endswith(".png") and self._settings.login_header is None:
            return RedirectResponse("/login", 303)
        return PlainTextResponse("log in", 401, _CLOSE)


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
        """Write a ``Set-Cookie``.

        Parameters
        ----------
        name
            Of the cookie.
        value
            Without characters that would have to be quoted.
        max_age_s
            Without it the cookie ends with the browser.
        """
        age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{'; Secure' if self._secure else ''}"


def form_token(request: Request) -> str:
    """Make the token that a form of this user carries, so that no other site can send it."""
    user: User | None = request.state.user
    message = f"form:{user.name if user else ''}".encode()
    return hmac.new(request.state.secret.encode(), message, sha256).hexdigest()


def is_own_form(request: Request, token: object) -> bool:
    """Return whether a POST comes from a form of ours: by its token, and by what the browser says of its origin.

    Parameters
    ----------
    request
        The POST.
    token
        What its form has in the field ``token``.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return isinstance(token, str) and hmac.compare_digest(token.encode(), form_token(request).encode())


def address_of(request: Request) -> str:
    """Return the other side's address; "" where it is none, as a proxy may have it."""
    host = request.client.host if request.client else ""
    return host if block_of(host) else ""


def _secret(request: Request, name: str) -> str:
    value = request.cookies.get(name, "")
    return value if _SECRET.fullmatch(value) else ""


def _named_by_proxy(request: Request, settings: Web) -> User | None:
    names = request.headers.getlist(settings.login_header or "")
    if len(names) != 1 or not is_name(names[0]):  # a second one may have slipped past the proxy
        return None
    return User(names[0], Role.OPERATOR if names[0] in settings.operators else Role.VIEWER)


def _head_refused(request: Request) -> Response | None:
    """Refuse a request by its headers, before anything of its body is read.

    A body says with ``Content-Length`` alone how long it is: with ``Transfer-Encoding`` a length that stands beside it
    would count for nothing (RFC 9112 6.1).
    """
    if request.method not in _METHODS:
        return PlainTextResponse("there is nothing like that here", 405, _CLOSE | {"Allow": ", ".join(_METHODS)})
    if len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"]) > _LONGEST_TARGET:
        return PlainTextResponse("the address is too long", 414, _CLOSE)
    if sum(len(name) + len(value) for name, value in request.headers.raw) > _LARGEST_HEAD:
        return PlainTextResponse("the headers are too large", 431, _CLOSE)
    lengths = request.headers.getlist("content-length")
    if "transfer-encoding" in request.headers:
        return PlainTextResponse("send Content-Length and no Transfer-Encoding", 400 if lengths else 411, _CLOSE)
    if not lengths and request.method in _SAFE:
        return None
    if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        return PlainTextResponse("say how long it is", 411, _CLOSE)
    if int(lengths[0][:20]) > _largest_body(request.scope):
        return PlainTextResponse("too large", 413, _CLOSE)
    return None


def _largest_body(scope: Scope) -> int:
    """Return how many bytes the body of a request may have."""
    if scope["method"] in _SAFE:
        return 0
    return {LOGIN: LARGEST_LOGIN, UPLOAD: LARGEST_UPLOAD}.get(scope["path"], LARGEST_FORM)


def _bounded(receive: Receive, most: int) -> Receive:
    """Count what is received of a body, whatever its headers have said.

    Raises
    ------
    HTTPException
        413, from the returned function: there is more than there may be.
    """
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            raise HTTPException(413)
        return message

    return counted
