"""The reports that nothing was assessed: for a study whose deadline is past, or that cannot be processed at all.

No model has a part in it, and no torch: whatever is broken in the worker, they go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydicom import Dataset

from candor import __version__
from candor.dicom.check.write_checked import write_checked
from candor.dicom.read.file import read_header
from candor.dicom.report.document import build_report
from candor.dicom.shared.file import describe
from candor.settings import Settings as OwnSettings
from candor.settings import load_settings as load_own_settings
from candor.study.case import Case, CaseImage
from candor.study.errors import CandorError, ObjectIncomplete, Refused, ReportError, SettingsError
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.study.reasons import Reason
from candor.study.result_object import ResultObject
from candor.words.texts import Language, Texts, texts_of
from gateway.assess.duplicates import Received, received_files
from gateway.assess.outcome import earlier_reports
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.counters import count
from gateway.store.database import writing
from gateway.store.result_objects import in_spool
from gateway.store.schema import studies
from gateway.store.spool import Spool
from gateway.store.study import Study

_NAMED: Final = 20
"""Images that the report on a study over the limit of images names: the first."""

_DETAILS: Final = {
    # One text for both: the same images give the same report under the same UID.
    Reason.PROCESSING_FAILED: "the study could not be processed, or not in time",
    Reason.TOO_MANY_IMAGES: f"the study has more images than the node assesses; the first {_NAMED} are named here",
    Reason.DAMAGED: "an image of the study was damaged after it was received; the images have to be sent again",
    Reason.UID_REUSED: "a SOP Instance UID of the study names another picture in another study",
}

WHAT_TO_DO: Final = "send the list beside the object to the makers of Candor, upgrade, then replay the study"
"""What an operator does about an object that failed the check; the end of an alarm's text."""

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


def unassessed_reports(
    database: sa.Engine, settings: Settings, spool: Spool, study: Study, reason: Reason = Reason.PROCESSING_FAILED
) -> tuple[ResultObject, ...]:
    """Report that a version of a study was not assessed.

    A file that is not what was received any more has no part in it: what it says of the patient may be wrong.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Where the files are, and the reports go.
    study
        The version.
    reason
        Why. Of a version with more images than ``studies.max_images`` it is always that.

    Returns
    -------
    A report for each distinct profile of the destinations, written into the spool; nothing where none can be made,
    since no file has the identifiers that a report must name, or the files cannot be read or the reports be written.

    Raises
    ------
    ObjectIncomplete
        A report failed the check. It is in the study's quarantine, and counted; no report may go out.
    """
    with database.connect() as connection:
        token, over_limit = connection.execute(sa.select(studies.c.token, studies.c.over_limit).where(study.row)).one()
        files = received_files(connection, study, None if over_limit is None else _NAMED)
        earlier = earlier_reports(connection, study)
    own = _own_settings(settings)
    reason = reason if over_limit is None else Reason.TOO_MANY_IMAGES
    try:
        files = [file for file in files if spool.is_sound(file.file, file.sha256)]
        if not files:
            raise ReportError("the study has no file; a report needs one to refer to")
        images = [_image(f"{number:03d}.dcm", spool.path(file.file), reason) for number, file in enumerate(files, 1)]
        folder = spool.results(token, study.version) / "unassessed"
        case = Case(study.study_instance_uid, images, folder, time_of(files), earlier)
        texts = texts_of(Language(own.language))
        return _write(
            case, settings.profiles or (own.profile,), texts, spool.root, spool.quarantine(token, study.version)
        )
    except ObjectIncomplete as error:
        with writing(database) as connection:
            count(connection, "objects_incomplete_total", kind=error.kind)
        raise
    except (CandorError, OSError):
        return ()


def _own_settings(settings: Settings) -> OwnSettings:
    """Read the application's settings; where they are what is broken, the report goes out with the defaults."""
    try:
        return load_own_settings(Path(settings.work.application))
    except SettingsError:
        log_event(
            "application settings unusable", "warning", reason="the report that nothing was assessed has defaults"
        )
        return OwnSettings()


def _write(
    case: Case, profiles: Sequence[Profile], texts: Texts, root: Path, quarantine: Path
) -> tuple[ResultObject, ...]:
    """Write the reports; profiles for which they come to the same share one.

    Each has a name of its own: one that was made before, of fewer images, may still be on its way.
    """
    case.output.mkdir(mode=0o700, exist_ok=True)
    reports: dict[str, tuple[Dataset, set[str]]] = {}
    for profile in profiles:
        if "sr" in profile.kinds:
            report = build_report(case, NO_MODEL, profile, texts)
            reports.setdefault(report.SOPInstanceUID, (report, set()))[1].add(profile.key)
    written = []
    for uid, (report, keys) in reports.items():
        name = f"{sha256(uid.encode()).hexdigest()[:16]}.dcm"
        write_checked(report, case.output / name, "sr", quarantine)
        written.append(in_spool(describe(report, "sr", name, profiles=keys), case.output, root))
    return tuple(written)


def _image(name: str, path: Path, reason: Reason) -> CaseImage:
    image = CaseImage(name, path)
    try:
        image.header = read_header(path)
    except Refused as refused:
        image.refuse(refused.reason, refused.detail)
    image.refuse(reason, _DETAILS[reason])
    return image
