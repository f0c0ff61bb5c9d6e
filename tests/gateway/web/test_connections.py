"""The page on the wire: a real server, and strangers who connect and say nothing, little, slowly, or too much."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.processes.web import Beside, listening, listening_for_health, serve, server
from gateway.settings import Settings
from gateway.web.access import connections
from gateway.web.access.accounts import add_user
from gateway.web.access.connections import Door
from gateway.web.access.roles import Role
from gateway.web.app import create_health_app
from tests.gateway.web.node import Page

PATIENCE_S = 600.0
PASSWORD = "correct horse battery"
HEALTH = ("/healthz", "/readyz")


@dataclass
class Served:
    """A page that is being served, with its two ports."""

    port: int
    health: int
    door: Door


@contextmanager
def served(page: Page, **web: Any) -> Iterator[Served]:
    """Serve the page and its health port as the process does."""
    web |= {"port": 0, "health_port": 0}
    settings: Settings = page.settings.model_copy(update={"web": page.settings.web.model_copy(update=web)})
    app = page.app(**web)
    with listening(settings) as door, listening_for_health(settings) as health_door:
        main, beside = server(settings, app, Beside), server(settings, create_health_app(app), Beside)
        thread = threading.Thread(target=asyncio.run, args=(serve(main, door, beside, health_door),), daemon=True)
        thread.start()
        yield Served(door.getsockname()[1], health_door.getsockname()[1], door)
        main.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def dial(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source, 0))


def rest(connection: socket.socket) -> bytes:
    """Everything that comes until the other side hangs up."""
    got = b""
    try:
        while data := connection.recv(65536):
            got += data
    except ConnectionError:
        pass
    return got


def asked(port: int, request: bytes, source: str = "127.0.0.1") -> bytes:
    """Send bytes; returns all that comes until the other side hangs up."""
    with dial(port, source) as connection:
        connection.sendall(request)
        return rest(connection)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", "Connection: close", *headers, "", ""]).encode()


def health_answers(node: Served) -> None:
    for path in HEALTH:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.health}{path}", timeout=PATIENCE_S) as answer:
            assert json.load(answer) in ({"alive": True}, {"ready": True})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody take longer than a moment."""
    for name in ("HEAD_S", "BODY_S", "WRITE_S"):
        monkeypatch.setattr(connections, name, 0.5)


CHUNKED = "Transfer-Encoding: chunked"
MULTIPART = "Content-Type: multipart/form-data; boundary=x"


@pytest.mark.parametrize("path", ["/login", "/find", "/trial", "/healthz", "/nowhere"])
@pytest.mark.parametrize(("length", "said"), [("Content-Length: 10", 400), (None, 411)])
def test_a_chunked_body_of_a_stranger_is_refused_and_not_kept(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, length: str | None, said: int
) -> None:
    spooled = tmp_path / "spooled"
    spooled.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spooled))
    kept: list[int] = []
    real = tempfile.SpooledTemporaryFile.rollover
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda file: (kept.append(1), real(file))[1])
    lines = [f"POST {path} HTTP/1.1", "Host: h", CHUNKED, MULTIPART, *([length] if length else []), "", ""]
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"a" * (1 << 20))
    with served(page, upload=True) as node, dial(node.port) as connection:
        try:
            connection.sendall("\r\n".join(lines).encode() + b"%x\r\n%s\r\n" % (len(part), part))
            for _ in range(16):
                connection.sendall(chunk)
        except ConnectionError:
            pass  # it was not listened to
        assert status(rest(connection)) == said
    assert not kept
    assert not list(spooled.iterdir())


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("GET /studies HTTP/1.1\r\nHost: h\r\nContent-Length: 5", 413),
        ("GET /studies HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked", 411),
        ("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 16385", 413),
        ("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6", 400),
        ("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: -5", 400),
        ("POST /login HTTP/1.1\r\nHost: h", 411),
        ("POST /find HTTP/1.1\r\nHost: h\r\nContent-Length: 60000", 401),
        ("TRACE /login HTTP/1.1\r\nHost: h", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: h", 405),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h", 405),
        ("PUT /studies HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000", 405),
        ("HEAD /login HTTP/1.1\r\nHost: h\r\nConnection: close", 405),
        ("GET /login HTTP/1.0", 200),
        ("GET /studies HTTP/1.0", 303),
        ("GET /login HTTP/1.1\r\nConnection: close", 400),
        ("GET /studies HTTP/1.1\r\nHost: h/login?\r\nConnection: close", 303),
        ("GET /studies HTTP/1.1\r\nHost: h/login#\r\nConnection: close", 303),
        ("GET http://h/login HTTP/1.1\r\nHost: h\r\nConnection: close", 303),
        ("GET /stu%0Adies/../login HTTP/1.1\r\nHost: h\r\nConnection: close", 303),
        ("GET /login?" + "a" * 3000 + " HTTP/1.1\r\nHost: h", 414),
        ("GET /" + "a" * 300_000 + " HTTP/1.1\r\nHost: h", 400),
        ("GET /login HTTP/1.1\r\nHost: h\r\nX: " + "a" * 16_000 + "\r\nY: " + "b" * 1000, 431),
        ("GET /login HTTP/1.1\r\nHost: h" + "\r\nX: a" * 100_000, 400),
    ],
)
def test_a_stranger_gets_an_answer_by_the_headers_and_is_hung_up_on(page: Page, head: str, said: int) -> None:
    with served(page) as node, dial(node.port) as connection:
        with suppress(ConnectionError):  # it may be hung up on before the end
            connection.sendall(head.encode() + b"\r\n\r\n")
        assert status(rest(connection)) in {said, 400 if len(head) > 16_000 else said}


def test_of_a_body_nothing_is_asked_for_before_the_login_is_known(page: Page) -> None:
    head = b"POST /find HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with served(page) as node:
        assert asked(node.port, head).startswith(b"HTTP/1.1 401")  # and not: 100 Continue


def test_a_strangers_form_takes_no_file(page: Page) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n--x--\r\n'
    head = f"POST /login HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n"
    with served(page) as node:
        assert status(asked(node.port, head.encode() + body)) == 400


@pytest.mark.parametrize("begun", [b"", b"GET /studies HTTP/1.1\r\nHost", b"\x16\x03\x01"])
def test_idle_connections_of_one_address_keep_nobody_else_out(page: Page, begun: bytes) -> None:
    with served(page) as node, ExitStack() as stay:
        for _ in range(200):
            idle = stay.enter_context(dial(node.port))
            with suppress(ConnectionError):  # one of those that were hung up on
                idle.sendall(begun)
        health_answers(node)
        assert status(asked(node.port, get("/login"), "127.0.0.2")) == 200
        assert status(asked(node.port, get("/healthz"), "127.0.0.2")) == 200
        assert node.door.limits.open["127.0.0.1"] <= 32


def test_idle_connections_of_many_addresses_take_nothing_from_health(page: Page) -> None:
    with served(page) as node, ExitStack() as stay:
        for number in range(400):
            stay.enter_context(dial(node.port, f"127.0.1.{number // 20 + 1}"))
        health_answers(node)
        assert node.door.limits.open.total() <= 256


def test_the_health_port_has_its_own_limit_by_address(page: Page) -> None:
    with served(page) as node, ExitStack() as stay:
        for _ in range(100):
            stay.enter_context(dial(node.health, "127.0.0.2"))
        health_answers(node)


def test_the_health_port_shows_no_page(page: Page) -> None:
    add_user(page.database, "prometheus", Role.VIEWER, PASSWORD)
    with served(page) as node:
        for path in ("/login", "/studies", "/node", "/static/candor.css"):
            assert status(asked(node.health, get(path))) in (303, 404), path
        cookie = f"Cookie: candor={page.session(Role.OPERATOR)}"
        assert status(asked(node.health, get("/studies", cookie))) == 404
        assert status(asked(node.health, get("/metrics"))) == 401
        basic = "Authorization: Basic cHJvbWV0aGV1czpjb3JyZWN0IGhvcnNlIGJhdHRlcnk="
        assert b"candor_alarms_open" in asked(node.health, get("/metrics", basic))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: h\r\nX: ",
        b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 1000\r\n\r\na",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /login HTTP/1.1\r\nX:",
    ],
)
def test_who_drips_is_hung_up_on(page: Page, begun: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with served(page) as node, dial(node.port) as slow:
        slow.sendall(begun)
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.05):
                try:
                    slow.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        if begun:
            thread.start()
        assert status(rest(slow)) in (0, 200)  # not before we are hung up on
        over.set()
        if begun:
            thread.join(PATIENCE_S)
        health_answers(node)
    assert "page failed" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_who_does_not_take_the_answer_is_hung_up_on(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page.app

    def with_much(**web: Any) -> Any:
        made = app(**web)

        async def much(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(64 << 20)})

        class Much:
            state = made.state

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                await much(scope, receive, send)

        return Much()

    monkeypatch.setattr(page, "app", with_much)
    with served(page) as node, dial(node.port) as deaf:
        deaf.sendall(get("/"))
        deaf.recv(1)  # it has begun
        gone = threading.Event()
        while node.door.limits.open.total():
            assert not gone.wait(0.05)
        assert len(rest(deaf)) < 64 << 20


def test_a_tls_handshake_that_does_not_begin_counts_too(page: Page, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=h", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with served(page, certificate=str(certificate), key=str(key)) as node, ExitStack() as stay:
        for _ in range(200):
            stay.enter_context(dial(node.port))
        for port in (node.port, node.health):
            with context.wrap_socket(dial(port, "127.0.0.2")) as safe:
                safe.sendall(get("/healthz"))
                assert status(rest(safe)) == 200


def test_what_is_closed_is_forgotten(page: Page) -> None:
    with served(page) as node:
        for _ in range(3):
            with ExitStack() as stay:
                for _ in range(40):
                    stay.enter_context(dial(node.port))
            pause = threading.Event()
            while node.door.limits.open.total():
                pause.wait(0.05)
        assert status(asked(node.port, get("/login"))) == 200


PROXY = {"behind_proxy": True, "login_header": "X-Remote-User", "operators": ("otto",), "proxies": ("127.0.0.2",)}


def test_the_header_of_single_sign_on_is_believed_from_the_proxy_alone(page: Page) -> None:
    with served(page, **PROXY) as node:
        named = get("/studies", "X-Remote-User: otto", "X-Forwarded-For: 192.0.2.1")
        assert status(asked(node.port, named, "127.0.0.2")) == 200
        assert status(asked(node.port, named, "127.0.0.1")) == 403
        forged = get("/studies", "X-Remote-User: otto", "X-Forwarded-For: 127.0.0.2")
        assert status(asked(node.port, forged, "127.0.0.1")) == 403
        for port in (node.port, node.health):
            metrics = get("/metrics", "X-Remote-User: otto")
            assert status(asked(port, metrics, "127.0.0.1")) == 401
        assert status(asked(node.port, get("/healthz"), "127.0.0.1")) == 200


def test_a_proxy_is_not_limited_as_one_address(page: Page) -> None:
    with served(page, **PROXY) as node, ExitStack() as stay:
        for _ in range(100):
            stay.enter_context(dial(node.port, "127.0.0.2"))
        assert status(asked(node.port, get("/login"), "127.0.0.2")) == 200


def test_guesses_through_a_proxy_are_counted_by_the_address_that_it_names(page: Page) -> None:
    add_user(page.database, "ann", Role.VIEWER, PASSWORD)
    web = {"behind_proxy": True, "proxies": ("127.0.0.2",)}

    def log_in(node: Served, client: str, password: str) -> int:
        """Log in as ann from an address."""
        through = (f"X-Forwarded-For: 203.0.113.9, {client}", "X-Forwarded-Proto: https")
        form = asked(node.port, get("/login", *through), "127.0.0.2").decode()
        token, secret = re.search(r'name="token" value="(\w+)"', form), re.search("candor_form=([^;]+)", form)
        assert token is not None
        assert secret is not None
        body = f"token={token[1]}&name=ann&password={password.replace(' ', '+')}"
        lines = ["POST /login HTTP/1.1", "Host: h", "Connection: close", *through]
        lines += [f"Cookie: __Host-candor_form={secret[1]}", "Content-Type: application/x-www-form-urlencoded"]
        lines += [f"Content-Length: {len(body)}", "", body]
        return status(asked(node.port, "\r\n".join(lines).encode(), "127.0.0.2"))

    with served(page, **web) as node:
        for _ in range(8):
            assert log_in(node, "192.0.2.1", "wrong horse battery") == 401
        assert log_in(node, "192.0.2.1", PASSWORD) == 429
        assert log_in(node, "192.0.2.2", PASSWORD) == 303
