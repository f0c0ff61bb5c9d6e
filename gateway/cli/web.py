"""The verbs around the page: ``web`` and ``user``."""

from __future__ import annotations

import argparse
import getpass
import sys

from candor.command_line import AddVerb
from gateway.cli.options import with_config
from gateway.web.access.roles import Role


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


def _web(options: argparse.Namespace) -> None:
    from gateway.processes.web import run_web
    from gateway.settings import load_settings

    run_web(load_settings(options.config))


def _user(options: argparse.Namespace) -> None:
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.web.access.accounts import add_user, list_users, remove_user, set_password

    with opened_database(load_settings(options.config)) as database:
        if options.act == "list":
            for user in list_users(database):
                print(f"{user.name}\t{user.role.value}")
        elif options.act == "add":
            add_user(database, options.name, Role(options.role), _password())
        elif options.act == "password":
            set_password(database, options.name, _password())
        else:
            remove_user(database, options.name)


def _password() -> str:
    """Ask for a password twice, or read a line from a pipe.

    Raises
    ------
    AccountError
        The two differ.
    """
    from gateway.web.access.accounts import AccountError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise AccountError("the two passwords differ; nothing was changed")
    return password
