"""What a proxy in front of the page says of its clients, and whose word is taken for it."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.settings import Web
from gateway.web.access.addresses import Networks
from gateway.web.access.guard import HEADERS

MACHINES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""The routes that answer without the proxy: a supervisor and Prometheus ask on the node's own network."""


class Proxies:
    """Take ``X-Forwarded-For`` and ``X-Forwarded-Proto`` from the proxies of the settings, and from nobody else.

    ``request.state.proxied`` is true for a request that one of them has handed on. With ``behind_proxy``, people reach
    the page through them alone: passwords would go over the network in plain text otherwise.

    Parameters
    ----------
    app
        The application behind it.
    settings
        Of the page.
    """

    def __init__(self, app: ASGIApp, settings: Web) -> None:
        self._plain, self._behind_proxy = app, settings.behind_proxy
        self._proxies = Networks(settings.proxies)
        inner: Any = app
        self._forwarded = ProxyHeadersMiddleware(inner, list(settings.proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] != "http" or not self._behind_proxy:
            await self._plain(scope, receive, send)
            return
        trusted = (scope.get("client") or ("",))[0] in self._proxies
        scope.setdefault("state", {})["proxied"] = trusted
        if trusted:
            forwarded: Any = self._forwarded
            await forwarded(scope, receive, send)
        elif scope["path"] in MACHINES:
            await self._plain(scope, receive, send)
        else:
            words = "The page answers its proxy alone; web.proxies names the addresses that are one."
            await PlainTextResponse(words, 403, HEADERS | {"Connection": "close"})(scope, receive, send)
