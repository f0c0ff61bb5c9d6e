"""What all routes share: the node's parts, and how a page is made of a template."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Path
from jinja2 import Environment
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse

from candor import RESEARCH_USE
from gateway.settings import Settings
from gateway.store.mode import mode_of
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.web.access.accounts import Logins, User
from gateway.web.access.guard import form_token, is_own_form
from gateway.web.actions import Acts
from gateway.web.content import queries
from gateway.web.content.try_picture import Trials
from gateway.web.content.view import environment

LARGEST_NUMBER: Final = 2**31 - 1
"""What a column of numbers holds in PostgreSQL: a larger one in a URL names nothing, and would be an error there."""

Token = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]
Number = Annotated[int, Path(ge=0, le=LARGEST_NUMBER)]


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of the node that the page needs.

    Parameters
    ----------
    now
        Seconds since 1970.
    acts
        What operators can have done again; None where this process cannot.
    trials
        None where the upload form is off.
    """

    settings: Settings
    database: sa.Engine
    spool: Spool
    tokens: Tokens
    now: Callable[[], float]
    logins: Logins
    acts: Acts | None
    trials: Trials | None
    templates: Environment = field(default_factory=environment)

    def page(self, request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Make a page: its template with what stands on every page.

        Parameters
        ----------
        request
            What was asked.
        template
            Its file's name.
        status_code
            Of the answer.
        values
            What the template shows beside that.
        """
        user: User | None = request.state.user
        with self.database.connect() as connection:
            shared = {
                "notice": RESEARCH_USE,
                "user": user,
                "token": form_token(request),
                "mode": mode_of(connection).value,
                "alarms": queries.open_alarms(connection) if user else [],
                "alarm_count": queries.count_open_alarms(connection) if user else 0,
                "now": self.now(),
                "path": request.url.path,
                "own_login": self.settings.web.login_header is None,
                "upload": self.trials is not None,
            }
        return HTMLResponse(self.templates.get_template(template).render(shared | values), status_code)


async def own_form(request: Request) -> AsyncIterator[FormData]:
    """Read a form that our own page has sent; every POST route depends on it.

    Raises
    ------
    HTTPException
        403: it comes from elsewhere. 400: it cannot be read, or did not come to its end.
    """
    files = 0 if request.state.user is None else 1  # nothing that a stranger sends is written to the disk
    try:
        form = await request.form(max_files=files, max_fields=20)
    except ClientDisconnect:
        raise HTTPException(400) from None  # nobody is there to read it
    try:
        if not is_own_form(request, form.get("token")):
            raise HTTPException(403)
        yield form
    finally:
        await form.close()


def operator(request: Request) -> User:
    """Let operators pass.

    Raises
    ------
    HTTPException
        403: the user is none.
    """
    user: User = request.state.user
    if not user.operates:
        raise HTTPException(403)
    return user


def viewer(request: Request) -> User:
    """Return who asks; the guard has let nobody else in."""
    user: User = request.state.user
    return user


def field_of(form: FormData, name: str, longest: int = 200) -> str:
    """Return a text of a form; "" where it is missing or a file.

    Parameters
    ----------
    form
        As it was sent.
    name
        Of the field.
    longest
        Characters; what is beyond them is cut off.
    """
    value = form.get(name, "")
    return value.strip()[:longest] if isinstance(value, str) else ""


Form = Annotated[FormData, Depends(own_form)]
Viewer = Annotated[User, Depends(viewer)]
Operator = Annotated[User, Depends(operator)]
