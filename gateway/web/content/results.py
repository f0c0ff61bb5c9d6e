"""Lay a ``results.json`` out as the page shows it; :mod:`candor.words.results_json` reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from candor.study.errors import CandorError, DataError
from candor.study.findings import finding_named
from candor.study.result import Decision
from candor.study.result_object import NOTE
from candor.words.results_json import (
    FILE_NAME,
    FileEntry,
    FindingEntry,
    ImageEntry,
    ModelEntry,
    StudyEntry,
    read_results,
)

KIND_WORDS: Final = {
    "sr": "Report",
    "sc": "Overlay",
    "gsps": "Outlines",
    "pm": "Heatmaps as numbers",
    "ko": "Key objects",
    NOTE: "Rejection note",
}
"""What the page calls the kinds of result objects."""

MOST_IMAGES: Final = 20
"""Images of a study that a page shows, each with its overlays and its findings."""

MOST_LINES: Final = 100
"""Lines of a list about files or objects."""

_ORDER: Final = [decision.value for decision in (Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT)]


class ResultsUnreadable(CandorError):
    """The results of a study are gone, or are not what the application writes."""


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

    model: ModelEntry
    study: StudyEntry
    files: list[FileEntry]
    source: Path
    output: Path

    @property
    def images(self) -> list[ImageEntry]:
        """The assessed images that a page shows: the first ones of very many."""
        return self.study.images[:MOST_IMAGES]

    @property
    def pictures(self) -> list[list[Picture]]:
        """What there is to look at, for each image that is shown: the image, then its overlays."""
        overlays = self._overlays()
        return [
            [self._plain(number), *overlays.get(image.sop_instance_uid, ())] for number, image in enumerate(self.images)
        ]

    @property
    def left_out(self) -> list[FileEntry]:
        """The files that were not assessed."""
        return [file for file in self.files if file.outcome != "assessed"]

    @property
    def notices(self) -> list[str]:
        """What was noticed about assessed files, each once."""
        notes = [note for file in self.files if file.outcome == "assessed" for note in file.notices]
        return list(dict.fromkeys(f"{note.meaning}: {note.detail}" if note.detail else note.meaning for note in notes))

    def path(self, kind: str, number: int) -> Path:
        """Find the file of a picture.

        Parameters
        ----------
        kind
            ``"image"`` or ``"overlay"``.
        number
            Its place among them, from 0.

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

    def _overlays(self) -> dict[str, list[Picture]]:
        """Return the overlays of the images that are shown, by SOP Instance UID."""
        decisions = {i.sop_instance_uid: {row.finding: row.decision for row in i.findings} for i in self.images}
        found: dict[str, list[Picture]] = {}
        for number, written in enumerate(self.study.objects):
            if written.kind == "sc" and written.finding and written.source in decisions:
                decision = decisions[written.source].get(written.finding, "")
                picture = Picture("overlay", number, finding_name(written.finding), decision)
                found.setdefault(written.source, []).append(picture)
        return found


def results_of(output: Path, source: Path, study_instance_uid: str | None = None) -> Results:
    """Read the results of a study.

    Parameters
    ----------
    output
        The folder that the application wrote.
    source
        The folder that it read.
    study_instance_uid
        Which of the studies of the folder; None where it holds one alone.

    Raises
    ------
    ResultsUnreadable
        The file is not there, is not what the application writes, or holds no such study.
    """
    try:
        index = read_results(output / FILE_NAME)
    except DataError:
        raise ResultsUnreadable("the results are not there any more, or cannot be read") from None
    for study in index.studies:
        if study_instance_uid in (None, study.study_instance_uid):
            files = [file for file in index.files if file.study_instance_uid == study.study_instance_uid]
            return Results(index.model, study, files, source, output)
    raise ResultsUnreadable("the results hold no such study")


def ranked(answers: Iterable[FindingEntry]) -> list[FindingEntry]:
    """Order answers: present before deferred before absent, then the likeliest against its prevalence first."""
    return sorted(answers, key=lambda answer: (_rank(answer.decision), -_times(answer)))


def object_name(kind: str, finding: str | None) -> str:
    """Name a result object for people: ``"Overlay: Pleural effusion"``.

    Parameters
    ----------
    kind
        Of the object.
    finding
        The label of the finding that it is about; None for more than one.
    """
    words = KIND_WORDS.get(kind, kind)
    return f"{words}: {finding_name(finding)}" if finding else words


def finding_name(label: str) -> str:
    """Name a finding for people, by its label."""
    return finding_named(label).display


def file_name(file: str) -> str:
    """Name a file without its folder, which is named by the study's UID: that stays out of the page."""
    return file.rpartition("/")[2]


def _rank(decision: str) -> int:
    return _ORDER.index(decision) if decision in _ORDER else len(_ORDER)


def _times(answer: FindingEntry) -> float:
    """Return how many times likelier than its prevalence a finding is."""
    return answer.probability / answer.prevalence if answer.prevalence else inf
