"""The verbs ``web`` and ``user``, as a person at a terminal has them."""

from __future__ import annotations

import argparse
import io
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway.cli.web import add_user_verb, add_web
from gateway.settings import load_settings
from gateway.store.database import open_database
from gateway.web.access.accounts import AccountError, Logins, User, list_users
from gateway.web.access.roles import Role
from tests.gateway.conftest import Clock
from tools.small_pacs import free_port

PASSWORD = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text("database: sqlite:///gateway.db\nspool: spool\n")
    return path


def run(*words: str) -> None:
    """Parse and run a verb, as ``python -m gateway`` does."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)

    def add(act: object, name: str, text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(verb=act)
        return verb

    add_web(add)
    add_user_verb(add)
    options = parser.parse_args(words)
    options.verb(options)


def user(config: Path, *words: str, typed: str = PASSWORD, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    run("user", *words, "--config", str(config))


def test_users_are_made_listed_changed_and_removed(
    config: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user(config, "add", "ann", monkeypatch=monkeypatch)
    user(config, "add", "otto", "--role", "operator", monkeypatch=monkeypatch)
    user(config, "list", monkeypatch=monkeypatch)
    assert capsys.readouterr().out == "ann\tviewer\notto\toperator\n"
    database = open_database(load_settings(config).database)
    logins = Logins(database, clock, 60)
    assert logins.check("otto", PASSWORD, "") == User("otto", Role.OPERATOR)
    user(config, "password", "otto", typed="another horse battery", monkeypatch=monkeypatch)
    assert logins.check("otto", PASSWORD, "") is None
    assert logins.check("otto", "another horse battery", "") is not None
    assert logins.check("otto", "x" * 2000, "") is None
    with database.connect() as connection:
        stored = connection.exec_driver_sql("SELECT password_hash FROM users").scalars().all()
    assert all(hash_.startswith("$argon2id$") for hash_ in stored)
    user(config, "remove", "otto", monkeypatch=monkeypatch)
    assert list_users(database) == [User("ann", Role.VIEWER)]
    database.dispose()


@pytest.mark.parametrize(
    ("words", "typed", "problem"),
    [
        (("add", "ann"), "short", "at least 12 characters"),
        (("add", "<b>"), PASSWORD, "letters, digits"),
        (("add",), PASSWORD, "letters, digits"),
        (("password", "nobody"), PASSWORD, "no user 'nobody'"),
        (("remove", "nobody"), PASSWORD, "no user 'nobody'"),
        (("add", "there"), PASSWORD, "already"),
    ],
)
def test_what_cannot_be_is_said(
    config: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], typed: str, problem: str
) -> None:
    if words[-1] == "there":
        user(config, "add", "there", monkeypatch=monkeypatch)
    with pytest.raises(AccountError, match=problem):
        user(config, *words, typed=typed, monkeypatch=monkeypatch)


def test_at_a_terminal_the_password_is_asked_for_twice(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter([PASSWORD, "something else", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    with pytest.raises(AccountError, match="differ"):
        run("user", "add", "ann", "--config", str(config))
    run("user", "add", "ann", "--config", str(config))


def test_the_verb_serves_and_ends_with_a_signal(config: Path) -> None:
    port, health_port = free_port(), free_port()
    config.write_text(config.read_text() + f"web: {{port: {port}, health_port: {health_port}}}\n")
    code = "import sys; from tests.gateway.cli.test_web import run; run(*sys.argv[1:])"
    command = [sys.executable, "-c", code, "web", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["event"] == "page started"
            assert _answer(f"http://127.0.0.1:{port}/readyz") == {"ready": True}
            assert _answer(f"http://127.0.0.1:{health_port}/readyz") == {"ready": True}
        finally:
            process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 0
    assert all(json.loads(line)["event"] for line in rest.splitlines())  # no request is logged, nor anything but ours
    assert (config.parent / "spool").stat().st_mode & 0o77 == 0


@pytest.mark.usefixtures("process_state")
def test_the_verb_opens_what_it_needs_and_closes_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    masks: list[int] = []
    monkeypatch.setattr("gateway.processes.start.configure_logs", lambda level, process: said.append((level, process)))
    monkeypatch.setattr("gateway.processes.start.os.umask", masks.append)
    monkeypatch.setattr("gateway.processes.web.asyncio.run", lambda serving: serving.close())
    port, health_port = free_port(), free_port()
    config.write_text(config.read_text() + f"web: {{port: {port}, health_port: {health_port}}}\n")
    run("web", "--config", str(config))
    assert said == [("info", "web")]
    assert masks == [0o077]
    for free in (port, health_port):
        socket.create_server(("127.0.0.1", free)).close()  # free again


def _answer(url: str) -> object:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("the page does not answer")
