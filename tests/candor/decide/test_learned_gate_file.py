"""A bundle may hold a learned gate: it is used only where its verdict says so, and only where it belongs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from candor.files.hashes import file_sha256
from candor.model.bundle import (
    CALIBRATION,
    GATE,
    LEARNED_GATE,
    LEARNED_GATE_WEIGHTS,
    WEIGHTS,
    load_bundle,
    load_calibration,
    load_model,
)
from candor.study.errors import BundleError
from tests.bundles import THREE
from tests.candor.decide.test_learned_gate import LINE, random_tensors
from training.bundles.fitted import write_calibration

Edit = Callable[[dict[str, Any]], object]


def add_learned_gate(bundle: Path, *, active: bool, prior: bool = True) -> None:
    """Put a learned gate that was not fitted into a bundle."""
    save_file(dict(random_tensors(prior=prior)), bundle / LEARNED_GATE_WEIGHTS)
    record = {
        "description": "made up for a test",
        "active": active,
        "weights_sha256": file_sha256(bundle / WEIGHTS),
        "calibration_sha256": file_sha256(bundle / CALIBRATION),
        "network_sha256": file_sha256(bundle / LEARNED_GATE_WEIGHTS),
        "findings": [finding.label for finding in THREE],
        "prior": prior,
        "lung_field": False,
        "limit": 0.2,
        "slope": LINE.slope,
        "intercept": LINE.intercept,
    }
    (bundle / LEARNED_GATE).write_text(json.dumps(record))


def edit(bundle: Path, change: Edit) -> None:
    """Change ``error_model.json``."""
    values = json.loads((bundle / LEARNED_GATE).read_text())
    change(values)
    (bundle / LEARNED_GATE).write_text(json.dumps(values))


@pytest.mark.parametrize("prior", [True, False])
def test_an_active_one_is_loaded_with_its_bundle(bundle: Path, prior: bool) -> None:
    before = load_bundle(bundle)
    assert before.learned_gate is None
    add_learned_gate(bundle, active=True, prior=prior)
    after = load_bundle(bundle)
    assert after.learned_gate is not None
    assert (after.learned_gate.findings, after.learned_gate.prior, after.learned_gate.limit) == (THREE, prior, 0.2)
    assert after.learned_gate.line == LINE
    for name, tensor in random_tensors(prior=prior).items():
        np.testing.assert_array_equal(after.learned_gate.tensors[name], tensor)
    assert after.sha256 != before.sha256
    edit(bundle, lambda values: values.update(limit=0.3))
    assert load_bundle(bundle).sha256 not in {before.sha256, after.sha256}


def test_an_inactive_one_is_not_used_and_changes_no_result(bundle: Path) -> None:
    before = load_bundle(bundle)
    add_learned_gate(bundle, active=False)
    after = load_bundle(bundle)
    assert after.learned_gate is None
    assert after.sha256 == before.sha256


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("weights_sha256", WEIGHTS),
        ("calibration_sha256", CALIBRATION),
        ("network_sha256", LEARNED_GATE_WEIGHTS),
    ],
)
def test_one_that_belongs_to_another_file_is_refused(bundle: Path, key: str, other: Path, active: bool) -> None:
    add_learned_gate(bundle, active=active)
    edit(bundle, lambda values: values.update({key: "0" * 64}))
    with pytest.raises(
        BundleError, match=rf"error_model.json line \d+: {key} says that it belongs to the {other.name} .*fit-er"
    ):
        load_bundle(bundle)


def test_its_weights_must_be_there(bundle: Path) -> None:
    add_learned_gate(bundle, active=True)
    (bundle / LEARNED_GATE_WEIGHTS).unlink()
    with pytest.raises(BundleError, match=r"error_model.safetensors cannot be read"):
        load_bundle(bundle)


def test_damaged_weights_are_named(bundle: Path) -> None:
    add_learned_gate(bundle, active=True)
    (bundle / LEARNED_GATE_WEIGHTS).write_bytes(b"nothing")
    edit(bundle, lambda values: values.update(network_sha256=file_sha256(bundle / LEARNED_GATE_WEIGHTS)))
    with pytest.raises(BundleError, match=r"error_model.json: cannot be used with error_model.safetensors: .*; fit it"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("active"), r"active is missing; fit it again \(python -m training fit-error-model\), or"),
        (lambda v: v.update(active=1), r"active is 1; it must be true or false"),
        (lambda v: v.update(findings=["Effusion"]), r"findings are not those of the model, in its order"),
        (lambda v: v["findings"].reverse(), r"findings are not those of the model, in its order"),
        (lambda v: v.update(prior=False), r"cannot be used with error_model.safetensors: the tensor direct.weight has"),
        (lambda v: v.update(limit=0.7), r"limit is 0.7; it must be at most 0.5"),
        (lambda v: v.update(limit=0.5), r"cannot be used with .*: the limit lies between 0 and 0.5"),
        (lambda v: v.update(slope=-1), r"cannot be used with .*: slope must be positive"),
        (lambda v: v.pop("intercept"), r"intercept is missing"),
        (lambda v: v.pop("lung_field"), r"lung_field is missing"),
    ],
)
def test_a_bad_value_is_named_with_its_key(bundle: Path, change: Edit, message: str) -> None:
    add_learned_gate(bundle, active=True)
    edit(bundle, change)
    with pytest.raises(BundleError, match=rf"error_model.json.*: {message}"):
        load_bundle(bundle)


def test_a_new_calibration_takes_the_learned_gate_away(bundle: Path) -> None:
    add_learned_gate(bundle, active=True)
    model = load_model(bundle)
    write_calibration(model, load_calibration(model), {})
    assert not (bundle / LEARNED_GATE).exists()
    assert not (bundle / LEARNED_GATE_WEIGHTS).exists()
    assert (bundle / GATE).exists()
    assert load_bundle(bundle).learned_gate is None
