"""Join the results of several trainings into one, for a bundle that serves the networks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from candor.files.reader import JsonFile, Record, Text
from candor.model.networks.ensemble import Member, ensemble_input, ensemble_name, joined_state
from candor.model.networks.trunks import TRUNKS
from candor.study.errors import BundleError
from training.bundles.provenance import trained_on
from training.bundles.trained import TRAIN_AGAIN, Trained, read_trained
from training.learn.checkpoint import write_weights
from training.records import write_json

SAME: Final = "train all members on the same data, with the same findings and --split"


class Sets(Record):
    """``splits.json``."""

    rule: Text
    patients: dict[str, tuple[str, ...]]


def join(members: Sequence[Trained], folder: Path) -> Trained:
    """Write the files that training leaves, for several networks as one.

    Parameters
    ----------
    members
        Results of trainings of networks with a linear head, on the same findings.
    folder
        An empty folder for the files.

    Raises
    ------
    BundleError
        A member has another head, data or findings differ, a patient is in different sets, or a file is missing.
    """
    for member in members:
        if member.architecture not in TRUNKS:
            raise BundleError(
                f"{member.folder} holds {member.architecture}; members are trunks with a linear head: "
                f"{', '.join(TRUNKS)}"
            )
        if trained_on(member.record) != trained_on(members[0].record) or "imported" in member.record:
            raise BundleError(f"{member.folder} and {members[0].folder} were trained on other data; {SAME}")
        if list(member.shares) != list(members[0].shares):
            raise BundleError(f"{member.folder} and {members[0].folder} have other findings; {SAME}")
    specs = [member.input for member in members]
    write_weights(folder / "model.safetensors", joined_state([_state(member) for member in members], specs))
    write_json(folder / "splits.json", _joined_sets([member.folder / "splits.json" for member in members]))
    architecture = ensemble_name([Member(member.architecture, member.input.side) for member in members])
    shares = {f.label: float(np.mean([member.shares[f] for member in members])) for f in members[0].shares}
    record = {
        "recipe": {"network": architecture},
        "input": asdict(ensemble_input(specs)),
        "shares": shares,
        "data": trained_on(members[0].record),
        "members": [dict(member.record) for member in members],
    }
    write_json(folder / "train.json", record)
    return read_trained(folder)


def _state(member: Trained) -> Mapping[str, Tensor]:
    try:
        return load_file(member.weights)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{member.weights} cannot be read ({error}); {TRAIN_AGAIN}") from error


def _joined_sets(files: Sequence[Path]) -> dict[str, object]:
    """Return the sets of all patients; a patient whom one member never saw may be in another's."""
    sets = [JsonFile(file, TRAIN_AGAIN).read(Sets) for file in files]
    if len({one.rule for one in sets}) > 1:
        raise BundleError(f"{files[0]} divides patients by another rule than {files[1]}; {SAME}")
    found: dict[str, str] = {}
    for file, one in zip(files, sets, strict=True):
        for name, patients in one.patients.items():
            for patient in patients:
                if found.setdefault(patient, name) != name:
                    raise BundleError(f"{file} has a patient in {name} who is in {found[patient]} elsewhere; {SAME}")
    names = dict.fromkeys(name for one in sets for name in one.patients)
    by_set = {name: sorted(patient for patient, own in found.items() if own == name) for name in names}
    return {"rule": sets[0].rule, "patients": by_set}
