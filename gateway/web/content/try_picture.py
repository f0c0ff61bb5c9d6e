"""Try the model on one picture that somebody uploads: for a demonstration, never for a patient.

The application runs once, in a process and a folder of its own, and knows neither the tables nor a destination: what
comes of a trial cannot be delivered. Its files are gone after an hour.
"""

from __future__ import annotations

import io
import re
import secrets
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from candor.study.errors import CandorError
from candor.study.provenance import derived_uid
from gateway.settings import Work
from gateway.web.content.results import Results, results_of

LASTS_S: Final = 3600.0
_TIMEOUT_S: Final = 300.0
_MOST_PIXELS: Final = 64_000_000
_NAME: Final = re.compile(r"[0-9a-f]{24}")
_STACK_KIB: Final = 32768
"""The application's graph wants a larger stack than shells give (holoscan says so at its start)."""

RunApplication = Callable[[Path, Path], None]
"""Input folder, output folder; whether there are results is seen in the output folder."""


class TrialRefused(CandorError):
    """A trial cannot be made with this file, or not now."""


class Trials:
    """Keep trials, one running at a time.

    Parameters
    ----------
    folder
        Where they lie; made where it is missing.
    run
        Runs the application over a folder.
    now
        Seconds since 1970.
    """

    def __init__(self, folder: Path, run: RunApplication, now: Callable[[], float]) -> None:
        self._folder, self._run, self._now = folder, run, now
        self._busy = threading.Lock()
        self._running = ""
        self._forget()  # what an earlier life of the page has left

    def begin(self, data: bytes) -> str:
        """Begin a trial in the background; returns its name for URLs.

        Raises
        ------
        TrialRefused
            The file is neither DICOM, PNG nor JPEG, or another trial runs.
        """
        self._forget()
        name = secrets.token_hex(12)
        content = data if _is_dicom(data) else _as_dicom(data, name, self._now())
        if not self._busy.acquire(blocking=False):
            raise TrialRefused("another trial is running; try again in a minute")
        self._running = name
        source, output = self._folder / name / "in", self._folder / name / "out"
        for folder in (self._folder, source.parent, source, output):
            folder.mkdir(mode=0o700, exist_ok=True)
        (source / "image.dcm").write_bytes(content)
        threading.Thread(target=self._finish, args=(source, output), name=f"trial {name}", daemon=True).start()
        return name

    def runs(self, name: str) -> bool:
        """Whether a trial is still being worked on."""
        return self._running == name

    def results(self, name: str) -> Results:
        """Return the results of a trial.

        Raises
        ------
        ResultsUnreadable
            It has none.
        """
        return results_of(self._folder / name / "out", self._folder / name / "in")

    def is_there(self, name: str) -> bool:
        """Whether there is such a trial."""
        return _NAME.fullmatch(name) is not None and (self._folder / name).is_dir()

    def _finish(self, source: Path, output: Path) -> None:
        try:
            self._run(source, output)
        finally:
            self._running = ""
            self._busy.release()
            later = threading.Timer(LASTS_S, self._forget)
            later.daemon = True
            later.start()

    def _forget(self) -> None:
        """Delete the trials of more than an hour ago."""
        for path in self._folder.glob("*"):
            if path.name != self._running and path.stat().st_mtime < self._now() - LASTS_S:
                shutil.rmtree(path, ignore_errors=True)


def application(work: Work) -> RunApplication:
    """Run the application as a process of its own: the page's own process needs no torch."""

    def run(source: Path, output: Path) -> None:
        options = ["-i", source, "-o", output, "-m", work.models, "-c", work.application]
        command = [sys.executable, "-m", "app", *map(str, options)]
        shell = f'ulimit -s {_STACK_KIB}; exec "$@"'  # a stack that the system does not grant is no reason to stop
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, module and folders
            ["/bin/sh", "-c", shell, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    return run


def _is_dicom(data: bytes) -> bool:
    """PS3.10 7.1: a preamble of 128 bytes, then ``DICM``."""
    return data[128:132] == b"DICM"


def _as_dicom(data: bytes, name: str, now: float) -> bytes:
    """Wrap a grey picture as a frontal chest radiograph, which is what somebody who tries the model says that it is."""
    pixels = _grey(data)
    time = datetime.fromtimestamp(now, UTC)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, derived_uid("trial", keyword, name))
    dataset.PatientName, dataset.PatientID = "Trial^Upload", f"TRIAL-{name}"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyID = ""
    dataset.StudyDate = dataset.ContentDate = time.strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = time.strftime("%H%M%S")
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.Rows, dataset.Columns = pixels.shape
    bits = 8 * pixels.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = str(1 << bits - 1), str(1 << bits)  # the whole range, as it was seen
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _grey(data: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8 | np.uint16]]:
    """Decode a PNG or JPEG as grey: ``(rows, columns)`` uint8, or uint16 where it has that depth.

    Raises
    ------
    TrialRefused
        It is no such picture, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise TrialRefused("the picture has more pixels than a radiograph; make it smaller")
                if picture.mode.startswith("I"):
                    return np.asarray(picture).astype(np.uint16)
                return np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TrialRefused("this is neither DICOM, PNG nor JPEG, or it is damaged; choose another file") from None
