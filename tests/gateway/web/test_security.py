"""Who gets in, and what nobody gets: closed routes, forms of other sites, paths out of the spool, stored markup."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gateway.store.schema import sessions
from gateway.web.access.accounts import add_user, remove_user, set_password
from gateway.web.access.guard import HEADERS, OPEN
from gateway.web.access.roles import Role
from tests.gateway.conftest import Clock
from tests.gateway.web.node import Page, posted

PASSWORD = "correct horse battery"
VALUES = {"token": "0" * 24, "version": "1", "number": "0", "kind": "image"}


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route, with values for its parameters."""
    for route in every_route(app.routes):
        for method in route.methods:
            yield method, route.path.format(**VALUES)


def every_route(found: Any) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:  # a router that was included as a whole
            yield from every_route(route.original_router.routes)


def test_every_route_refuses_without_a_login(page: Page) -> None:
    client = page.browser(upload=True)
    found = list(routes(client.app))
    assert len(found) >= 20
    for method, path in found:
        answer = client.request(method, path, content=b"", headers={"content-length": "0"})
        if path in OPEN:
            assert answer.status_code in (200, 403), (method, path)
        elif method == "GET" and not path.endswith(".png") and path != "/metrics":
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
        else:
            assert answer.status_code == 401, (method, path)
        assert not page.calls


def test_every_answer_has_the_headers_that_confine_it(page: Page) -> None:
    client = page.browser(Role.OPERATOR, upload=True)
    for path in ("/studies", "/login", "/healthz", "/metrics", "/static/candor.css", "/nowhere", "/studies/x"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    assert "script-src" not in HEADERS["Content-Security-Policy"]
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none'")
    assert "<script" not in client.get("/studies").text


def test_operators_routes_refuse_viewers(page: Page) -> None:
    token = page.add_study()
    viewer = page.browser(Role.VIEWER)
    for path in ("/dead-letter", "/trail", "/mode"):
        assert viewer.get(path).status_code == 403
    for path in ("/dead-letter", "/mode", "/alarms/1"):
        assert posted(viewer, "/studies", path, study=token, version="1", to="", mode="live").status_code == 403
    assert not page.calls
    assert "/dead-letter" not in viewer.get("/studies").text


def test_every_form_needs_the_token_of_our_own_page(page: Page) -> None:
    token = page.add_study()
    client = page.browser(Role.OPERATOR, upload=True)
    fields = {"study": token, "version": "1", "to": "", "mode": "live", "reason": "r", "confirmed": "yes"}
    paths = [path for method, path in routes(client.app) if method == "POST"]
    assert len(paths) == 7
    for path in paths:
        for wrong in ({}, {"token": "0" * 64}, {"token": "é"}):
            assert client.post(path, data=fields | wrong).status_code == 403, path
    assert not page.calls
    assert "mode live" not in [what for _, what, _ in page.trail()]


def test_a_token_of_another_login_is_refused(page: Page) -> None:
    mine, others = page.browser(Role.OPERATOR), page.browser(Role.VIEWER)
    text = others.get("/studies").text
    token = text.partition('name="token" value="')[2][:64]
    assert mine.post("/find", data={"token": token, "uid": "1.2"}).status_code == 403


@pytest.mark.parametrize(("origin", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303)])
def test_requests_of_other_sites_are_refused_by_what_the_browser_says(page: Page, origin: str, status: int) -> None:
    page.add_row("1.2.1")
    client = page.browser(Role.VIEWER)
    client.headers["sec-fetch-site"] = origin
    assert posted(client, "/studies", "/find", uid="1.2.1").status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../../../etc/passwd",
        "/studies/..%2f..%2f..%2fetc%2fpasswd",
        "/studies/%2e%2e/%2e%2e/token.key",
        "/studies/{token}/..%2f..%2f..%2ftoken.key/image/0.png",
        "/studies/{token}/1/image/..%2f..%2f..%2f..%2ftoken.key.png",
        "/studies/{token}/1/..%2fout/0.png",
        "/studies/{token}/-1/image/0.png",
        "/studies/{token}/1/image/-1.png",
        "/studies/{token}/99999999999999999999",
        "/static/..%2fapp.py",
        "/static/../app.py",
        "/trial/..%2f..%2ftoken.key",
        "/trial/" + "0" * 24,
    ],
)
def test_paths_lead_nowhere(page: Page, path: str) -> None:
    token = page.add_study()
    answer = page.browser(Role.OPERATOR, upload=True).get(path.format(token=token))
    assert answer.status_code == 404
    assert "passwd" not in answer.text


@pytest.mark.parametrize("name", ["../../../../token.key", "/etc/hostname", "../in/001.dcm"])
def test_results_that_name_files_elsewhere_show_none(page: Page, name: str) -> None:
    token = page.add_study()
    file = page.spool.folder(token, 1) / "out" / "1" / "results.json"
    file.write_text(file.read_text().replace('"001.dcm"', f'"{name}"').replace('"sc-1.dcm"', f'"{name}"'))
    client = page.browser(Role.VIEWER)
    assert client.get(f"/studies/{token}/1/overlay/0.png").status_code == 404
    assert client.get(f"/studies/{token}/1/image/0.png").status_code == (404 if "in/" not in name else 200)


MARKUP = '<script>alert("x")</script>'


def test_markup_in_a_file_or_from_a_peer_stays_text(page: Page) -> None:
    token = page.add_study(PatientName=f"{MARKUP}^<b>Ann", PatientID="<img src=x onerror=y>", StudyDescription=MARKUP)
    page.add_delivery(token, "pacs", "dead", MARKUP)
    client = page.browser(Role.OPERATOR)
    for path in (f"/studies/{token}", "/studies", "/dead-letter", "/node", "/trail"):
        text = client.get(path).text
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "<b>" not in text
    text = client.get(f"/studies/{token}").text
    assert "&lt;script&gt;alert" in text
    assert "&lt;img src=x onerror=y&gt;" in text
    assert "script" not in text.partition("<title>")[2].partition("</title>")[0]


def test_the_patient_stands_on_the_study_page_alone(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = page.add_study(PatientName="Canary^Tweety", PatientID="CANARY-4711", AccessionNumber="CANARY-ACC")
    client = page.browser(Role.OPERATOR)
    assert "Canary, Tweety" in client.get(f"/studies/{token}").text
    for path in ("/studies", "/node", "/dead-letter", "/trail", "/metrics", "/readyz"):
        assert "canary" not in client.get(path).text.lower()
    client.get(f"/studies/{token}/1/image/0.png")
    said = " ".join(f"{record.getMessage()} {getattr(record, 'facts', '')}" for record in caplog.records)
    assert "study viewed" in said
    assert "canary" not in said.lower()


def test_an_error_quotes_nothing(page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Canary^Tweety")

    monkeypatch.setattr("gateway.web.content.queries.list_studies", fail)
    client = TestClient(page.app(), raise_server_exceptions=False)
    client.cookies.set("candor", page.session(Role.VIEWER))
    answer = client.get("/studies?show=all")
    assert answer.status_code == 500
    assert "Canary" not in answer.text
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    facts = [record.facts for record in caplog.records if record.getMessage() == "page failed"]  # type: ignore[attr-defined]
    assert facts[0]["kind"] == "RuntimeError"
    assert "Canary" not in str(facts)


def log_in(client: TestClient, name: str = "ann", password: str = PASSWORD) -> Any:
    return posted(client, "/login", "/login", name=name, password=password)


def test_login_and_logout(page: Page) -> None:
    add_user(page.database, "ann", Role.VIEWER, PASSWORD)
    client = page.browser()
    assert "Name or password is wrong" in log_in(client, password="wrong horse battery").text
    assert log_in(client, name="nobody").status_code == 401
    answer = log_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Max-Age=28800" in cookie
    assert "ann, viewer" in client.get("/studies").text
    assert client.get("/login").headers["location"] == "/studies"
    token = client.cookies["candor"]
    with page.database.connect() as connection:
        assert token not in str(connection.execute(sa.select(sessions)).all())
    assert posted(client, "/studies", "/logout").headers["location"] == "/login"
    client.cookies.set("candor", token)
    assert client.get("/studies").headers["location"] == "/login"
    assert page.trail() == [("ann", "login", ""), ("ann", "logout", "")]


def test_a_login_ends_with_its_time_its_password_and_its_user(page: Page, clock: Clock) -> None:
    add_user(page.database, "ann", Role.VIEWER, PASSWORD)
    client = page.browser()
    log_in(client)
    clock.pass_s(8 * 3600 + 1)
    assert client.get("/studies").status_code == 303
    log_in(client)
    assert client.get("/studies").status_code == 200
    set_password(page.database, "ann", "another horse battery")
    assert client.get("/studies").status_code == 303
    log_in(client, password="another horse battery")
    assert client.get("/studies").status_code == 200
    remove_user(page.database, "ann")
    assert client.get("/studies").status_code == 303


@pytest.mark.parametrize("web", [{"behind_proxy": True}, {"certificate": "a.pem", "key": "b.pem"}])
def test_cookies_over_tls_are_bound_to_it_and_to_the_host(page: Page, web: dict[str, Any]) -> None:
    cookie = page.browser(**web).get("/login").headers["set-cookie"]
    assert cookie.startswith("__Host-candor_form=")
    assert cookie.endswith("; Secure")
    assert "Secure" not in page.browser().get("/login").headers["set-cookie"]


def test_guessing_a_password_is_slowed_down(page: Page, clock: Clock) -> None:
    add_user(page.database, "ann", Role.VIEWER, PASSWORD)
    client = page.browser()
    for _ in range(8):
        assert log_in(client, password="wrong horse battery").status_code == 401
    assert log_in(client).status_code == 429  # with the right one too
    clock.pass_s(301)
    assert log_in(client).status_code == 303


def test_a_name_that_nobody_has_is_not_logged(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    log_in(page.browser(), name="my-password-by-mistake")
    assert "my-password" not in str([getattr(record, "facts", "") for record in caplog.records])


PROXY = {"behind_proxy": True, "login_header": "X-Remote-User", "operators": ("otto@site",)}


def test_a_proxy_names_the_user(page: Page) -> None:
    page.add_row("1.2.1")
    client = page.browser(**PROXY)
    client.base_url = "https://testserver"  # type: ignore[assignment]
    assert client.get("/studies").status_code == 401
    operator = {"X-Remote-User": "otto@site"}
    client.headers.update(operator)
    text = client.get("/dead-letter").text
    assert "otto@site, operator" in text
    assert "Log out" not in text
    assert posted(client, "/studies", "/find", uid="1.2.1").status_code == 303
    assert client.post("/find", data={"uid": "1.2.1", "token": "0" * 64}).status_code == 403
    client.headers["X-Remote-User"] = "vera@site"
    assert client.get("/dead-letter").status_code == 403
    assert "vera@site, viewer" in client.get("/studies").text


@pytest.mark.parametrize("names", [["otto@site", "vera"], ["<script>"], [""]])
def test_a_header_that_the_proxy_cannot_have_sent_names_nobody(page: Page, names: list[str]) -> None:
    client = page.browser(**PROXY)
    headers = [("X-Remote-User", name) for name in names]
    assert client.get("/studies", headers=headers).status_code == 401


@pytest.mark.parametrize("address", ["192.0.2.9", "::2", "127.0.0.2", "testclient"])
def test_who_is_not_the_proxy_names_nobody(page: Page, address: str) -> None:
    client = page.browser(address=address, **PROXY)
    headers = {"X-Remote-User": "otto@site", "X-Forwarded-For": "127.0.0.1"}
    for path in ("/studies", "/login", "/trail"):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/healthz", headers=headers).status_code == 200


def test_an_address_on_the_list_is_the_proxy(page: Page) -> None:
    headers = {"X-Remote-User": "vera@site"}
    web = PROXY | {"proxies": ("10.0.0.0/8", "2001:db8::/32")}
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8:5::1"):
        assert page.browser(address=address, **web).get("/studies", headers=headers).status_code == 200


def test_without_the_setting_the_header_says_nothing(page: Page) -> None:
    assert page.browser().get("/studies", headers={"X-Remote-User": "otto@site"}).status_code == 303


def test_behind_single_sign_on_no_password_opens(page: Page) -> None:
    add_user(page.database, "ann", Role.OPERATOR, PASSWORD)
    client = page.browser(**PROXY)
    client.base_url = "https://testserver"  # type: ignore[assignment]
    assert "single sign-on" in client.get("/login").text
    client.headers["X-Remote-User"] = "vera@site"
    token = client.get("/studies").text.partition('name="token" value="')[2][:64]
    assert client.post("/login", data={"token": token, "name": "ann", "password": PASSWORD}).status_code == 401


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_metrics_are_read_with_a_name_and_a_password(page: Page) -> None:
    add_user(page.database, "prometheus", Role.VIEWER, PASSWORD)
    client = page.browser()
    assert client.get("/metrics").headers["www-authenticate"].startswith("Basic ")
    assert client.get("/metrics", headers=basic(f"prometheus:{PASSWORD}")).status_code == 200
    for wrong in (
        basic("prometheus:wrong"),
        basic("prometheus"),
        {"Authorization": "Basic §"},
        {"Authorization": "Bearer YTpi"},
    ):
        headers = {name: value.encode("latin-1") for name, value in wrong.items()}
        assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/studies", headers=basic(f"prometheus:{PASSWORD}")).status_code == 303  # metrics alone
    for _ in range(8):
        client.get("/metrics", headers=basic("prometheus:wrong"))
    assert client.get("/metrics", headers=basic(f"prometheus:{PASSWORD}")).status_code == 429


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [("/find", str(65 << 10), 413), ("/trial", str(65 << 20), 413), ("/find", "ten", 411), ("/find", None, 411)],
)
def test_bodies_are_limited_before_they_are_read(page: Page, path: str, length: str | None, status: int) -> None:
    client = page.browser(Role.VIEWER, upload=True)

    def body() -> Iterator[bytes]:
        yield b"x"

    headers = {} if length is None else {"content-length": length}
    assert client.post(path, content=body(), headers=headers).status_code == status


@pytest.mark.parametrize(("path", "role"), [("/login", None), ("/find", Role.VIEWER)])
def test_of_a_body_no_more_is_taken_than_may_be_whatever_its_headers_say(
    page: Page, path: str, role: Role | None
) -> None:
    """A server in front of the application may read lengths otherwise than we do."""
    received = 0
    answer: list[Any] = []
    headers = [(b"host", b"h"), (b"content-length", b"10"), (b"content-type", b"application/x-www-form-urlencoded")]
    if role is not None:
        headers.append((b"cookie", f"candor={page.session(role)}".encode()))
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("192.0.2.1", 1), "server": ("h", 80), "scheme": "http", "state": {}}

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1024
        return {"type": "http.request", "body": b"a" * 1024, "more_body": True}

    async def send(message: Any) -> None:
        answer.append(message)

    asyncio.run(page.app()(scope, receive, send))
    assert answer[0]["status"] == 413
    assert received <= (16 if role is None else 64) * 1024 + 1024


def test_a_file_in_a_field_for_text_is_no_text(page: Page) -> None:
    client = page.browser(Role.VIEWER)
    assert posted(client, "/studies", "/find", uid=("x.txt", b"1.2.1")).status_code == 404


def test_websockets_are_not_answered(page: Page) -> None:
    client = page.browser(Role.VIEWER)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/studies"):
        pass
