"""The model bundle: what it holds, and the proof that its files belong together.

A bundle is a MONAI bundle whose JSON files name each other by SHA-256::

    configs/metadata.json     names the weights and the graph; our part is under "candor"
    models/model.safetensors  the weights
    models/model.onnx         the graph; its tensors are offsets into the weights
    models/calibration.json   names the weights that it was fitted to
    models/gate.json          names the weights and the calibration that it was fitted to
    models/error_model.json   may be there: the learned gate, which names them too, and its own weights beside it
    models/percentiles.json   may be there: the spread of the logits over the test images; names the weights
    models/familiarity.json   may be there: how far from the training images an image may lie; names the weights
                              that it was fitted to, and its own tensors beside it

Loading refuses what does not fit together. Nothing is ever unpickled, and torch is not needed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from candor.decide.calibration import Beta, Calibration, CalibrationKind, Curve, Isotonic, Line, LogitMap, Origin
from candor.decide.gate import Gate, Thresholds
from candor.decide.learned_gate import ErrorModel, read_error_model
from candor.decide.percentiles import Percentiles, read_percentiles
from candor.files.document import Document, file_sha256, read_document
from candor.model.preprocess import InputSpec
from candor.ood.familiarity import Familiarity, read_familiarity
from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding, findings_named

METADATA: Final = Path("configs", "metadata.json")
WEIGHTS: Final = Path("models", "model.safetensors")
GRAPH: Final = Path("models", "model.onnx")
CALIBRATION: Final = Path("models", "calibration.json")
GATE: Final = Path("models", "gate.json")
ERROR_MODEL: Final = Path("models", "error_model.json")
ERROR_MODEL_WEIGHTS: Final = Path("models", "error_model.safetensors")
FAMILIARITY: Final = Path("models", "familiarity.json")
PERCENTILES: Final = Path("models", "percentiles.json")
FAMILIARITY_TENSORS: Final = Path("models", "familiarity.safetensors")

_EXPORT: Final = "export the bundle again (python -m training export)"
_CALIBRATE: Final = "calibrate it again (python -m training calibrate)"
_FIT_GATE: Final = "fit the gate again (python -m training fit-gate)"
_EVALUATE: Final = "evaluate again (python -m training evaluate), or delete it"
_FIT_FAMILIARITY: Final = "fit it again (python -m training fit-familiarity), or delete it"
_FIT_ERROR_MODEL: Final = "fit it again (python -m training fit-error-model), or delete it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The part of a bundle that training made: what calibration and gate are fitted to.

    Parameters
    ----------
    root
        The bundle's folder.
    name, version, intended_use
        From ``metadata.json``, for the report.
    findings
        What the network's outputs mean, in order.
    architecture
        A key of :data:`candor.model.networks.registry.NETWORKS`.
    input
        What :func:`candor.model.preprocess.to_network_input` makes.
    weights_sha256
        Of the weights, in hexadecimal.
    """

    root: Path
    name: str
    version: str
    intended_use: str
    findings: tuple[Finding, ...]
    architecture: str
    input: InputSpec
    weights_sha256: str

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.root / WEIGHTS

    @property
    def graph(self) -> Path:
        """The ONNX file; its tensors are offsets into ``weights``."""
        return self.root / GRAPH


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(Model):
    """All that is needed to answer: the model, its calibration and its gate.

    Parameters
    ----------
    sha256
        Of metadata, weights, graph, calibration and gate together, and of the learned gate and of familiarity where
        there is one, in hexadecimal.
    error_model
        The learned gate; None where there is none, or one that was found to be no better than confidence.
    familiarity
        The check that an image is like the training images; None where there is none.
    """

    calibration: Calibration
    gate: Gate
    sha256: str
    error_model: ErrorModel | None = None
    familiarity: Familiarity | None = None
    percentiles: Percentiles | None = None


def find_bundle(models: Path) -> Path:
    """Find the one bundle in a folder: the folder itself, or the one folder in it that is a bundle.

    Parameters
    ----------
    models
        A bundle, or the model folder of a MONAI Application Package (``models/<name>/``).

    Raises
    ------
    BundleError
        The folder does not exist, or holds no bundle or several.
    """
    if not models.is_dir():
        raise BundleError(f"{models} is not a folder; give the folder of the bundle, or the one that holds it")
    if (models / METADATA).is_file():
        return models
    bundles = sorted(metadata.parent.parent for metadata in models.glob(f"*/{METADATA.as_posix()}"))
    if not bundles:
        raise BundleError(f"{models} holds no bundle (a folder with {METADATA}); give another folder, or {_EXPORT}")
    if len(bundles) > 1:
        names = ", ".join(bundle.name for bundle in bundles)
        raise BundleError(f"{models} holds {len(bundles)} bundles ({names}); give the folder of one of them")
    return bundles[0]


def load_bundle(path: Path) -> Bundle:
    """Load a bundle and check that its files are whole and belong together.

    Parameters
    ----------
    path
        The bundle's folder, see :func:`find_bundle`.

    Raises
    ------
    BundleError
        A file is missing or broken, a value is missing or out of range, or a file was made for another.
    """
    model = load_model(path)
    calibration, gate, error_model = load_calibration(model), _load_gate(model), _load_error_model(model)
    familiarity, percentiles = load_familiarity(model), _load_percentiles(model)
    optional = ((ERROR_MODEL, error_model), (FAMILIARITY, familiarity), (PERCENTILES, percentiles))
    return Bundle(
        **{field.name: getattr(model, field.name) for field in fields(Model)},
        calibration=calibration,
        gate=gate,
        sha256=_joint_sha256(path, *(file for file, part in optional if part is not None)),
        error_model=error_model,
        familiarity=familiarity,
        percentiles=percentiles,
    )


def load_model(path: Path) -> Model:
    """Load the part of a bundle that training made, whatever its calibration and gate are like.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    metadata = read_document(path / METADATA, _EXPORT)
    ours = metadata.at("candor")
    model = Model(
        root=path,
        name=metadata.text("name"),
        version=metadata.text("version"),
        intended_use=metadata.text("intended_use"),
        findings=_findings(ours),
        architecture=ours.text("architecture"),
        input=input_spec(ours.at("input")),
        weights_sha256=ours.text("weights_sha256"),
    )
    ours.require_hash("weights_sha256", model.weights)
    ours.require_hash("graph_sha256", model.graph)
    _check_weights(model)
    return model


def load_calibration(model: Model) -> Calibration:
    """Load ``calibration.json`` and check that it was fitted to the model's weights.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    document = read_document(model.root / CALIBRATION, _CALIBRATE)
    document.require_hash("weights_sha256", model.weights, model.weights_sha256)
    parts = _parts(document, model.findings)
    maps = {finding: _logit_map(part) for finding, part in parts.items()}
    return Calibration(maps, document.text("description"), _origin(document))


def _load_gate(model: Model) -> Gate:
    document = read_document(model.root / GATE, _FIT_GATE)
    document.require_hash("weights_sha256", model.weights, model.weights_sha256)
    document.require_hash("calibration_sha256", model.root / CALIBRATION)
    parts = _parts(document, model.findings)
    return Gate({finding: _thresholds(part) for finding, part in parts.items()}, document.text("description"))


def _load_error_model(model: Model) -> ErrorModel | None:
    if not (model.root / ERROR_MODEL).exists():
        return None
    document = read_document(model.root / ERROR_MODEL, _FIT_ERROR_MODEL)
    document.require_hash("weights_sha256", model.weights, model.weights_sha256)
    document.require_hash("calibration_sha256", model.root / CALIBRATION)
    document.require_hash("network_sha256", model.root / ERROR_MODEL_WEIGHTS)
    return read_error_model(document, model.root / ERROR_MODEL_WEIGHTS, model.findings)


def _load_percentiles(model: Model) -> Percentiles | None:
    if not (model.root / PERCENTILES).exists():
        return None
    document = read_document(model.root / PERCENTILES, _EVALUATE)
    document.require_hash("weights_sha256", model.weights, model.weights_sha256)
    return read_percentiles(document, model.findings)


def load_familiarity(model: Model) -> Familiarity | None:
    """Load ``familiarity.json`` and check that it was fitted to the model's weights; None where there is none.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    if not (model.root / FAMILIARITY).exists():
        return None
    document = read_document(model.root / FAMILIARITY, _FIT_FAMILIARITY)
    document.require_hash("weights_sha256", model.weights, model.weights_sha256)
    document.require_hash("tensors_sha256", model.root / FAMILIARITY_TENSORS)
    return read_familiarity(document, model.root / FAMILIARITY_TENSORS)


def _joint_sha256(root: Path, *more: Path) -> str:
    """Hash the JSON files that change results; the hashes in them, which were checked, stand for the other files."""
    files = (METADATA, CALIBRATION, GATE, *more)
    lines = "".join(f"{file_sha256(root / file)}  {file.as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _findings(ours: Document) -> tuple[Finding, ...]:
    try:
        findings = findings_named(ours.texts("findings"))
    except DataError as error:
        ours.refuse_value("findings", f"cannot be used: {error}")
    if not findings or len(set(findings)) < len(findings):
        ours.refuse_value("findings", "must name each finding once, and at least one")
    return findings


def input_spec(part: Document) -> InputSpec:
    """Take ``side``, ``mean`` and ``std`` from a JSON object."""
    return InputSpec(part.integer("side", 16, 4096), part.number("mean", 0, 1), part.number("std", 1e-3, 1))


def _check_weights(model: Model) -> None:
    try:
        with safe_open(model.weights, framework="numpy") as tensors:
            outputs = tensors.get_slice("head.bias").get_shape()
    except SafetensorError as error:
        raise BundleError(f"{model.weights} is damaged ({error}); {_EXPORT}") from error
    if outputs != [len(model.findings)]:
        raise BundleError(
            f"{model.weights} has outputs {outputs}, but {METADATA} names {len(model.findings)} findings; {_EXPORT}"
        )


def _parts(document: Document, findings: tuple[Finding, ...]) -> dict[Finding, Document]:
    section = document.at("findings")
    unknown = sorted(section.values.keys() - {finding.label for finding in findings})
    if unknown:
        section.refuse(f"names {', '.join(unknown)}, which the model does not find")
    return {finding: section.at(finding.label) for finding in findings}


def _logit_map(part: Document) -> LogitMap:
    try:
        return LogitMap(
            curve=_curve(CalibrationKind(part.text("kind")), part),
            fitted_prevalence=part.number("fitted_prevalence", 0, 1),
            assumed_prevalence=part.number("assumed_prevalence", 0, 1),
        )
    except ValueError as error:
        part.refuse(f"cannot be used: {error}")


def _curve(kind: CalibrationKind, part: Document) -> Curve:
    match kind:
        case CalibrationKind.BETA:
            return Beta(part.number("a"), part.number("b"), part.number("c"))
        case CalibrationKind.ISOTONIC:
            return Isotonic(tuple(part.numbers("logits")), tuple(part.numbers("log_odds")))
    return Line(kind, part.number("slope"), part.number("intercept"))


def _origin(document: Document) -> Origin | None:
    """Say whose images the calibration was fitted to; None where nothing was fitted."""
    if "site" not in document.values:
        return None
    try:
        return Origin(
            site=document.text("site"),
            day=date.fromisoformat(document.text("date")),
            images=document.integer("images", 1, 10**9),
        )
    except ValueError as error:
        document.refuse_value("date", f"is no date ({error})")


def _thresholds(part: Document) -> Thresholds:
    try:
        return Thresholds(lo=part.number_or_none("lo", 0, 1), hi=part.number_or_none("hi", 0, 1))
    except ValueError as error:
        part.refuse(f"cannot be used: {error}")
