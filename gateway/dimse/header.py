"""What the receiver has to know of an image: the first attributes of its data set, read within bounds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from candor.dicom.read.file import MALFORMED
from candor.dicom.shared.attributes import is_uid
from candor.files.privacy import name_of
from candor.study.provenance import MANUFACTURER, derived_uid
from gateway.dimse.status import NotTaken, Status

IMPLEMENTATION_CLASS_UID: Final = UID(derived_uid("implementation class"))
IMPLEMENTATION_VERSION_NAME: Final = "CANDOR_GATEWAY"
"""Without a version: the same data set must give the same file, and so the same hash, after an upgrade too."""

_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_OTHERS: Final = ("StudyDate", "Manufacturer", "RequestedProcedurePriority")
_TAGS: Final = [Tag(keyword) for keyword in (*_UIDS, *_OTHERS)]
_LAST: Final = max(_TAGS)

_LONGEST_HEAD: Final = 1 << 20
"""Bytes that are read, not skipped; a data set that hides its UIDs behind more of them is not taken."""

_URGENT: Final = frozenset({"STAT", "HIGH"})
"""Requested Procedure Priority (0040,1003), PS3.4 K.6.1.2.2."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first attributes of an instance.

    Parameters
    ----------
    study_date
        None where it is empty or no date.
    urgent
        Its Requested Procedure Priority is STAT or HIGH.
    ours
        Its Manufacturer is this application.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    study_date: date | None
    urgent: bool
    ours: bool


def read_head(path: Path) -> Head:
    """Read the head of a file that :func:`part_10_header` begins.

    Raises
    ------
    NotTaken
        ``CANNOT_UNDERSTAND``: no data set, or without the UIDs that it must have.
    OSError
        The file cannot be opened.
    """
    with _Bounded(path.open("rb", buffering=0), _LONGEST_HEAD) as file:
        try:
            values = _values(read_partial(file, _is_past_head, specific_tags=list(_TAGS)))
        except MALFORMED as error:
            # Without a cause: the text of pydicom's error may quote a patient's data.
            reason = f"no data set can be read ({name_of(error)})"
            raise NotTaken(Status.CANNOT_UNDERSTAND, reason) from None
    for keyword in _UIDS:
        if not is_uid(values[keyword]):
            raise NotTaken(Status.CANNOT_UNDERSTAND, f"{keyword} is missing or no UID")
    return Head(
        values["SOPClassUID"],
        values["SOPInstanceUID"],
        values["StudyInstanceUID"],
        values["SeriesInstanceUID"],
        _date(values["StudyDate"]),
        values["RequestedProcedurePriority"].upper() in _URGENT,
        values["Manufacturer"].upper() == MANUFACTURER.upper(),
    )


def part_10_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return what stands in a file before the data set as it was received.

    Parameters
    ----------
    sop_class_uid
        SOP Class UID (0008,0016) of the instance.
    sop_instance_uid
        SOP Instance UID (0008,0018) of the instance.
    transfer_syntax_uid
        The transfer syntax that the data set was received in.

    References
    ----------
    DICOM PS3.10 7.1 (preamble and File Meta Information).
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted by pydicom
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    header = DicomBytesIO()
    header.write(bytes(128) + b"DICM")
    write_file_meta_info(header, meta, enforce_standard=False)
    return header.getvalue()


class _Bounded(io.BufferedReader):
    """Reads so many bytes and no more; what is skipped is free."""

    def __init__(self, raw: io.FileIO, most: int) -> None:
        super().__init__(raw)
        self._left = most

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on.

        Raises
        ------
        EOFError
            More than the bound.
        """
        if size is None or size < 0 or size > self._left:
            raise EOFError("the head is longer than it may be")
        self._left -= size
        return super().read(size)


def _is_past_head(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag > _LAST)


def _values(dataset: Dataset) -> dict[str, str]:
    """Read the values as text, "" where one is missing or blank; raises any of ``MALFORMED``."""
    return {keyword: str(dataset.get(keyword) or "").strip(" \0") for keyword in (*_UIDS, *_OTHERS)}


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
