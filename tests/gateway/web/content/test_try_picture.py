"""The upload form: what it takes, what becomes of it, and that nothing of it stays."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from candor.dicom.read.file import read_header, read_pixels
from candor.dicom.read.select import check
from gateway.settings import Work
from gateway.web.access.roles import Role
from gateway.web.content import try_picture as trial
from gateway.web.content.try_picture import TrialRefused, Trials, application
from tests.factory import chest_like, radiograph_dataset
from tests.gateway.conftest import Clock
from tests.gateway.web.node import Page, assess_by_hand, file_bytes, posted


def encoded(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def finished(trials: Trials, name: str) -> str:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("trial"):
            thread.join(60)
    assert not trials.runs(name)
    return name


@pytest.fixture
def trials(tmp_path: Path, clock: Clock) -> Trials:
    return Trials(tmp_path / "trials", assess_by_hand, clock)


@pytest.mark.parametrize(
    ("pixels", "kind", "top"),
    [
        ((chest_like() >> 4).astype(np.uint8), "PNG", 255),
        ((chest_like() << 4).astype(np.uint16), "PNG", 65535),
        ((chest_like(301, 281) >> 4).astype(np.uint8), "JPEG", 255),
        (np.repeat((chest_like() >> 4).astype(np.uint8)[..., None], 3, axis=2), "PNG", 255),
    ],
)
def test_a_picture_becomes_a_radiograph_that_the_application_takes(
    trials: Trials, tmp_path: Path, pixels: np.ndarray[Any, Any], kind: str, top: int
) -> None:
    name = finished(trials, trials.begin(encoded(pixels, kind)))
    path = tmp_path / "trials" / name / "in" / "image.dcm"
    assert check(read_header(path), minimum_side=224) == ()
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    shown = read_pixels(path).radiograph.pixels
    np.testing.assert_allclose(shown, grey / top, atol=0.15 if kind == "JPEG" else 1e-4)
    assert dcmread(path).PatientName == "Trial^Upload"
    assert trials.results(name).study.disposition == "deferred"
    assert (tmp_path / "trials" / name).stat().st_mode & 0o777 == 0o700


def test_a_dicom_file_is_taken_as_it_is(trials: Trials, tmp_path: Path) -> None:
    data = file_bytes(radiograph_dataset(seed="9"), tmp_path / "x.dcm")
    name = finished(trials, trials.begin(data))
    assert (tmp_path / "trials" / name / "in" / "image.dcm").read_bytes() == data


def test_other_files_are_refused(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    png = encoded((chest_like() >> 4).astype(np.uint8))
    gif = encoded((chest_like() >> 4).astype(np.uint8), "GIF")
    for data in (b"", b"hello", gif, png[:100], png[:-3000]):
        with pytest.raises(TrialRefused, match="neither DICOM, PNG nor JPEG"):
            trials.begin(data)
    monkeypatch.setattr(trial, "_MOST_PIXELS", 1000)
    with pytest.raises(TrialRefused, match="more pixels"):
        trials.begin(png)


def test_one_trial_at_a_time(tmp_path: Path, clock: Clock) -> None:
    go_on = threading.Event()
    trials = Trials(tmp_path / "trials", lambda source, output: go_on.wait(60) and None, clock)
    png = encoded((chest_like() >> 4).astype(np.uint8))
    name = trials.begin(png)
    assert trials.runs(name)
    with pytest.raises(TrialRefused, match="another trial is running"):
        trials.begin(png)
    go_on.set()
    finished(trials, name)
    finished(trials, trials.begin(png))


def test_trials_are_deleted_after_an_hour(trials: Trials, tmp_path: Path, clock: Clock) -> None:
    png = encoded((chest_like() >> 4).astype(np.uint8))
    first = finished(trials, trials.begin(png))
    clock.time = (tmp_path / "trials" / first).stat().st_mtime + 3700
    second = finished(trials, trials.begin(png))
    assert not trials.is_there(first)
    assert trials.is_there(second)
    assert not trials.is_there("../" + second)
    clock.pass_s(7300)
    Trials(tmp_path / "trials", assess_by_hand, clock)  # a new life of the page
    assert not trials.is_there(second)


def test_trials_are_deleted_without_another_visit(
    trials: Trials, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[tuple[float, Callable[[], None]]] = []

    class Timer:
        """Kept, to be run by hand."""

        def __init__(self, interval: float, function: Callable[[], None]) -> None:
            self._made = (interval, function)

        def start(self) -> None:
            later.append(self._made)

    monkeypatch.setattr(threading, "Timer", Timer)
    name = finished(trials, trials.begin(encoded((chest_like() >> 4).astype(np.uint8))))
    ((interval, forget),) = later
    assert interval == trial.LASTS_S
    assert trials.is_there(name)
    clock.time = (tmp_path / "trials").stat().st_mtime + interval + 60
    forget()
    assert not trials.is_there(name)


def test_the_application_runs_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text("import pathlib, sys; pathlib.Path('argv').write_text(' '.join(sys.argv[1:]))")
    monkeypatch.chdir(tmp_path)
    application(Work(models="m", application="a.yaml"))(Path("in put"), Path("out"))
    assert (tmp_path / "argv").read_text() == "-i in put -o out -m m -c a.yaml"


def test_an_application_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('part').write_text(str(os.getpid()))\n"
        "pathlib.Path('part').rename('running')\n"
        "time.sleep(3600)"
    )
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen[bytes]] = []

    class Process(subprocess.Popen[bytes]):
        """Its time is up as soon as the application runs."""

        def wait(self, timeout: float | None = None) -> int:
            if timeout is None:
                return super().wait(60)  # no longer, so that the test fails where nothing ends the application
            assert timeout == trial._TIMEOUT_S
            started.append(self)
            give_up = time.monotonic() + 60
            while not Path("running").exists():
                assert time.monotonic() < give_up
                time.sleep(0.01)
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess, "Popen", Process)
    try:
        application(Work())(Path("in"), Path("out"))
        (process,) = started
        assert process.returncode == -signal.SIGKILL
        assert process.pid == int(Path("running").read_text()), (
            "the application itself is killed, not a shell before it"
        )
    finally:
        for process in started:
            process.kill()


def test_the_form_is_off_unless_it_is_switched_on(page: Page) -> None:
    client = page.browser(Role.VIEWER)
    assert client.get("/trial").status_code == 404
    assert "Try it" not in client.get("/studies").text
    assert "Try it" in page.browser(Role.VIEWER, upload=True).get("/studies").text


def test_the_form_and_its_page(page: Page) -> None:
    client = page.browser(Role.VIEWER, upload=True)
    assert "Not for patients" in client.get("/trial").text
    answer = posted(client, "/trial", "/trial", picture=("x.png", b"no picture"))
    assert answer.status_code == 400
    assert "This is neither DICOM, PNG nor JPEG" in answer.text
    assert posted(client, "/trial", "/trial").status_code == 400
    png = encoded((chest_like() >> 4).astype(np.uint8))
    where = posted(client, "/trial", "/trial", picture=("../../x.png", png)).headers["location"]
    for thread in threading.enumerate():
        if thread.name.startswith("trial"):
            thread.join(60)
    text = client.get(where).text
    assert "never delivered" in text
    assert "Trial" in text
    assert client.get(f"{where}/overlay/1.png").headers["content-type"] == "image/png"
    assert client.get(f"{where}/overlay/9.png").status_code == 404
    assert ("vera", "trial", where.removeprefix("/trial/")) in page.trail()
    results = next((page.spool.root / "trials").glob("*/out/results.json"))
    results.unlink()
    assert "There is no result" in client.get(where).text
    assert client.get(f"{where}/image/0.png").status_code == 404


def test_the_page_needs_no_torch() -> None:
    code = "import sys, gateway.processes.web; print('torch' in sys.modules or 'holoscan' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
