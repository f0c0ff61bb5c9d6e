"""The report that nothing was assessed: for a study whose deadline is past, or that cannot be processed at all.

No model has a part in it, and no torch: whatever is broken in the worker, this report goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from cxr import __version__
from cxr.case import Case, CaseImage, WrittenObject
from cxr.dicom.read import read_header
from cxr.dicom.sr import build_report
from cxr.dicom.write import write
from cxr.errors import CandorError, Refused, ReportError
from cxr.provenance import Provenance
from cxr.reasons import Reason
from gateway.outcome import Made, made
from gateway.schema import studies
from gateway.spool import Spool
from gateway.studies import row_of
from gateway.versions import Received, received_files

_DETAIL: Final = "the study could not be processed, or not in time"
"""One text for both: the same images give the same report under the same UID."""

_NONE: Final = "no model was run"
_NO_HASH: Final = "0" * 64

NO_MODEL: Final = Provenance(
    application_version=__version__,
    model_name=_NONE,
    model_version="0",
    bundle_sha256=_NO_HASH,
    engine="none",
    settings_sha256=_NO_HASH,
    calibration=_NONE,
    gate=_NONE,
)
"""What made such a report."""


def time_of(files: Sequence[Received]) -> datetime:
    """Return the time that results of these files carry: when the last of them came.

    It depends on the files alone, so a second try says the same as the first.
    """
    return datetime.fromtimestamp(int(max(file.received for file in files)), UTC)


def unassessed_report(engine: sa.Engine, spool: Spool, study_instance_uid: str, version: int) -> tuple[Made, ...]:
    """Report that a version of a study was not assessed because processing failed.

    Returns
    -------
    The report, written into the spool; nothing where none can be made, since no file has the identifiers that a
    report must name, or the files cannot be read or the report be written.
    """
    with engine.connect() as connection:
        files = received_files(connection, study_instance_uid, version)
        token = connection.execute(sa.select(studies.c.token).where(row_of(study_instance_uid, version))).scalar_one()
    try:
        return (_write(spool, study_instance_uid, spool.results(token, version) / "unassessed", files),)
    except (CandorError, OSError):
        return ()


def _write(spool: Spool, study_instance_uid: str, folder: Path, files: Sequence[Received]) -> Made:
    if not files:
        raise ReportError("the study has no file; a report needs one to refer to")
    folder.mkdir(mode=0o700, exist_ok=True)
    images = [_image(f"{number:03d}.dcm", spool.path(file.file)) for number, file in enumerate(files, 1)]
    case = Case(study_instance_uid, images, folder, time_of(files))
    report = build_report(case, NO_MODEL)
    path = folder / "report.dcm"
    write(report, path)
    return made(WrittenObject("sr", path.name, str(report.SOPInstanceUID)), path, spool.root)


def _image(name: str, path: Path) -> CaseImage:
    image = CaseImage(name, path)
    try:
        image.header = read_header(path)
    except Refused as refused:
        image.refuse(refused.reason, refused.detail)
    image.refuse(Reason.PROCESSING_FAILED, _DETAIL)
    return image
