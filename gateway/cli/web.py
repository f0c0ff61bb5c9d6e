"""The verbs around the page: ``web`` and ``user``."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import socket
import sys
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from gateway.cli.options import with_config
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.logs import configure_logs, log_event
from gateway.settings import Settings, load_settings
from gateway.store.database import open_database
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.web.access.accounts import AccountError, Role, add_user, list_users, remove_user, set_password
from gateway.web.actions import acts_of
from gateway.web.app import create_app

_CONNECTIONS = 64


def add_web(add: AddVerb) -> None:
    """Add the page."""
    with_config(add(_web, "web", "Show the page alone (serve runs everything)."))


def add_user_verb(add: AddVerb) -> None:
    """Add the users of the page."""
    verb = with_config(add(_user, "user", "Make, remove and list the users of the page, or set a password."))
    verb.add_argument("act", choices=("add", "remove", "password", "list"), help="what to do")
    verb.add_argument("name", nargs="?", default="", help="the user; passwords are asked for, or read from a pipe")
    verb.add_argument(
        "--role", choices=[role.value for role in Role], default=Role.VIEWER.value, help="operators replay and go live"
    )


def server(settings: Settings, app: FastAPI) -> uvicorn.Server:
    """Make the server: no log of requests, since URLs and times say who looked at what.

    Raises
    ------
    SettingsError
        The certificate or the key cannot be used.
    """
    web = settings.web
    config = uvicorn.Config(
        app,
        host=web.host,
        port=web.port,
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=web.behind_proxy,
        limit_concurrency=_CONNECTIONS,
        lifespan="off",
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError("web.certificate or web.key cannot be used; name PEM files that belong together") from error
    return uvicorn.Server(config)


def listening(settings: Settings) -> socket.socket:
    """Open the page's port.

    Raises
    ------
    SettingsError
        It cannot be opened.
    """
    address = (settings.web.host, settings.web.port)
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in settings.web.host else socket.AF_INET)
    except OSError as error:
        where = f"{settings.web.host}:{settings.web.port}"
        raise SettingsError(f"web.host and web.port: {where} cannot be used ({error.strerror})") from error


def _web(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    os.umask(0o077)
    configure_logs(settings.log_level, "web")
    engine = open_database(settings.database)
    jobs = Jobs(engine, settings, new_executor_id())
    root = Path(settings.spool)
    acts = acts_of(engine, settings, jobs, time.time)
    page = server(settings, create_app(settings, engine, Spool(root), Tokens(root), time.time, acts))
    with listening(settings) as door:
        log_event("page started")
        asyncio.run(page.serve(sockets=[door]))
    jobs.stop()
    engine.dispose()


def _user(options: argparse.Namespace) -> None:
    engine = open_database(load_settings(options.config).database)
    if options.act == "list":
        for user in list_users(engine):
            print(f"{user.name}\t{user.role.value}")
    elif options.act == "add":
        add_user(engine, options.name, Role(options.role), _password())
    elif options.act == "password":
        set_password(engine, options.name, _password())
    else:
        remove_user(engine, options.name)
    engine.dispose()


def _password() -> str:
    """Ask for a password twice, or read a line from a pipe.

    Raises
    ------
    AccountError
        The two differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise AccountError("the two passwords differ; nothing was changed")
    return password
