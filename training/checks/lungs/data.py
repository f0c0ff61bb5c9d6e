"""The radiographs with a drawn lung field: which may be learned from, and which are only measured.

The masks are named as the pictures of the COVID-19 image data collection and of the Hannover repository. Many pictures
of the collection must not be used commercially, or must not be derived from: the shipped weights learn from none of
them. They are only measured, and show how the network does on pictures of hospitals that it never saw.

References
----------
V7 Labs 2020 (masks, CC BY 4.0). Cohen et al. 2020. Winther et al. 2020 (Hannover, CC BY 3.0).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, unique
from pathlib import Path, PurePosixPath
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from training.data.readers.covid import one_patient_a_picture
from training.data.readers.tables import read_table
from training.data.splits import Listed, Split, Subset

FREE: Final = frozenset({"CC BY", "CC BY 3.0", "CC BY 4.0"})
"""Licences that let the shipped weights learn from a picture: they ask only for its author's name."""

HANNOVER: Final = "CC BY 3.0"
"""Licence of the whole Hannover repository."""

LATERAL: Final = frozenset({"L", "LATERAL"})

SPLIT: Final = Split.by_hash({Subset.TRAIN: 0.75, Subset.UNSEEN: 0.25}, "lungs-1")
"""Division of the patients whose pictures may be learned from."""


@unique
class Part(Enum):
    """The use of a picture."""

    TRAIN = "train"
    HELD_OUT = "held out"  # free too, and of the same hospitals as the pictures for training
    OTHER = "other licences"  # of other hospitals; measured on, never learnt from


@dataclass(frozen=True, slots=True)
class LungPicture:
    """A radiograph with a drawn lung field.

    Parameters
    ----------
    path
        The picture's file.
    mask
        The mask's name in the archive.
    patient
        The same for all pictures of a patient, whichever table lists them.
    source
        ``"hannover"`` if the Hannover repository holds the picture, else ``"covid"``.
    licence
        As its table states it.
    """

    path: Path
    mask: str
    patient: str
    source: str
    licence: str


def read_lungs(covid: Path, hannover: Path, masks: Path) -> dict[Part, tuple[LungPicture, ...]]:
    """Read the tables, and divide the frontal pictures that have a mask into parts; each picture counts once.

    Parameters
    ----------
    covid, hannover
        Folders with ``metadata.csv`` and ``images/``.
    masks
        ZIP archive of the masks.

    Raises
    ------
    DataError
        A table or the archive cannot be read, or no picture is left to learn from.
    """
    names = mask_names(masks)
    listed = [picture for picture in _listed(covid, hannover) if picture.path.stem in names]
    patients = one_patient_a_picture([(picture.path.stem, picture.patient) for picture in listed])
    once = {picture.path.stem: picture for picture in reversed(listed)}  # the first of twins: Hannover's
    pictures = [
        replace(picture, mask=names[stem], patient=patients[picture.patient]) for stem, picture in sorted(once.items())
    ]
    parts = _divided(pictures)
    if not parts[Part.TRAIN]:
        raise DataError(
            f"{masks} has no mask of a picture that may be learnt from; give the folders that it belongs to"
        )
    return parts


def mask_names(masks: Path) -> dict[str, str]:
    """Return the masks of an archive: for each picture's name without suffix, the name in the archive.

    Raises
    ------
    DataError
        It cannot be read.
    """
    with _opened(masks) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    return {path.stem: str(path) for path in paths}


def _opened(masks: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(masks)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{masks} cannot be read as a ZIP archive ({error}); fetch it again") from error


def _listed(covid: Path, hannover: Path) -> Iterator[LungPicture]:
    for cells in read_table(hannover / "metadata.csv", ("patient_id", "image_id", "projection")):
        path = hannover / "images" / f"{cells['image_id']}.jpg"
        if cells["projection"].strip().upper() not in LATERAL:
            yield LungPicture(path, "", f"hannover {cells['patient_id']}", "hannover", HANNOVER)
    for cells in read_table(covid / "metadata.csv", ("patientid", "image", "view", "license")):
        path = covid / "images" / cells["image"]
        if cells["view"].strip().upper() not in LATERAL:
            yield LungPicture(path, "", f"covid {cells['patientid']}", "covid", cells["license"].strip())


def _divided(pictures: Sequence[LungPicture]) -> dict[Part, tuple[LungPicture, ...]]:
    """Divide by licence and patient; other licences' pictures are left out if their patient is in TRAIN."""
    parts: dict[Part, list[LungPicture]] = {part: [] for part in Part}
    for picture in pictures:
        if picture.licence in FREE:
            learnt = SPLIT.subset(picture.patient, Listed.NOWHERE) is Subset.TRAIN
            parts[Part.TRAIN if learnt else Part.HELD_OUT].append(picture)
    known = {picture.patient for picture in parts[Part.TRAIN]}
    parts[Part.OTHER] = [p for p in pictures if p.licence not in FREE and p.patient not in known]
    return {part: tuple(chosen) for part, chosen in parts.items()}


def read_masks(masks: Path, pictures: Sequence[LungPicture], side: int) -> NDArray[np.float32]:
    """Decode masks and squeeze them to squares, as their pictures are.

    Parameters
    ----------
    masks
        ZIP archive of the masks.
    pictures
        At least one; the result keeps their order.
    side
        Side of the squares in pixels.

    Returns
    -------
    ``(n, side, side)`` float32: the share of each cell that is lung, in [0, 1].

    Raises
    ------
    DataError
        The archive cannot be read or a mask is no picture.
    """
    with _opened(masks) as archive:
        return np.stack([_decoded(archive.read(picture.mask), picture.mask, side) for picture in pictures])


def _decoded(content: bytes, name: str, side: int) -> NDArray[np.float32]:
    drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if drawn is None:
        raise DataError(f"mask {name} cannot be decoded as a picture; fetch the archive again")
    lung = (drawn > 127).astype(np.float32)  # a few have 127 along their edges
    return np.asarray(cv2.resize(lung, (side, side), interpolation=cv2.INTER_AREA), np.float32)
