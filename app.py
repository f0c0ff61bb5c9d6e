"""Candor CXR as a MONAI Deploy application: the operators in the order in which a study passes them.

``python app.py -i IN -o OUT -m MODELS`` runs once over a folder. :class:`ResidentApplication` keeps the model loaded.
Research use only, not for diagnosis.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Any, NoReturn

from candor import RESEARCH_USE, __version__
from candor.decide.calibration import Calibration
from candor.decide.gate import Gate
from candor.dicom.read.folder import input_files
from candor.files.privacy import Unexpected, cause_of
from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.model.engine import open_engine
from candor.model.outputs import Engine
from candor.picture.lungs import LungField
from candor.picture.orientation import load_orientation_check
from candor.picture.shortcut import Auditor
from candor.run_options import run_parser
from candor.settings import Settings, load_settings
from candor.study.errors import CandorError, InputError
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.words.texts import Language, texts_of
from operators.answer.calibrator import Calibrator
from operators.answer.classifier import Classifier
from operators.answer.deferral_gate import DeferralGate
from operators.answer.explainer import Explainer
from operators.answer.familiarity_check import FamiliarityCheck
from operators.answer.preprocessor import Preprocessor
from operators.answer.shortcut_check import ShortcutCheck
from operators.answer.study_answerer import StudyAnswerer
from operators.graph.base import CASE, CaseOperator
from operators.graph.jobs import Job, JobQueue, JobResult
from operators.graph.publish import prepare_output
from operators.graph.sdk import Application, GreedyScheduler, quiet_libraries
from operators.read.image_reader import ImageReader
from operators.read.image_selector import ImageSelector
from operators.read.quality_check import QualityCheck
from operators.read.study_loader import StudyLoader
from operators.write.key_object_writer import KeyObjectWriter
from operators.write.overlay_writer import OverlayWriter
from operators.write.parametric_map_writer import ParametricMapWriter
from operators.write.presentation_state_writer import PresentationStateWriter
from operators.write.result_sink import ResultSink
from operators.write.sr_writer import SRWriter

__all__ = [
    "Job",
    "JobResult",
    "ResidentApplication",
    "Unexpected",
    "main",
    "prepare_output",
    "quiet_libraries",
    "run",
]
"""The names that the node's worker, the MAP's entry and the core's commands use; they import no operator."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2


class ChestXrayApp(Application):
    """One linear path: a study passes every operator, even where its images are refused.

    Parameters
    ----------
    jobs
        The queue that the first operator takes jobs from.
    bundle
        The model bundle.
    engine
        Runs the bundle's network.
    settings
        The application's settings.
    profiles
        The profiles of all receivers; None for that of the settings.
    """

    def __init__(
        self,
        jobs: JobQueue,
        bundle: Bundle,
        engine: Engine,
        settings: Settings,
        profiles: Sequence[Profile] | None = None,
    ) -> None:
        self._profiles = (settings.profile,) if profiles is None else tuple(profiles)
        self._jobs = jobs
        self._bundle = bundle
        self._engine = engine
        self._settings = settings
        super().__init__()
        self.scheduler(GreedyScheduler(self, name="scheduler"))

    def compose(self) -> None:
        """Construct the operators and connect them in the order in which a study passes them."""
        bundle, settings = self._bundle, self._settings
        calibration, gate = effective_calibration(bundle, settings), effective_gate(bundle, settings)
        provenance = provenance_of(bundle, self._engine, settings)
        lungs, texts = LungField(), texts_of(Language(settings.language))
        writing: dict[str, Any] = {"provenance": provenance, "profiles": self._profiles, "texts": texts}
        path: list[CaseOperator] = [
            ImageSelector(self, name="select", minimum_side=bundle.input.side, words=settings.words.table),
            ImageReader(self, name="read"),
            QualityCheck(self, name="check quality", orientation=load_orientation_check(), policy=settings.policy),
            Preprocessor(self, name="preprocess", spec=bundle.input),
            Classifier(self, name="classify", engine=self._engine, images_per_batch=settings.images_per_batch),
            FamiliarityCheck(self, name="check familiarity", familiarity=bundle.familiarity, policy=settings.policy),
            Explainer(self, name="explain"),
            Calibrator(self, name="calibrate", calibration=calibration),
            ShortcutCheck(
                self,
                name="check shortcuts",
                engine=self._engine,
                images_per_batch=settings.images_per_batch,
                auditor=Auditor(bundle.input, lungs, calibration),
                gate=gate,
                calibration=calibration,
                limit=settings.shortcut_limit,
                policy=settings.policy,
            ),
            DeferralGate(
                self,
                name="gate",
                gate=gate,
                calibration=calibration,
                learned_gate=bundle.learned_gate,
                percentiles=bundle.percentiles,
                lungs=lungs,
            ),
            StudyAnswerer(self, name="answer study", model=bundle.study_answer, max_missed=settings.rule_out_missed),
            OverlayWriter(self, name="write overlays", max_overlays=settings.max_overlays, **writing),
            PresentationStateWriter(self, name="write outlines", **writing),
            ParametricMapWriter(self, name="write heatmaps", **writing),
            SRWriter(self, name="write report", **writing),
            KeyObjectWriter(self, name="write key objects", **writing),
        ]
        source = StudyLoader(self, name="load", jobs=self._jobs)
        sink = ResultSink(self, name="publish", jobs=self._jobs, provenance=provenance)
        stages = [source, *path, sink]
        for before, after in pairwise(stages):
            self.add_flow(before, after, {(CASE, CASE)})


def effective_calibration(bundle: Bundle, settings: Settings) -> Calibration:
    """Return the bundle's calibration, at the site's own prevalence where it is set.

    Parameters
    ----------
    bundle
        The model bundle.
    settings
        The application's settings, with the site's prevalence.
    """
    return bundle.calibration.at_prevalence(settings.prevalences)


def effective_gate(bundle: Bundle, settings: Settings) -> Gate:
    """Return the bundle's gate at the site's own prevalence, with costs instead of thresholds where the site sets them.

    Parameters
    ----------
    bundle
        The model bundle.
    settings
        The application's settings, with the site's prevalence and costs.
    """
    calibration = effective_calibration(bundle, settings)
    shifts = {finding: calibration.maps[finding].shift - m.shift for finding, m in bundle.calibration.maps.items()}
    return bundle.gate.at_prevalence(shifts).with_costs(settings.cost_table)


def provenance_of(bundle: Bundle, engine: Engine, settings: Settings) -> Provenance:
    """Return the provenance of the results of a run.

    Parameters
    ----------
    bundle
        The model bundle.
    engine
        The engine that runs its network.
    settings
        The application's settings.

    Raises
    ------
    SettingsError
        The bundle was not fitted to the promise that the settings name.
    """
    study = bundle.study_answer
    return Provenance(
        application_version=__version__,
        model_name=bundle.name,
        model_version=bundle.version,
        bundle_sha256=bundle.sha256,
        engine=engine.name,
        settings_sha256=settings.sha256,
        calibration=effective_calibration(bundle, settings).description,
        gate=effective_gate(bundle, settings).description,
        familiarity=bundle.familiarity.description if bundle.familiarity else None,
        study_answer=study.describe(settings.rule_out_missed) if study else None,
    )


class ResidentApplication:
    """The application with its model loaded once, which runs jobs one after another.

    Use it as a context manager; its end stops the graph after the current study.

    Parameters
    ----------
    models
        The bundle, or a folder that holds exactly one.
    settings
        The application's settings.
    profiles
        The profiles of the receivers; None for that of the settings.

    Raises
    ------
    BundleError
        The model bundle cannot be used.
    SettingsError
        The settings do not fit the bundle.
    """

    def __init__(self, models: Path, settings: Settings, profiles: Sequence[Profile] | None = None) -> None:
        bundle = load_bundle(find_bundle(models))
        engine = open_engine(bundle, settings.engine)
        provenance_of(bundle, engine, settings)  # the graph hides the error of a setting that does not fit
        self._jobs = JobQueue()
        self._app = ChestXrayApp(self._jobs, bundle, engine, settings, profiles)

    def __enter__(self) -> ResidentApplication:
        self._run = self._app.run_async()
        self._run.add_done_callback(lambda _: self._jobs.abandon())  # so that no caller waits for ever
        self._wait_until_it_runs()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.close()
        self._run.result()

    def _wait_until_it_runs(self) -> None:
        """Run a job over an empty folder, which is answered at once when the graph is running.

        Until then holoscan may still replace signal handlers.
        """
        with TemporaryDirectory() as empty, suppress(InputError):
            self.submit(Job(Path(empty), Path(empty))).result()

    def submit(self, job: Job) -> Future[JobResult]:
        """Queue a job, whose output folder exists, and return its future result.

        The future's exception is a :class:`candor.study.errors.CandorError` where the job cannot be done, and an
        ``OSError`` where its output cannot be written.
        """
        return self._jobs.submit(job)


def main(argv: Sequence[str] | None = None) -> int:
    """Run once over a folder, as the command line says; see :func:`run`."""
    return run(run_parser("candor").parse_args(argv))


def run(options: argparse.Namespace) -> int:
    """Run once over a folder.

    Parameters
    ----------
    options
        Those of :func:`candor.run_options.run_parser`.

    Returns
    -------
    0 when the run was carried out, even if nothing could be assessed; 1 when it failed midway; 2 when the
    input, the model, the settings or the output cannot be used.
    """
    quiet_libraries()
    try:
        result = _run_once(options)
    except CandorError as error:
        print(f"candor: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except (Stopped, Unexpected) as error:
        print(f"candor: the run was not completed: {error}; run it again", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"candor: the run was not completed: {cause_of(error)}; run it again", file=sys.stderr)
        return EXIT_FAILED
    for failure in result.failures:
        print(f"candor: results of a study are missing: {failure}", file=sys.stderr)
    print(f"{_count(result)}; see {result.index}. {RESEARCH_USE}.")
    return EXIT_FAILED if result.failures else EXIT_DONE


def _run_once(options: argparse.Namespace) -> JobResult:
    settings = load_settings(options.config)
    input_files(options.input)  # an error of the folder is raised before the model is loaded
    prepare_output(options.output)
    with ResidentApplication(options.model, settings) as application:
        signal.signal(signal.SIGTERM, _stop)  # after the start, at which holoscan sets its own handler
        signal.signal(signal.SIGINT, _stop)
        return application.submit(Job(options.input, options.output)).result()


class Stopped(Exception):
    """A signal asked the run to end."""


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(f"stopped by {signal.Signals(signum).name}")


def _count(result: JobResult) -> str:
    images = [image for case in result.cases for image in case.images]
    assessed = sum(image.assessed for image in images)
    reports = sum(written.kind == "sr" for case in result.cases for written in case.written)
    return f"{len(images)} files, {assessed} assessed, {reports} reports"


if __name__ == "__main__":
    sys.exit(main())
