"""``candor.assess``: assess a folder of radiographs from Python, without the MONAI Deploy App SDK.

The operators are those of ``app.py``, which is above the core; this module imports it when ``assess`` is called. This
module and :mod:`candor.__main__` are the only ones of the core that do so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from candor.dicom.read.folder import input_files
from candor.files.shipped import shipped
from candor.run_options import RUNNER_VARIABLE
from candor.settings import Settings, load_settings
from candor.study.errors import CandorError
from candor.study.study_result import StudyResult, study_result


def assess(
    folder: Path | str,
    *,
    bundle: Path | str | None = None,
    settings: Settings | Path | str | None = None,
    output: Path | str | None = None,
) -> tuple[StudyResult, ...]:
    """Assess the chest radiographs of a folder.

    Research use only, not for diagnosis. Each call loads the model, so one folder with many studies is faster than
    many folders.

    Parameters
    ----------
    folder
        Folder with DICOM files of one or more studies, at any depth.
    bundle
        The model bundle, or a folder that holds exactly one; None for the demonstration bundle that ships.
    settings
        The application's settings, or an ``app.yaml`` that holds them; None for the ``app.yaml`` that ships.
    output
        Folder for the result objects and ``results.json``, made where it is missing; None writes nothing.

    Returns
    -------
    One result for each study, in the order of their UIDs. Files without a readable Study Instance UID make one more,
    the first, with "" for its UID: no file is left out.

    Raises
    ------
    CandorError
        The folder, the bundle, the settings or the output cannot be used (:mod:`candor.study.errors`), or the run
        failed midway.
    """
    source, models = Path(folder), Path(bundle or shipped("models"))
    values = settings if isinstance(settings, Settings) else load_settings(Path(settings or shipped("app.yaml")))
    input_files(source)  # an error of the folder is raised before the model is loaded
    with _plain_runner():
        from app import Job, ResidentApplication, Unexpected, prepare_output
    profiles = () if output is None else None
    try:
        with ResidentApplication(models, values, profiles) as application, _folder(output) as target:
            if output is not None:
                prepare_output(target)
            job = Job(source, target, index=output is not None)
            return tuple(study_result(case) for case in application.submit(job).result().cases)
    except (OSError, Unexpected) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CandorError(f"the assessment was not completed: {reason or type(error).__name__}") from error


@contextmanager
def _folder(output: Path | str | None) -> Iterator[Path]:
    """Yield the output folder; where there is none, an empty one that is removed afterwards."""
    if output is not None:
        yield Path(output)
        return
    with TemporaryDirectory() as empty:
        yield Path(empty)


@contextmanager
def _plain_runner() -> Iterator[None]:
    """Select the plain runner while ``app`` is imported, unless the environment names another."""
    chosen = os.environ.get(RUNNER_VARIABLE)
    os.environ[RUNNER_VARIABLE] = chosen or "plain"
    try:
        yield
    finally:
        if chosen is None:
            del os.environ[RUNNER_VARIABLE]
