"""Who may see the page: users with their passwords and roles, and the logins that are under way."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from candor.study.errors import CandorError
from gateway.logs import log_event
from gateway.store.database import upsert, writing
from gateway.store.mode import note_act
from gateway.store.schema import sessions, users
from gateway.web.access.roles import Role
from gateway.web.access.throttle import Throttle

SHORTEST_PASSWORD: Final = 12
"""Characters; NIST SP 800-63B asks for length, and for no rules about kinds of characters."""

_LONGEST_PASSWORD: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_hasher: Final = PasswordHasher()  # argon2id with the parameters of RFC 9106, second recommended option
_one_at_a_time: Final = threading.Lock()  # each hash takes 64 MiB


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is logged in."""

    name: str
    role: Role

    @property
    def operates(self) -> bool:
        """Whether the user is an operator."""
        return self.role is Role.OPERATOR


class AccountError(CandorError):
    """A user cannot be made or changed as asked."""


class TooManyFailures(CandorError):
    """There were so many wrong passwords that the next try has to wait."""


def is_name(name: str) -> bool:
    """Return whether a user may have this name: letters, digits, ``. _ @ -``, up to 64."""
    return _NAME.fullmatch(name) is not None


def add_user(database: sa.Engine, name: str, role: Role, password: str) -> None:
    """Make a user.

    Parameters
    ----------
    database
        The node's database.
    name
        Of the user.
    role
        What the user may do.
    password
        In plain text; its argon2id hash alone is kept.

    Raises
    ------
    AccountError
        The name cannot be one or is taken, or the password is too short.
    """
    if not is_name(name):
        raise AccountError("a user's name has letters, digits and . _ @ -, 64 at most; choose another")
    row = {"name": name, "password_hash": _hashed(password), "role": role.value}
    with writing(database) as connection:
        if not connection.execute(upsert(database, users, row)).rowcount:
            raise AccountError(f"there is a user {name!r} already; remove it first, or set its password")


def set_password(database: sa.Engine, name: str, password: str) -> None:
    """Give a user a new password, and end the logins that the old one began.

    Parameters
    ----------
    database
        The node's database.
    name
        Of the user.
    password
        In plain text; its argon2id hash alone is kept.

    Raises
    ------
    AccountError
        There is no such user, or the password is too short.
    """
    values = {"password_hash": _hashed(password)}
    with writing(database) as connection:
        if not connection.execute(users.update().where(users.c.name == name).values(values)).rowcount:
            raise AccountError(f"there is no user {name!r}; `user list` names them")
        connection.execute(sessions.delete().where(sessions.c.name == name))


def remove_user(database: sa.Engine, name: str) -> None:
    """Remove a user, and end all logins of that name.

    Parameters
    ----------
    database
        The node's database.
    name
        The user's.

    Raises
    ------
    AccountError
        There is no such user.
    """
    with writing(database) as connection:
        connection.execute(sessions.delete().where(sessions.c.name == name))
        if not connection.execute(users.delete().where(users.c.name == name)).rowcount:
            raise AccountError(f"there is no user {name!r}; `user list` names them")


def list_users(database: sa.Engine) -> list[User]:
    """List the users by name."""
    with database.connect() as connection:
        rows = connection.execute(sa.select(users.c.name, users.c.role).order_by(users.c.name)).all()
    return [User(row.name, Role(row.role)) for row in rows]


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise AccountError(f"a password has at least {SHORTEST_PASSWORD} characters; choose a longer one")
    with _one_at_a_time:
        return _hasher.hash(password)


class Logins:
    """Check passwords, and keep the logins in the table as hashes of what the browser's cookie holds.

    Parameters
    ----------
    database
        The node's database.
    now
        Seconds since 1970.
    session_s
        How long a login lasts.
    """

    def __init__(self, database: sa.Engine, now: Callable[[], float], session_s: float) -> None:
        self._database, self._now, self._session_s = database, now, session_s
        self._throttle = Throttle(now)

    def check(self, name: str, password: str, address: str) -> User | None:
        """Check a name and a password; None where they are wrong, after as long as where they are right.

        Parameters
        ----------
        name
            As it was typed.
        password
            As it was typed.
        address
            The other side's; "" where it is not known.

        Raises
        ------
        TooManyFailures
            Of late for this name from this address, or from everywhere; nothing was checked.
        """
        name = name if is_name(name) else ""
        with self._throttle.try_once(name, address) as made:
            if made is None:
                raise TooManyFailures("too many failed logins; wait some minutes")
            with self._database.connect() as connection:
                row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
            right = _matches(row.password_hash if row else None, password)
            if row is None or not right:
                # A name that nobody has is not written down: it may be a password in the wrong field.
                log_event("login failed", "warning", user=row.name if row else "unknown", peer=address)
                return None
            made.succeeded = True
            return User(row.name, Role(row.role))

    def begin(self, user: User) -> str:
        """Begin a login; returns what the cookie is to hold, which is kept nowhere."""
        token, now = secrets.token_urlsafe(32), self._now()
        row = {"token_sha256": _sha256(token), "name": user.name, "role": user.role.value}
        with writing(self._database) as connection:
            connection.execute(sessions.delete().where(sessions.c.expires <= now))
            connection.execute(sessions.insert().values(**row, expires=now + self._session_s))
            note_act(connection, user.name, "login", "", now)
        return token

    def user_of(self, token: str) -> User | None:
        """Return whose login a cookie's value is; None where it is nobody's, is over, or its user is gone."""
        query = (
            sa.select(users.c.name, users.c.role)
            .join(sessions, sessions.c.name == users.c.name)
            .where(sessions.c.token_sha256 == _sha256(token), sessions.c.expires > self._now())
        )
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        return User(row.name, Role(row.role)) if row else None

    def end(self, token: str, user: User) -> None:
        """End a login.

        Parameters
        ----------
        token
            What the cookie holds.
        user
            Whose login it is, for the audit trail.
        """
        with writing(self._database) as connection:
            connection.execute(sessions.delete().where(sessions.c.token_sha256 == _sha256(token)))
            note_act(connection, user.name, "logout", "", self._now())


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Hash a password that nobody has, to take as long over a name that nobody has."""
    return _hasher.hash(secrets.token_hex())


def _sha256(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _matches(password_hash: str | None, password: str) -> bool:
    if len(password) > _LONGEST_PASSWORD:
        return False
    with _one_at_a_time:
        try:
            return _hasher.verify(password_hash or _nobodys_hash(), password)
        except VerificationError:
            return False
