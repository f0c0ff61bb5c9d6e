"""The worker's application: the one module of the gateway that brings torch and the operators with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from app import Job, JobResult, ResidentApplication, quiet_libraries
from candor.model.bundle import find_bundle, load_bundle
from candor.settings import load_settings
from candor.study.case import Case
from candor.study.errors import InputError
from candor.study.provenance import ForeignFit
from candor.study.result_object import Predecessor
from gateway.assess.assessor import ApplicationStopped, Assessed
from gateway.assess.fit import fit_of
from gateway.settings import Settings


class Worker:
    """One resident application, its model loaded once. Use it as a context, and call it as the assessor does.

    Parameters
    ----------
    settings
        The node's; ``work.models`` and ``work.application`` name the model bundle and the application's settings. What
        the destinations take is written; without one, what the application's settings name.
    permission
        Returns the permission to answer by a fit to other patients for a bundle's hash, where there is one: the reports
        name it. None for a worker whose results go nowhere.

    Raises
    ------
    BundleError, SettingsError
        The model bundle or the application's settings cannot be used.
    """

    def __init__(self, settings: Settings, permission: Callable[[str], ForeignFit | None] | None = None) -> None:
        quiet_libraries()
        models = Path(settings.work.models)
        own = load_settings(Path(settings.work.application))
        self.fit = fit_of(load_bundle(find_bundle(models)), own, settings.site)
        self._permission = permission
        self._application = ResidentApplication(models, own, settings.profiles or None)

    def __enter__(self) -> Self:
        self._application.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._application.__exit__(kind, error, trace)

    def __call__(
        self, study_instance_uid: str, source: Path, output: Path, time: datetime, predecessors: tuple[Predecessor, ...]
    ) -> Assessed:
        """Assess a study, for all destinations at once.

        Raises
        ------
        InputError
            No file of the folder is of this study, or none is readable.
        ApplicationStopped
            The graph has ended.
        """
        foreign_fit = self._permission(self.fit.bundle_sha256) if self._permission and self.fit.foreign else None
        try:
            result = self._application.submit(Job(source, output, time, predecessors, foreign_fit)).result()
        except (CancelledError, InterruptedError):
            raise ApplicationStopped("the application has ended") from None
        return self._assessed(_case_of(result, study_instance_uid))

    def _assessed(self, case: Case) -> Assessed:
        labelled = {result.finding for image in case.assessed_images for result in image.results}
        return Assessed(
            disposition=case.disposition,
            findings={
                finding.label: case.decision(finding).value for finding in sorted(labelled, key=lambda f: f.label)
            },
            answer=case.answer,
            written=tuple(case.written),
            bundle_sha256=self.fit.bundle_sha256,
            failure=case.failure,
            incomplete=case.incomplete,
            fit=self.fit,
            foreign_fit=case.foreign_fit,
            refused=tuple((note.reason.code, note.value) for image in case.images if (note := image.refusal)),
            unknown=tuple(
                (note.reason.code, note.value) for image in case.images for note in image.notices if note.value
            ),
        )


def _case_of(result: JobResult, study_instance_uid: str) -> Case:
    for case in result.cases:
        if case.study_instance_uid == study_instance_uid:
            return case
    raise InputError("none of the received files is readable as a file of its study")
