"""Import published DenseNet-121 weights: write the files that ``python -m training export`` needs.

:mod:`training.bundles.layouts` lists the publishers. All classify 224 x 224 pixels. Their authors resized pictures in
another way than :mod:`candor.model.preprocess`, so figures published for the weights must be measured again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from candor.files.hashes import file_sha256
from candor.files.privacy import name_of
from candor.model.networks.initial import load_all
from candor.model.networks.registry import build
from candor.study.errors import BundleError, CandorError, DataError
from candor.study.findings import Finding, findings_named
from training.bundles.layouts import AFTER_FIRST, FIRST, LAYOUTS, OTHER_OUTPUTS, THRESHOLDS, Layout, State, our_name
from training.bundles.trained import Trained, read_trained
from training.data.readers.nih import prevalence
from training.learn.checkpoint import write_weights
from training.records import write_json

ARCHITECTURE: Final = "densenet121"

_UNREADABLE: Final = (
    # Errors of torch's restricted unpickler on bytes that are not weights, or hold more than weights.
    UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SafetensorError,
)


def import_weights(
    source: Path, work: Path, layout_name: str, labels: Path, outputs: Sequence[str] | None = None
) -> Trained:
    """Write published weights in the form of a training's result: weights, ``train.json`` and ``splits.json``.

    Parameters
    ----------
    source
        ``.safetensors``, or a torch file that holds tensors alone, by name or under ``state_dict``.
    work
        Folder to write, for ``python -m training export``.
    layout_name
        A key of :data:`training.bundles.layouts.LAYOUTS`.
    labels
        Label table (``labels_all.csv.gz``) of the data that the weights were trained on, for the prevalence at
        which their probabilities are right until they are calibrated.
    outputs
        Names of the classifier's rows, if they differ from the layout's; blank for a row that was never trained.

    Raises
    ------
    BundleError
        The file cannot be read, or is of another layout.
    DataError
        The layout or an output's name is unknown, or it is unknown which outputs were trained; see also
        :func:`training.data.readers.nih.prevalence`.
    """
    if layout_name not in LAYOUTS:
        raise DataError(f"the layout {layout_name!r} is unknown; known are {', '.join(LAYOUTS)}")
    layout = LAYOUTS[layout_name]
    state = _renamed(read_state(source), source)
    names = trained_outputs(state, layout, outputs)
    findings = _findings(names)
    network = build(ARCHITECTURE, len(findings))
    load_all(network, _adapted(state, layout, _rows(names, findings), source), str(source))
    shares = prevalence(labels, findings)
    work.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.contiguous() for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    write_weights(work / "model.safetensors", tensors)
    write_json(work / "splits.json", {"rule": _UNKNOWN_PATIENTS, "patients": {}})
    write_json(work / "train.json", _record(source, layout_name, names, shares))
    return read_trained(work)


_UNKNOWN_PATIENTS: Final = (
    "Imported weights: whose pictures trained them is not known here. Patients of the same data set are no test."
)


def read_state(source: Path) -> State:
    """Read tensors by name, without running code that a file may hold.

    Raises
    ------
    BundleError
        The file cannot be read, or holds more than tensors.
    """
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        content = torch.load(source, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise BundleError(
            f"{source} cannot be read as weights ({name_of(error)}). A pickled model can run code when it is "
            "opened, so it is refused: where its origin is trusted, open it with the library that made it and save "
            "model.state_dict() as .safetensors"
        ) from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise BundleError(f"{source} holds no tensors by name; save model.state_dict() instead")
    return state


def _renamed(state: State, source: Path) -> State:
    renamed = {our_name(name): tensor for name, tensor in state.items()}
    if len(renamed) < len(state):
        raise BundleError(f"{source} holds a tensor under two names; save the state_dict of one model")
    return renamed


def trained_outputs(state: State, layout: Layout, given: Sequence[str] | None) -> list[str]:
    """Return the names of the classifier's rows, blank where ``op_threshs`` shows that a row was never trained.

    Parameters
    ----------
    state
        Tensors by our names.
    layout
        Names the rows by default.
    given
        Names that replace those of the layout, or None.

    Raises
    ------
    DataError
        The numbers of names and rows differ, or the file does not show which rows were trained.
    """
    names = list(layout.outputs if given is None else given)
    rows = len(state["head.bias"]) if "head.bias" in state else 0
    if rows != len(names):
        raise DataError(f"the weights have {rows} outputs, and there are {len(names)} names; name them all, in order")
    if THRESHOLDS in state:
        return [name if known else "" for name, known in zip(names, ~state[THRESHOLDS].isnan(), strict=True)]
    if given is None and set(names) & set(OTHER_OUTPUTS):
        raise DataError(
            "the weights hold no op_threshs, which say what outputs were trained; name the outputs in order, blank "
            f"for one that was not, from: {', '.join(names)}"
        )
    return names


def _findings(names: Sequence[str]) -> list[Finding]:
    named = findings_named(name for name in names if name not in OTHER_OUTPUTS)
    if not named or len(set(named)) < len(named):
        raise DataError("the outputs must name each finding once, and at least one")
    return [finding for finding in Finding if finding in named]


def _rows(names: Sequence[str], findings: Sequence[Finding]) -> list[int]:
    position = {findings_named([name])[0]: row for row, name in enumerate(names) if name not in OTHER_OUTPUTS}
    return [position[finding] for finding in findings]


def _adapted(state: State, layout: Layout, rows: list[int], source: Path) -> State:
    """Return a renamed state with our outputs and our input."""
    first = state.get(FIRST)
    if first is None or first.ndim != 4 or first.shape[1] != layout.channels or AFTER_FIRST not in state:
        raise BundleError(f"{source} has no first layer of {layout.channels} channels; it is of another layout")
    ours = {name: tensor for name, tensor in state.items() if name != THRESHOLDS}
    ours |= {name: ours[name][rows] for name in ("head.weight", "head.bias") if name in ours}
    layout.to_one_channel(ours, layout.input)
    return ours


def _record(source: Path, layout_name: str, names: Sequence[str], shares: Mapping[Finding, float]) -> dict[str, object]:
    origin = {"layout": layout_name, "file": source.name, "sha256": file_sha256(source), "outputs": list(names)}
    return {
        "recipe": {"network": ARCHITECTURE, "stages": []},
        "input": asdict(LAYOUTS[layout_name].input),
        "shares": {finding.label: share for finding, share in shares.items()},
        "imported": origin,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m training.bundles.import_weights``; an error of Candor prints one line and returns exit code 2."""
    parser = argparse.ArgumentParser("python -m training.bundles.import_weights", description=import_weights.__doc__)
    parser.add_argument("source", type=Path, help=".safetensors, or a torch file that holds tensors only")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), required=True, help="layout of the published weights")
    parser.add_argument("--labels", type=Path, required=True, help="labels_all.csv.gz of the data that trained them")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder to write, for the verb export")
    parser.add_argument("--outputs", type=lambda text: text.split(","), help="names in order, separated by commas")
    given = parser.parse_args(arguments)
    try:
        print(import_weights(given.source, given.work, given.layout, given.labels, given.outputs).weights)
    except CandorError as error:
        print(f"training.bundles.import_weights: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
