"""Equipment and File Meta Information of all result objects, and the writing of their files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, TypedDict

from highdicom import ContributingEquipment
from pydicom import Dataset, dcmwrite
from pydicom.uid import UID

from candor import RESEARCH_USE
from candor.dicom.shared import codes
from candor.dicom.shared.values import plain
from candor.files.durable import whole_file
from candor.study.errors import OutputError
from candor.study.findings import Finding
from candor.study.provenance import APPLICATION_NAME, MANUFACTURER, Provenance, derived_uid
from candor.study.result_object import ObjectKind, ResultObject

_IMPLEMENTATION_CLASS_UID: Final = UID(derived_uid("implementation class"))


class Equipment(TypedDict):
    """The General Equipment attributes (PS3.3 C.7.5.1), as highdicom's constructors name them."""

    manufacturer: str
    manufacturer_model_name: str
    device_serial_number: str
    software_versions: str


def general_equipment(provenance: Provenance) -> Equipment:
    """Return the application as the equipment of an object; the serial number is the start of the bundle's hash."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": APPLICATION_NAME,
        "device_serial_number": provenance.bundle_sha256[:16],
        "software_versions": provenance.software_versions,
    }


def sign(target: Dataset, provenance: Provenance, time: datetime) -> None:
    """Add the application and its model to an object, in its data set and File Meta Information.

    Parameters
    ----------
    target
        The result; changed in place.
    provenance
        The application and its model.
    time
        The job's time, with a time zone; it is written with its offset from UTC.

    References
    ----------
    DICOM PS3.3 C.12.1 (Contributing Equipment Sequence), PS3.10 7.1 (File Meta Information); IHE AIR 6.5.3
    (Processing Equipment with a Device UID that changes with the model).
    """
    equipment = ContributingEquipment(
        purpose_of_reference=codes.PROCESSING_EQUIPMENT,
        contribution_description=plain(f"{provenance.model_name}: {RESEARCH_USE}"),
        **general_equipment(provenance),
    )
    equipment.DeviceUID = provenance.device_uid
    equipment.add_new("ContributionDateTime", "DT", time.strftime("%Y%m%d%H%M%S.%f%z"))
    target.ContributingEquipmentSequence = [equipment]
    target.file_meta.ImplementationClassUID = _IMPLEMENTATION_CLASS_UID
    target.file_meta.ImplementationVersionName = f"CANDOR_{provenance.application_version}"[:16]


def write(dataset: Dataset, path: Path) -> None:
    """Write a DICOM file atomically; the same data set always gives the same bytes.

    Parameters
    ----------
    dataset
        The result, with its File Meta Information.
    path
        The file; its folder exists.

    Raises
    ------
    OutputError
        The folder is missing, full or not writable.

    References
    ----------
    DICOM PS3.10 section 7 (File Format).
    """
    try:
        with whole_file(path) as file:
            dcmwrite(file, dataset, enforce_file_format=True)
    except OSError as error:
        reason = f"cannot write a result into {path.parent}: {error.strerror}"
        raise OutputError(f"{reason}; check its space and its rights") from error


def describe(
    dataset: Dataset,
    kind: ObjectKind,
    file: str,
    *,
    finding: Finding | None = None,
    source: str | None = None,
    profiles: Iterable[str] | None = None,
) -> ResultObject:
    """Return the description of a result object that is in its file.

    Parameters
    ----------
    dataset
        The object; its UIDs are read.
    kind
        One of :data:`candor.study.result_object.KINDS`, or ``NOTE``.
    file
        The file's path below the output folder or the spool, with ``/``.
    finding
        The finding that it is about; None where it is about more than one.
    source
        SOP Instance UID of the image that it is about; None where it is about the study.
    profiles
        Keys of the profiles that it is part of; None where it is the same in all that take its kind.
    """
    return ResultObject(
        kind=kind,
        file=file,
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        finding=finding,
        source=source,
        profiles=None if profiles is None else frozenset(profiles),
    )
