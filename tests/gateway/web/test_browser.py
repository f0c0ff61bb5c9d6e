"""The page in a real browser: what a radiographer and an operator do with it, from a terminal's new user on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
from fastapi import FastAPI

from gateway.processes.web import listening, server
from gateway.settings import Settings
from gateway.web.access.accounts import add_user
from gateway.web.access.roles import Role
from tests.factory import chest_like
from tests.gateway.web.node import Page
from tools.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PASSWORD = "correct horse battery"
SHOWN = "[...document.querySelectorAll('.tabs img')].filter(i => i.offsetParent !== null)"


@contextmanager
def served(settings: Settings, app: FastAPI) -> Iterator[str]:
    """Serve the page as the verb does; yields its address."""
    free = settings.model_copy(update={"web": settings.web.model_copy(update={"port": 0})})
    with listening(free) as door:
        page = server(free, app)
        thread = threading.Thread(target=page.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        page.should_exit = True
        thread.join(60)


def log_in(browser: Browser, address: str, name: str) -> None:
    browser.open(f"{address}/studies")
    browser.fill("input[name=name]", name)
    browser.fill("input[name=password]", PASSWORD)
    browser.click_through("main button")


def test_a_radiographer_and_an_operator_at_work(page: Page, tmp_path: Path) -> None:
    add_user(page.database, "otto", Role.OPERATOR, PASSWORD)
    token = page.add_study(PatientName="<script>document.write('owned')</script>^Ann")
    page.add_delivery(token, "pacs", "dead", "refused: not authorized (0x0124)")
    picture = tmp_path / "chest.png"
    cv2.imwrite(str(picture), chest_like() >> 4)
    with served(page.settings, page.app(upload=True)) as address, Browser(tmp_path / "profile") as browser:
        log_in(browser, address, "otto")
        assert "Pleural effusion" in browser.text  # the list

        browser.click_through("td a")
        assert browser.eval("location.pathname") == f"/studies/{token}"
        assert "<script>document.write('owned')</script>" in browser.text
        assert browser.eval("document.title") == "Study · Candor"
        browser.until(f"{SHOWN}.length === 1 && {SHOWN}[0].naturalWidth === 280")  # the image alone
        browser.click(".tabs label:nth-of-type(2)")
        browser.until(f"{SHOWN}.length === 1 && {SHOWN}[0].src.endsWith('overlay/1.png')")
        browser.until(f"{SHOWN}[0].naturalWidth > 300")  # decoded, with its bands

        for width in (390, 800, 1001, 1300, 1440):
            browser.size(width, 844, mobile=width < 500)
            assert browser.eval("document.documentElement.scrollWidth") <= width  # down, never sideways

        browser.open(f"{address}/dead-letter")
        assert "refused: not authorized" in browser.text
        browser.click_through("td button")
        assert [call[0] for call in page.calls] == ["resend"]

        browser.open(f"{address}/trial")
        browser.choose("input[type=file]", picture)
        browser.click_through("main button")
        browser.until("document.querySelectorAll('.findings').length === 1")
        assert "Not a patient's study; never delivered" in browser.text

        browser.click_through("header form button")  # log out
        browser.open(f"{address}/studies/{token}")
        assert browser.eval("location.pathname") == "/login"
