"""Read a ``results.json``, and lay it out as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from candor.study.errors import CandorError
from candor.study.findings import finding_named
from candor.study.result import Decision
from candor.study.result_object import NOTE

FILE: Final = "results.json"
KIND_WORDS: Final = {
    "sr": "Report",
    "sc": "Overlay",
    "gsps": "Outlines",
    "pm": "Heatmaps as numbers",
    "ko": "Key objects",
    NOTE: "Rejection note",
}
"""What the page calls the kinds of result objects."""

_ORDER: Final = [decision.value for decision in (Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT)]


class ResultsUnreadable(CandorError):
    """The results of a study are gone, or are not what the application writes."""


class Note(BaseModel):
    """A coded reason, in words."""

    meaning: str
    detail: str = ""


class FindingRow(BaseModel):
    """The answer for one finding on one image."""

    finding: str
    probability: float
    prevalence: float
    decision: str
    reason: Note | None
    region: str
    peak: float

    @property
    def display(self) -> str:
        """The finding's name for people."""
        return finding_named(self.finding).display

    @property
    def times(self) -> float:
        """How many times likelier than its prevalence the finding is."""
        return self.probability / self.prevalence if self.prevalence else inf


class Image(BaseModel):
    """An assessed image."""

    name: str
    sop_instance_uid: str
    findings: list[FindingRow]

    @property
    def ranked(self) -> list[FindingRow]:
        """Present before deferred before absent, then the likeliest against prevalence first."""
        return sorted(self.findings, key=lambda row: (_rank(row.decision), -row.times))


class Object(BaseModel):
    """A result object."""

    kind: str
    file: str
    finding: str | None
    source: str | None

    @property
    def name(self) -> str:
        """What it is, for people."""
        return object_name(self.kind, self.finding)

    @property
    def file_name(self) -> str:
        """The file's name in the study's folder, which is named by its UID: that stays out of the page."""
        return self.file.rpartition("/")[2]


class Study(BaseModel):
    """A study's results."""

    study_instance_uid: str
    disposition: str
    failure: str | None
    images: list[Image]
    objects: list[Object]


class File(BaseModel):
    """What became of one file of the input."""

    name: str
    study_instance_uid: str | None
    outcome: str
    reason: Note | None
    notices: list[Note]


class Model(BaseModel):
    """What made the results."""

    name: str
    version: str
    sha256: str
    engine: str
    calibration: str
    gate: str


class Index(BaseModel):
    """All of ``results.json`` that the page shows."""

    model: Model
    studies: list[Study]
    files: list[File]


@dataclass(frozen=True, slots=True)
class Picture:
    """Something to look at: an image as it came, or one with a finding's heatmap.

    Parameters
    ----------
    kind
        ``"image"`` or ``"overlay"``.
    number
        Its place among the images or the objects of the results, from 0; URLs name it so.
    decision
        Of an overlay's finding; "" for an image.
    """

    kind: str
    number: int
    label: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """The results of one study, with the folders that they lie in.

    Parameters
    ----------
    source
        The folder that the application read.
    output
        The folder that it wrote.
    """

    model: Model
    study: Study
    files: list[File]
    source: Path
    output: Path

    @property
    def pictures(self) -> list[list[Picture]]:
        """What there is to look at, for each assessed image: the image, then its overlays."""
        return [[self._plain(number), *self._overlays(image)] for number, image in enumerate(self.study.images)]

    @property
    def left_out(self) -> list[File]:
        """The files that were not assessed."""
        return [file for file in self.files if file.outcome != "assessed"]

    @property
    def notices(self) -> list[str]:
        """What was noticed about assessed files, each once."""
        notes = [note for file in self.files if file.outcome == "assessed" for note in file.notices]
        return list(dict.fromkeys(f"{note.meaning}: {note.detail}" if note.detail else note.meaning for note in notes))

    def path(self, kind: str, number: int) -> Path:
        """Find the file of a picture.

        Raises
        ------
        ResultsUnreadable
            There is no such picture, or its name leads out of its folder.
        """
        names = [image.name for image in self.study.images]
        folder = self.source
        if kind == "overlay":
            names = [written.file if written.kind == "sc" else "" for written in self.study.objects]
            folder = self.output
        if number >= len(names) or not names[number]:
            raise ResultsUnreadable("the results have no such picture")
        path = folder / names[number]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ResultsUnreadable("a file of the results leads out of their folder")
        return path

    def _plain(self, number: int) -> Picture:
        several = len(self.study.images) > 1
        return Picture("image", number, f"Image {number + 1}" if several else "Image")

    def _overlays(self, image: Image) -> Iterator[Picture]:
        decisions = {row.finding: row.decision for row in image.findings}
        for number, written in enumerate(self.study.objects):
            if written.kind == "sc" and written.finding and written.source == image.sop_instance_uid:
                display = finding_named(written.finding).display
                yield Picture("overlay", number, display, decisions.get(written.finding, ""))


def read_results(output: Path, source: Path, study_instance_uid: str | None = None) -> Results:
    """Read the results of a study.

    Parameters
    ----------
    study_instance_uid
        Which of the studies of the folder; None where it holds one alone.

    Raises
    ------
    ResultsUnreadable
        The file is not there, is not what the application writes, or holds no such study.
    """
    try:
        index = Index.model_validate_json((output / FILE).read_bytes())
    except (OSError, ValidationError):  # without a cause: pydantic's error quotes what it read
        raise ResultsUnreadable("the results are not there any more, or cannot be read") from None
    for study in index.studies:
        if study_instance_uid in (None, study.study_instance_uid):
            files = [file for file in index.files if file.study_instance_uid == study.study_instance_uid]
            return Results(index.model, study, files, source, output)
    raise ResultsUnreadable("the results hold no such study")


def object_name(kind: str, finding: str | None) -> str:
    """Name a result object for people: ``"Overlay: Pleural effusion"``."""
    words = KIND_WORDS.get(kind, kind)
    return f"{words}: {finding_named(finding).display}" if finding else words


def _rank(decision: str) -> int:
    return _ORDER.index(decision) if decision in _ORDER else len(_ORDER)
