"""Load the model bundle, and check that its files belong together.

A bundle is a MONAI bundle whose JSON files name each other by SHA-256::

    configs/metadata.json     names the weights and the graph; Candor's part is under "candor"
    models/model.safetensors  the weights
    models/model.onnx         the graph; its tensors are offsets into the weights
    models/calibration.json   names the weights that it was fitted to
    models/gate.json          names the weights and the calibration that it was fitted to
    models/error_model.json   optional: the learned gate; names both too, and its own weights in the same folder
    models/percentiles.json   optional: quantiles of the logits of unseen patients' images; names the weights
    models/familiarity.json   optional: the out-of-distribution check; names the weights that it was fitted to, and its
                              own tensors in the same folder
    models/study_answer.json  optional: the answer for the study as a whole; names the weights that it was fitted to

Files that do not belong together are refused. Nothing is ever unpickled, and torch is not needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from candor.decide.calibration import Calibration, Origin
from candor.decide.gate import Gate
from candor.decide.learned_gate import LearnedGate, LearnedGateFile, LearnedGateHead
from candor.decide.percentiles import Percentiles, PercentilesFile
from candor.decide.study_answer import StudyAnswerFile, StudyModel
from candor.files.hashes import file_sha256
from candor.files.reader import JsonFile
from candor.model.bundle_files import CalibrationFile, GateFile, MetadataFile, OriginPart, logit_map
from candor.model.preprocess import InputSpec
from candor.ood.familiarity import Familiarity, FamiliarityFile
from candor.study.errors import BundleError
from candor.study.findings import Finding, findings_named

METADATA: Final = Path("configs", "metadata.json")
WEIGHTS: Final = Path("models", "model.safetensors")
GRAPH: Final = Path("models", "model.onnx")
CALIBRATION: Final = Path("models", "calibration.json")
GATE: Final = Path("models", "gate.json")
LEARNED_GATE: Final = Path("models", "error_model.json")
LEARNED_GATE_WEIGHTS: Final = Path("models", "error_model.safetensors")
FAMILIARITY: Final = Path("models", "familiarity.json")
PERCENTILES: Final = Path("models", "percentiles.json")
STUDY_ANSWER: Final = Path("models", "study_answer.json")
FAMILIARITY_TENSORS: Final = Path("models", "familiarity.safetensors")

_EXPORT: Final = "export the bundle again (python -m training export)"
_CALIBRATE: Final = "calibrate it again (python -m training calibrate)"
_FIT_GATE: Final = "fit the gate again (python -m training fit-gate)"
_FIT_PERCENTILES: Final = "fit them again (python -m training fit-percentiles), or delete it"
_FIT_FAMILIARITY: Final = "fit it again (python -m training fit-familiarity), or delete it"
_FIT_STUDY_ANSWER: Final = "fit it again (python -m training fit-study-answer), or delete it"
_FIT_LEARNED_GATE: Final = "fit it again (python -m training fit-error-model), or delete it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The part of a bundle that training made; calibration and gate are fitted to it.

    Parameters
    ----------
    root
        The bundle's folder.
    name, version, intended_use
        From ``metadata.json``, for the report.
    findings
        The findings of the network's outputs, in order.
    architecture
        A key of :data:`candor.model.networks.registry.NETWORKS`.
    input
        The form of the input that :func:`candor.model.preprocess.to_network_input` makes.
    weights_sha256
        Hash of the weights, in hexadecimal.
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
    """A complete bundle: the model with its calibration, its gate, and the optional parts.

    Parameters
    ----------
    calibration
        The calibration of the model's logits.
    gate
        The thresholds of the findings.
    sha256
        Hash of metadata, weights, graph, calibration and gate together, and of the optional parts that there are, in
        hexadecimal.
    learned_gate
        The learned gate; None where there is none, or it is not better than confidence.
    familiarity
        The out-of-distribution check; None where there is none.
    percentiles
        The quantiles of the test images' logits; None where there are none.
    study_answer
        The answer for the study as a whole; None where there is none.
    """

    calibration: Calibration
    gate: Gate
    sha256: str
    learned_gate: LearnedGate | None = None
    familiarity: Familiarity | None = None
    percentiles: Percentiles | None = None
    study_answer: StudyModel | None = None


def find_bundle(models: Path) -> Path:
    """Return the one bundle in a folder: the folder itself, or the one folder in it that is a bundle.

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
    """Load a bundle and check that its files are complete and belong together.

    Parameters
    ----------
    path
        The bundle's folder, see :func:`find_bundle`.

    Raises
    ------
    BundleError
        A file is missing or broken, a value is missing or out of range, or a file belongs to another bundle.
    """
    model = load_model(path)
    calibration, gate, learned_gate = load_calibration(model), _load_gate(model), _load_learned_gate(model)
    familiarity, percentiles = load_familiarity(model), _load_percentiles(model)
    study_answer = load_study_answer(model)
    optional = (
        (LEARNED_GATE, learned_gate),
        (FAMILIARITY, familiarity),
        (PERCENTILES, percentiles),
        (STUDY_ANSWER, study_answer),
    )
    return Bundle(
        **{field.name: getattr(model, field.name) for field in fields(Model)},
        calibration=calibration,
        gate=gate,
        sha256=_joint_sha256(path, *(file for file, part in optional if part is not None)),
        learned_gate=learned_gate,
        familiarity=familiarity,
        percentiles=percentiles,
        study_answer=study_answer,
    )


def load_model(path: Path) -> Model:
    """Load the part of a bundle that training made; calibration and gate are not read.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    file = JsonFile(path / METADATA, _EXPORT)
    metadata = file.read(MetadataFile)
    ours = metadata.candor
    model = Model(
        root=path,
        name=metadata.name,
        version=metadata.version,
        intended_use=metadata.intended_use,
        findings=findings_named(ours.findings),
        architecture=ours.architecture,
        input=ours.input,
        weights_sha256=ours.weights_sha256,
    )
    file.require_hash("candor.weights_sha256", ours.weights_sha256, model.weights)
    file.require_hash("candor.graph_sha256", ours.graph_sha256, model.graph)
    _check_weights(model)
    return model


def load_calibration(model: Model) -> Calibration:
    """Load ``calibration.json`` and check that it was fitted to the model's weights.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    file = JsonFile(model.root / CALIBRATION, _CALIBRATE)
    record = file.read(CalibrationFile)
    file.require_hash("weights_sha256", record.weights_sha256, model.weights, model.weights_sha256)
    _require_findings(file, record.findings, model)
    maps = {finding: logit_map(record.findings[finding.label]) for finding in model.findings}
    return Calibration(maps, record.description, _origin(file, record))


def _origin(file: JsonFile, record: CalibrationFile) -> Origin | None:
    if "site" not in record.model_fields_set:
        return None
    origin = file.read(OriginPart)
    return Origin(origin.site, origin.date, origin.images)


def _load_gate(model: Model) -> Gate:
    file = JsonFile(model.root / GATE, _FIT_GATE)
    record = file.read(GateFile)
    file.require_hash("weights_sha256", record.weights_sha256, model.weights, model.weights_sha256)
    file.require_hash("calibration_sha256", record.calibration_sha256, model.root / CALIBRATION)
    _require_findings(file, record.findings, model)
    thresholds = {finding: record.findings[finding.label] for finding in model.findings}
    return Gate(thresholds, record.description, fitted_to=record.data)


def _load_learned_gate(model: Model) -> LearnedGate | None:
    file, network = JsonFile(model.root / LEARNED_GATE, _FIT_LEARNED_GATE), model.root / LEARNED_GATE_WEIGHTS
    if not file.path.exists():
        return None
    head = file.read(LearnedGateHead)
    file.require_hash("weights_sha256", head.weights_sha256, model.weights, model.weights_sha256)
    file.require_hash("calibration_sha256", head.calibration_sha256, model.root / CALIBRATION)
    file.require_hash("network_sha256", head.network_sha256, network)
    if not head.active:
        return None
    record = file.read(LearnedGateFile)
    if list(record.findings) != [finding.label for finding in model.findings]:
        file.refuse("findings", "are not those of the model, in its order")
    try:
        return record.learned_gate(network, model.findings)
    except (SafetensorError, ValueError) as error:
        file.refuse("", f"cannot be used with {network.name}: {error}")


def _load_percentiles(model: Model) -> Percentiles | None:
    file = JsonFile(model.root / PERCENTILES, _FIT_PERCENTILES)
    if not file.path.exists():
        return None
    record = file.read(PercentilesFile)
    file.require_hash("weights_sha256", record.weights_sha256, model.weights, model.weights_sha256)
    _require_findings(file, record.findings, model)
    return record.percentiles(model.findings)


def load_familiarity(model: Model) -> Familiarity | None:
    """Load ``familiarity.json`` and check that it was fitted to the model's weights; None where there is none.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    file, tensors = JsonFile(model.root / FAMILIARITY, _FIT_FAMILIARITY), model.root / FAMILIARITY_TENSORS
    if not file.path.exists():
        return None
    record = file.read(FamiliarityFile)
    file.require_hash("weights_sha256", record.weights_sha256, model.weights, model.weights_sha256)
    file.require_hash("tensors_sha256", record.tensors_sha256, tensors)
    try:
        return record.familiarity(tensors)
    except (SafetensorError, ValueError) as error:
        file.refuse("", f"cannot be used with {tensors.name}: {error}")


def load_study_answer(model: Model) -> StudyModel | None:
    """Load ``study_answer.json`` and check that it was fitted to the model's weights; None where there is none.

    Raises
    ------
    BundleError
        As for :func:`load_bundle`.
    """
    file = JsonFile(model.root / STUDY_ANSWER, _FIT_STUDY_ANSWER)
    if not file.path.exists():
        return None
    record = file.read(StudyAnswerFile)
    file.require_hash("weights_sha256", record.weights_sha256, model.weights, model.weights_sha256)
    if record.inputs == "logits" and len(record.weights) != len(model.findings):
        file.refuse("weights", f"has {len(record.weights)} values for {len(model.findings)} findings")
    return record.model()


def _joint_sha256(root: Path, *more: Path) -> str:
    """Return the hash of the JSON files that change results; they hold the hashes of the other files."""
    files = (METADATA, CALIBRATION, GATE, *more)
    lines = "".join(f"{file_sha256(root / file)}  {file.as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


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


def _require_findings(file: JsonFile, labels: Iterable[str], model: Model) -> None:
    """Check that a file has a part for each of the model's findings, and no other."""
    wanted, found = [finding.label for finding in model.findings], set(labels)
    if unknown := sorted(found - set(wanted)):
        file.refuse("findings", f"names {', '.join(unknown)}, which the model does not find")
    for label in wanted:
        if label not in found:
            file.refuse(f"findings.{label}", "is missing")
